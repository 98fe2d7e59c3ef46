/* Serves over io_uring: a reply and the next receive go down in one system call, which also waits.
 *
 * The send is linked to the receive after it and says nothing when it succeeds, so every completion that wakes us
 * is a request. Where more requests are in the buffer already, the send goes alone and its completion is awaited. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"
#include "events.h"
#include "stop.h"

/* What a completion belongs to: the lowest bits of a connection's address, which are free. */
enum operation { OPERATION_RECEIVE, OPERATION_SEND_LINKED, OPERATION_SEND_ALONE, OPERATION_ACCEPT, OPERATIONS };

_Static_assert(OPERATIONS == 4, "a power of two");

struct uring_connection {
    int socket;
    size_t have;      /* bytes received and not yet answered */
    bool followed;    /* the ring polls its NAPI, as far as it has to be told */
    size_t answering; /* bytes of the request whose reply is on its way */
    struct uring_connection *next, **link; /* the list of all */
    unsigned char *reply;                  /* after the buffer */

    /* UDP */
    struct msghdr in, out;
    struct iovec in_piece, out_piece;
    struct sockaddr_storage peer;

    unsigned char buffer[];
};

static struct uring_connection *make_connection(const struct server *server, int socket,
                                                struct uring_connection **list)
{
    const size_t room = answer_buffer_bytes(server);
    struct uring_connection *made =
        calloc(1, sizeof *made + room + (size_t)server->plan->framing.response.high);

    if (made == NULL)
        fail("reserve memory for a connection", NULL, ENOMEM);
    made->socket = socket;
    made->reply = made->buffer + room;
    made->next = *list;
    made->link = list;
    if (made->next != NULL)
        made->next->link = &made->next;
    *list = made;
    return made;
}

static void drop(struct server *server, struct uring_connection *connection)
{
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    server_close(server, connection->socket);
    free(connection);
}

static struct io_uring_sqe *request(struct server *server, struct uring_connection *connection, uint8_t opcode,
                                    enum operation operation)
{
    struct io_uring_sqe *entry = uring_request(&server->uring);

    entry->opcode = opcode;
    entry->fd = connection->socket;
    entry->user_data = (uint64_t)(uintptr_t)connection | operation;
    return entry;
}

static void request_accept(struct server *server)
{
    struct io_uring_sqe *entry = uring_request(&server->uring);

    entry->opcode = IORING_OP_ACCEPT;
    entry->fd = server->socket;
    entry->accept_flags = SOCK_CLOEXEC;
    entry->user_data = OPERATION_ACCEPT;
}

static void request_receive(struct server *server, struct uring_connection *connection)
{
    const bool datagrams = server->plan->at.protocol == PROTOCOL_UDP;
    struct io_uring_sqe *entry =
        request(server, connection, datagrams ? IORING_OP_RECVMSG : IORING_OP_RECV, OPERATION_RECEIVE);

    if (datagrams) {
        connection->in_piece = (struct iovec){connection->buffer, answer_buffer_bytes(server)};
        connection->in = (struct msghdr){.msg_name = &connection->peer, .msg_namelen = sizeof connection->peer,
                                         .msg_iov = &connection->in_piece, .msg_iovlen = 1};
        entry->addr = (uint64_t)(uintptr_t)&connection->in;
        entry->len = 1;
        return;
    }
    entry->addr = (uint64_t)(uintptr_t)(connection->buffer + connection->have);
    entry->len = (uint32_t)(answer_buffer_bytes(server) - connection->have);
}

/* The reply must outlive the other connections' replies, so it moves to memory of its own. */
static const void *keep(const struct server *server, struct uring_connection *connection, struct answer answer)
{
    if (answer.data != server->reply)
        return answer.data;
    memcpy(connection->reply, answer.data, answer.bytes);
    return connection->reply;
}

static void request_send(struct server *server, struct uring_connection *connection, struct answer answer,
                         bool linked)
{
    struct io_uring_sqe *entry =
        request(server, connection, IORING_OP_SEND, linked ? OPERATION_SEND_LINKED : OPERATION_SEND_ALONE);

    entry->addr = (uint64_t)(uintptr_t)keep(server, connection, answer);
    entry->len = (uint32_t)answer.bytes;
    entry->msg_flags = MSG_WAITALL | MSG_NOSIGNAL;
    entry->flags = linked ? IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS : 0;
}

