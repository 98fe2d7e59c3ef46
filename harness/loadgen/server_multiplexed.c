/* Serves any number of TCP connections from one thread: spinning over them, or over poll, select or epoll. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"
#include "events.h"
#include "relax.h"
#include "selecting.h"
#include "stop.h"

#define EVENTS_PER_WAIT 64
/* A spinning server looks for new connections once in this many looks at those it has. */
#define LOOKS_PER_ACCEPT 256
/* A connection that does not take its reply for so long is given up, since the others wait behind it. */
#define SEND_PATIENCE_NS INT64_C(1000000000)

struct connection {
    int socket;
    size_t slot; /* its place in the tables below */
    size_t have; /* bytes received and not yet answered */
    unsigned char buffer[];
};

/* The listener's slot is 0 and its entry in `all` is NULL. `polled` runs parallel to `all`. */
struct connections {
    struct connection **all;
    struct pollfd *polled;
    size_t count, room;
};

static void grow(struct connections *table)
{
    if (table->count < table->room)
        return;
    table->room = table->room == 0 ? 64 : table->room * 2;
    table->all = realloc(table->all, table->room * sizeof(struct connection *));
    table->polled = realloc(table->polled, table->room * sizeof *table->polled);
    if (table->all == NULL || table->polled == NULL)
        fail("reserve memory for connections", NULL, ENOMEM);
}

static void add(const struct server *server, struct connections *table, int socket,
                struct connection *connection)
{
    struct epoll_event watched = {.events = EPOLLIN, .data.ptr = connection};

    grow(table);
    if (connection != NULL)
        connection->slot = table->count;
    table->all[table->count] = connection;
    table->polled[table->count] = (struct pollfd){.fd = socket, .events = POLLIN};
    table->count++;
    if (server->epoll >= 0 && epoll_ctl(server->epoll, EPOLL_CTL_ADD, socket, &watched) != 0)
        fail("watch a socket with epoll", NULL, errno);
}

/* The last entry takes the place of the removed one. Closing takes the socket out of the epoll instance. */
static void drop(struct server *server, struct connections *table, struct connection *connection)
{
    const size_t last = --table->count;

    table->all[connection->slot] = table->all[last];
    table->polled[connection->slot] = table->polled[last];
    table->all[last]->slot = connection->slot;
    server_close(server, connection->socket);
    free(connection);
}

static void adopt(struct server *server, struct connections *table, int socket)
{
    struct connection *connection = calloc(1, sizeof *connection + answer_buffer_bytes(server));

    if (connection == NULL)
        fail("reserve memory for a connection", NULL, ENOMEM);
    connection->socket = socket;
    add(server, table, socket, connection);
}

static void accept_one(struct server *server, struct connections *table)
{
    const int accepted = server_accept(server, SOCK_NONBLOCK);

    if (accepted < 0)
        return;
    struct server *owner = server->plan->by_napi ? server_of(server, accepted) : server;

    if (owner == server)
        adopt(server, table, accepted);
    else if (write(owner->inbox[1], &accepted, sizeof accepted) != sizeof accepted)
        fail("hand a connection to another thread", NULL, errno);
}

/* What another thread accepted. */
static void take_over(struct server *server, struct connections *table)
{
    int socket;

    if (read(server->inbox[0], &socket, sizeof socket) != sizeof socket)
        fail("take a connection from another thread", NULL, errno);
    adopt(server, table, socket);
}

static ssize_t receive(struct server *server, int socket, void *buffer, size_t size)
{
    return server->stamping == NULL ? recv(socket, buffer, size, 0)
                                    : stamping_receive(server->stamping, socket, buffer, size, 0, NULL);
}

/* Takes what is there and answers whole requests. False: the connection is of no more use. */
static bool serve(struct server *server, struct connection *connection)
{
    const ssize_t received = receive(server, connection->socket, connection->buffer + connection->have,
                                     answer_buffer_bytes(server) - connection->have);

    if (received <= 0)
        return received < 0 && (errno == EAGAIN || errno == EINTR);
    connection->have += (size_t)received;
    return answer_stream(server, connection->socket, connection->buffer, &connection->have, SEND_PATIENCE_NS);
}

static void handle(struct server *server, struct connections *table, struct connection *connection)
{
    if (connection != NULL && server->zerocopy != NULL)
        zerocopy_take(server->zerocopy, connection->socket);
    if (connection == NULL)
        accept_one(server, table);
    else if (!serve(server, connection))
        drop(server, table, connection);
}

static void check_wait(int ready)
{
    if (ready < 0 && errno != EINTR)
        fail("wait for connections", NULL, errno);
}

static void wait_epoll(struct server *server, struct connections *table)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    const int ready = epoll_wait(server->epoll, events, EVENTS_PER_WAIT, -1);

    check_wait(ready);
    waits_count(&server->waits, ready);
    for (int i = 0; i < ready; i++)
        if (events[i].data.ptr == server->inbox)
            take_over(server, table);
        else
            handle(server, table, events[i].data.ptr);
}

static void wait_poll(struct server *server, struct connections *table)
{
    int ready = server->plan->style == WAIT_SELECT ? select_as_poll(table->polled, table->count, NULL)
                                                   : poll(table->polled, table->count, -1);

    check_wait(ready);
    waits_count(&server->waits, ready);
    /* From the end, so that the entry which fills a dropped one's place has been looked at already. */
    for (size_t i = table->count; ready > 0 && i-- > 0;) {
        if (table->polled[i].revents == 0)
            continue;
        ready--;
        handle(server, table, table->all[i]);
    }
}

/* From the end, as above; the listener is looked at on its own account. */
static void spin(struct server *server, struct connections *table)
{
    for (size_t looks = 0; looks < LOOKS_PER_ACCEPT && !stop_requested; looks += table->count) {
        for (size_t i = table->count; i-- > 1;)
            handle(server, table, table->all[i]);
        relax();
    }
    accept_one(server, table);
}

void server_run_multiplexed(struct server *server)
{
    struct connections table = {0};

    /* The listener must not block once a client that was announced has gone again. */
    channel_prepare(server->socket, WAIT_SPIN, NO_TIMEOUT);
    add(server, &table, server->socket, NULL);
    if (server->plan->by_napi) {
        struct epoll_event watched = {.events = EPOLLIN, .data.ptr = server->inbox};

        if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->inbox[0], &watched) != 0)
            fail("watch a pipe with epoll", NULL, errno);
    }
    while (!stop_requested) {
        if (server->plan->style == WAIT_EPOLL)
            wait_epoll(server, &table);
        else if (server->plan->style == WAIT_POLL || server->plan->style == WAIT_SELECT)
            wait_poll(server, &table);
        else
            spin(server, &table);
    }
    while (table.count > 1)
        drop(server, &table, table.all[table.count - 1]);
    free(table.all);
    free(table.polled);
}
