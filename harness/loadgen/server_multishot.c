/* Serves TCP over io_uring with multishot receives: one request a connection, which goes on bringing what comes.
 *
 * The bytes arrive in buffers of a ring that the kernel takes from and we give back to; a reply is a request of its
 * own, one at a time for each connection. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"
#include "events.h"
#include "stop.h"

/* Older headers lack these; the numbers are the kernel's. */
#ifndef IORING_RECV_MULTISHOT
#define IORING_RECV_MULTISHOT (1u << 1)
#endif
#ifndef IORING_CQE_F_MORE
#define IORING_CQE_F_MORE (1u << 1)
#endif
#define COMPLETION_BUFFER 1u /* a buffer's number is in the flags, above the lower 16 bits */
#define COMPLETION_BUFFER_SHIFT 16

#define BUFFERS 256u
#define BUFFER_BYTES 4096u
#define GROUP 0

/* What a completion belongs to: the lowest bits of a connection's address, which are free. */
enum operation { OPERATION_RECEIVE, OPERATION_SEND, OPERATION_ACCEPT, OPERATIONS };

_Static_assert(OPERATIONS <= 4, "two bits");

struct connection {
    int socket;
    bool followed;    /* the ring polls its NAPI, as far as it has to be told */
    bool receiving;   /* a receive is under way */
    bool broken;      /* of no more use, and gone once nothing is under way */
    size_t answering; /* bytes of the request whose reply is on its way; 0: none is */
    size_t have, room;
    unsigned char *bytes; /* received and not yet answered */
    unsigned char *reply;
    struct connection *next, **link; /* the list of all */
};

struct state {
    struct server *server;
    struct connection *list;
    struct uring_buffer *ring; /* as the kernel has it; its tail is in the first one's `tail` */
    unsigned char *memory;
    uint16_t tail;
};

static void give_back(struct state *state, uint16_t id)
{
    struct uring_buffer *entry = &state->ring[state->tail & (BUFFERS - 1)];

    entry->address = (uint64_t)(uintptr_t)(state->memory + (size_t)id * BUFFER_BYTES);
    entry->bytes = BUFFER_BYTES;
    entry->id = id;
    state->tail++;
    atomic_store_explicit((_Atomic uint16_t *)&state->ring[0].tail, state->tail, memory_order_release);
}