/* Answers the first request in the buffer, if it is whole, and asks for more. False: of no more use. */
static bool go_on(struct server *server, struct uring_connection *connection)
{
    const size_t bytes = answer_request_bytes(server, connection->buffer, connection->have);

    if (bytes > answer_buffer_bytes(server)) {
        server->malformed++;
        return false;
    }
    if (bytes == 0 || bytes > connection->have) {
        request_receive(server, connection);
        return true;
    }
    const struct answer answer = answer_make(server, connection->buffer, bytes);

    if (answer.data == NULL)
        return false;
    connection->answering = bytes;
    const bool linked = connection->have == bytes;

    request_send(server, connection, answer, linked);
    if (linked) {
        connection->have = 0;
        request_receive(server, connection);
    }
    return true;
}

static void stream_event(struct server *server, struct uring_connection *connection, enum operation operation,
                         int result)
{
    if (operation == OPERATION_SEND_LINKED) {
        server->send_errors++; /* the linked receive is cancelled, and its completion ends the connection */
        return;
    }
    if (operation == OPERATION_SEND_ALONE && result > 0) {
        connection->have -= connection->answering;
        memmove(connection->buffer, connection->buffer + connection->answering, connection->have);
    } else if (operation == OPERATION_RECEIVE && result > 0) {
        connection->have += (size_t)result;
    } else if (result != -EAGAIN && result != -EINTR) {
        server->send_errors += operation == OPERATION_SEND_ALONE;
        drop(server, connection);
        return;
    }
    if (!go_on(server, connection))
        drop(server, connection);
}

static void request_send_to(struct server *server, struct uring_connection *connection, struct answer answer)
{
    struct io_uring_sqe *entry = request(server, connection, IORING_OP_SENDMSG, OPERATION_SEND_LINKED);

    connection->out_piece = (struct iovec){(void *)(uintptr_t)keep(server, connection, answer), answer.bytes};
    connection->out = (struct msghdr){.msg_name = &connection->peer, .msg_namelen = connection->in.msg_namelen,
                                      .msg_iov = &connection->out_piece, .msg_iovlen = 1};
    entry->addr = (uint64_t)(uintptr_t)&connection->out;
    entry->len = 1;
    entry->flags = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
}

/* The socket's one "connection": it receives the next datagram when the reply to the one before is sent. */
static void datagram_event(struct server *server, struct uring_connection *connection, enum operation operation,
                           int result)
{
    struct answer answer = {0};

    if (operation != OPERATION_RECEIVE) {
        server->send_errors++; /* the linked receive is cancelled, and asked for again then */
        return;
    }
    if (result >= 0)
        answer = answer_make(server, connection->buffer, (size_t)result);
    if (answer.data != NULL)
        request_send_to(server, connection, answer);
    request_receive(server, connection);
}

static void accepted(struct server *server, struct uring_connection **list, int result)
{
    if (result >= 0) {
        server_welcome(server, result);
        request_receive(server, make_connection(server, result, list));
    } else if (result != -EINTR && result != -EAGAIN && result != -ECONNABORTED) {
        fail("accept a connection", NULL, -result);
    }
    request_accept(server);
}

static void complete(struct server *server, struct uring_connection **list, uint64_t user_data, int result)
{
    const enum operation operation = (enum operation)(user_data & (OPERATIONS - 1));
    struct uring_connection *connection =
        (struct uring_connection *)(uintptr_t)(user_data & ~(uint64_t)(OPERATIONS - 1));

    if (operation == OPERATION_RECEIVE && result > 0 && !connection->followed)
        connection->followed = uring_follow(&server->uring, connection->socket);
    if (operation == OPERATION_ACCEPT)
        accepted(server, list, result);
    else if (server->plan->at.protocol == PROTOCOL_UDP)
        datagram_event(server, connection, operation, result);
    else
        stream_event(server, connection, operation, result);
}

void server_run_uring(struct server *server)
{
    struct uring_connection *list = NULL;
    uint64_t user_data;
    uint32_t flags;
    int result;

    channel_prepare(server->socket, WAIT_BLOCKING, NO_TIMEOUT);
    if (server->plan->at.protocol == PROTOCOL_UDP)
        request_receive(server, make_connection(server, server->socket, &list));
    else
        request_accept(server);
    while (!stop_requested) {
        (void)uring_wait(&server->uring);
        while (uring_completion(&server->uring, &user_data, &result, &flags)) {
            uring_make_room(&server->uring);
            complete(server, &list, user_data, result);
        }
    }
    close(server->uring.fd); /* nothing is received into our memory any more */
    while (list != NULL)
        drop(server, list);
}
