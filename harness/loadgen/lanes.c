/* Makes workers and their connections. */
#include "lanes.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "events.h"
#include "phases.h"
#include "txtime.h"

#define IN_BYTES 65536

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        fail("reserve memory for connections", NULL, ENOMEM);
    return memory;
}

/* In an open loop nothing may block, whatever the style. */
static enum wait_style socket_style(const struct load *load)
{
    return load->loop == LOOP_OPEN ? WAIT_SPIN : load->style;
}

void lane_open(struct worker *worker, struct connection *connection)
{
    const struct load *load = worker->load;
    const uint32_t index = (uint32_t)(connection - worker->connections);

    if (xsk_wanted(&load->xsk))
        connection->xsk = xsk_connect(&load->to, &load->xsk, &load->sockopts, load->timeout_ns);
    if (connection->xsk != NULL)
        connection->socket = xsk_descriptor(connection->xsk);
    else if (load->connect_per_request)
        connection->socket =
            endpoint_begin_connecting(&load->to, &load->sockopts, socket_style(load) == WAIT_BLOCKING);
    else
        connection->socket = endpoint_connect(&load->to, &load->sockopts, load->timeout_ns);
    if (connection->xsk == NULL && (!load->connect_per_request || socket_style(load) == WAIT_BLOCKING))
        channel_prepare(connection->socket, socket_style(load), load->timeout_ns);
    if (worker->polled != NULL)
        worker->polled[index] = (struct pollfd){.fd = connection->socket, .events = POLLIN};
    if (worker->epoll >= 0)
        channel_watch(worker->epoll, connection->socket, index);
    if (load->txtime_ns > 0)
        txtime_enable(connection->socket);
    if (worker->stamping != NULL)
        stamping_begin(worker->stamping, connection->socket, load->to.protocol == PROTOCOL_TCP, load->txtime_ns > 0);
}

static void forget(struct worker *worker, struct connection *connection)
{
    const uint32_t index = (uint32_t)(connection - worker->connections);

    if (connection->owed > 0) {
        const uint32_t moved = worker->owing[--worker->owing_count];

        worker->owing[connection->place] = moved;
        worker->connections[moved].place = connection->place;
    }
    for (uint32_t i = 0; connection->unsent > 0 && i < worker->blocked_count; i++)
        if (worker->blocked[i] == index)
            worker->blocked[i] = worker->blocked[--worker->blocked_count];
    connection->owed = connection->unsent = 0;
    connection->have = 0;
}

/* Not in the window, nor after it, where only what the load itself needs may happen. */
static void note_socket(struct worker *worker, int socket)
{
    if (worker->last > 0)
        return;
    napi_ids_add(&worker->napi_ids, socket);
    worker->found = sockopts_read(socket);
}

void lane_close(struct worker *worker, struct connection *connection)
{
    /* Closing by reset leaves no TIME_WAIT behind: a minute of those would use up all ports. */
    const struct linger at_once = {.l_onoff = 1};

    forget(worker, connection);
    if (worker->load->connect_per_request) {
        setsockopt(connection->socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        note_socket(worker, connection->socket);
    }
    if (connection->xsk != NULL)
        xsk_close(connection->xsk);
    else
        close(connection->socket);
    connection->socket = -1;
    if (worker->polled != NULL)
        worker->polled[connection - worker->connections].fd = -1; /* poll() passes over it */
}

static void make_connections(struct worker *worker)
{
    const struct load *load = worker->load;
    uint32_t number = 0;

    for (int64_t before = 0; before < worker->index; before++)
        number += (uint32_t)load_share(load->connections, before, load->threads);
    for (uint32_t i = 0; i < worker->count; i++) {
        worker->connections[i].number = number + i;
        worker->connections[i].socket = -1;
        if (!load->connect_per_request)
            lane_open(worker, &worker->connections[i]);
        else if (worker->polled != NULL)
            worker->polled[i].fd = -1;
    }
}

struct worker *worker_make(const struct load *load, int64_t index)
{
    struct worker *worker = zeroed(1, sizeof *worker);

    worker->load = load;
    worker->index = index;
    worker->base = 1;
    worker->count = (uint32_t)load_share(load->connections, index, load->threads);
    worker->connections = zeroed(worker->count, sizeof *worker->connections);
    worker->owing = zeroed(worker->count, sizeof *worker->owing);
    worker->blocked = zeroed(worker->count, sizeof *worker->blocked);
    worker->polled = load->style == WAIT_POLL || load->style == WAIT_SELECT
                         ? zeroed(worker->count, sizeof *worker->polled)
                         : NULL;
    worker->epoll = channel_make_epoll(load->style);
    sockopts_apply_epoll(&load->sockopts, worker->epoll);
    worker->stamping = load->phases || load->txtime_ns > 0 ? zeroed(1, sizeof *worker->stamping) : NULL;
    worker->traffic = traffic_make(&load->traffic);
    worker->in_bytes = IN_BYTES; /* larger replies come in several pieces */
    worker->in = zeroed(1, worker->in_bytes);
    worker->arrivals = arrivals_make(load->arrivals, load->rate, load->burst, index, load->threads);
    make_connections(worker);
    return worker;
}

void worker_free(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->count; i++)
        if (worker->connections[i].socket >= 0)
            lane_close(worker, &worker->connections[i]);
    if (worker->epoll >= 0)
        close(worker->epoll);
    samples_free(&worker->samples);
    traffic_free(&worker->traffic);
    free(worker->stamping);
    free(worker->connections);
    free(worker->owing);
    free(worker->blocked);
    free(worker->polled);
    free(worker->in);
    free(worker);
}