static void make_buffers(struct state *state)
{
    state->ring = mmap(NULL, BUFFERS * sizeof *state->ring, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    state->memory = malloc((size_t)BUFFERS * BUFFER_BYTES);
    if (state->ring == MAP_FAILED || state->memory == NULL)
        fail("reserve memory for received messages", NULL, ENOMEM);
    uring_provide(&state->server->uring, state->ring, BUFFERS, GROUP);
    for (uint16_t i = 0; i < BUFFERS; i++)
        give_back(state, i);
}

static struct io_uring_sqe *request(struct state *state, struct connection *connection, uint8_t opcode,
                                    enum operation operation)
{
    struct io_uring_sqe *entry = uring_request(&state->server->uring);

    entry->opcode = opcode;
    entry->fd = connection != NULL ? connection->socket : state->server->socket;
    entry->user_data = (uint64_t)(uintptr_t)connection | operation;
    return entry;
}

static void request_accept(struct state *state)
{
    request(state, NULL, IORING_OP_ACCEPT, OPERATION_ACCEPT)->accept_flags = SOCK_CLOEXEC;
}

static void request_receive(struct state *state, struct connection *connection)
{
    struct io_uring_sqe *entry = request(state, connection, IORING_OP_RECV, OPERATION_RECEIVE);

    entry->ioprio = IORING_RECV_MULTISHOT;
    entry->flags = IOSQE_BUFFER_SELECT;
    entry->buf_group = GROUP;
    connection->receiving = true;
    state->server->multishot.armed++;
}

/* Nothing more comes or goes: what is under way ends by itself. */
static void break_off(struct connection *connection)
{
    if (!connection->broken)
        (void)shutdown(connection->socket, SHUT_RDWR);
    connection->broken = true;
}

/* Answers the first request that is there, if it is whole and no reply is on its way. */
static void go_on(struct state *state, struct connection *connection)
{
    struct server *server = state->server;

    if (connection->answering > 0 || connection->broken)
        return;
    const size_t bytes = answer_request_bytes(server, connection->bytes, connection->have);

    if (bytes > answer_buffer_bytes(server)) {
        server->malformed++;
        break_off(connection);
        return;
    }
    if (bytes == 0 || bytes > connection->have)
        return;
    const struct answer answer = answer_make(server, connection->bytes, bytes);

    if (answer.data == NULL) {
        break_off(connection);
        return;
    }
    /* What is received meanwhile may move the bytes, and other connections' replies are made where this one was. */
    memcpy(connection->reply, answer.data, answer.bytes);
    struct io_uring_sqe *entry = request(state, connection, IORING_OP_SEND, OPERATION_SEND);

    entry->addr = (uint64_t)(uintptr_t)connection->reply;
    entry->len = (uint32_t)answer.bytes;
    entry->msg_flags = MSG_WAITALL | MSG_NOSIGNAL;
    connection->answering = bytes;
}

static void append(struct connection *connection, const unsigned char *data, size_t bytes)
{
    if (connection->have + bytes > connection->room) {
        connection->room = 2 * (connection->have + bytes);
        connection->bytes = realloc(connection->bytes, connection->room);
        if (connection->bytes == NULL)
            fail("reserve memory for a message", NULL, ENOMEM);
    }
    memcpy(connection->bytes + connection->have, data, bytes);
    connection->have += bytes;
}

static void received(struct state *state, struct connection *connection, int result, uint32_t flags)
{
    if ((flags & COMPLETION_BUFFER) != 0) {
        const uint16_t id = (uint16_t)(flags >> COMPLETION_BUFFER_SHIFT);

        if (result > 0)
            append(connection, state->memory + (size_t)id * BUFFER_BYTES, (size_t)result);
        give_back(state, id);
    }
    if (result > 0) {
        state->server->multishot.receives++;
        if (!connection->followed)
            connection->followed = uring_follow(&state->server->uring, connection->socket);
    } else if (result != -ENOBUFS && result != -EAGAIN && result != -EINTR) {
        break_off(connection);
    }
    connection->receiving = (flags & IORING_CQE_F_MORE) != 0;
    state->server->multishot.more += connection->receiving;
    if (!connection->receiving && !connection->broken)
        request_receive(state, connection);
}

static void sent(struct state *state, struct connection *connection, int result)
{
    const size_t done = connection->answering;

    connection->answering = 0;
    if (result <= 0) {
        state->server->send_errors++;
        break_off(connection);
        return;
    }
    connection->have -= done;
    memmove(connection->bytes, connection->bytes + done, connection->have);
}

static void drop(struct state *state, struct connection *connection)
{
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    server_close(state->server, connection->socket);
    free(connection->bytes);
    free(connection->reply);
    free(connection);
}

static void accepted(struct state *state, int result)
{
    if (result >= 0) {
        struct connection *made = calloc(1, sizeof *made);

        if (made == NULL || (made->reply = malloc((size_t)state->server->plan->framing.response.high)) == NULL ||
            (made->bytes = malloc(made->room = answer_buffer_bytes(state->server))) == NULL)
            fail("reserve memory for a connection", NULL, ENOMEM);
        made->socket = result;
        made->next = state->list;
        made->link = &state->list;
        if (made->next != NULL)
            made->next->link = &made->next;
        state->list = made;
        server_welcome(state->server, result);
        request_receive(state, made);
    } else if (result != -EINTR && result != -EAGAIN && result != -ECONNABORTED) {
        fail("accept a connection", NULL, -result);
    }
    request_accept(state);
}

static void complete(struct state *state, uint64_t user_data, int result, uint32_t flags)
{
    const enum operation operation = (enum operation)(user_data & 3);
    struct connection *connection = (struct connection *)(uintptr_t)(user_data & ~UINT64_C(3));

    if (operation == OPERATION_ACCEPT) {
        accepted(state, result);
        return;
    }
    if (operation == OPERATION_RECEIVE)
        received(state, connection, result, flags);
    else
        sent(state, connection, result);
    go_on(state, connection);
    if (connection->broken && !connection->receiving && connection->answering == 0)
        drop(state, connection);
}

void server_run_multishot(struct server *server)
{
    struct state state = {.server = server};
    uint64_t user_data;
    uint32_t flags;
    int result;

    make_buffers(&state);
    channel_prepare(server->socket, WAIT_BLOCKING, NO_TIMEOUT);
    request_accept(&state);
    while (!stop_requested) {
        (void)uring_wait(&server->uring);
        while (uring_completion(&server->uring, &user_data, &result, &flags)) {
            uring_make_room(&server->uring);
            complete(&state, user_data, result, flags);
        }
    }
    close(server->uring.fd); /* nothing is received into our memory any more */
    while (state.list != NULL)
        drop(&state, state.list);
    munmap(state.ring, BUFFERS * sizeof *state.ring);
    free(state.memory);
}
