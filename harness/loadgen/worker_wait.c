/* Receives replies in each wait style, for one connection or many. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "clock.h"
#include "phases.h"
#include "relax.h"
#include "selecting.h"
#include "worker.h"

#define EVENTS_PER_WAIT 64
/* Looks before the caller gets its turn again. */
#define LOOKS 16

static ssize_t receive_some(struct worker *worker, const struct connection *connection, int flags)
{
    if (connection->xsk != NULL)
        return xsk_receive(connection->xsk, worker->in, worker->in_bytes, NULL);
    if (worker->stamping != NULL)
        return phases_receive(worker, connection->socket, flags);
    return recv(connection->socket, worker->in, worker->in_bytes, flags);
}

/* Receives once. True: something came. */
static bool receive_from(struct worker *worker, struct connection *connection, int flags)
{
    const ssize_t received = receive_some(worker, connection, flags);

    if (received > 0 || (received == 0 && worker->load->to.protocol == PROTOCOL_UDP)) {
        worker_take(worker, connection, (size_t)received, clock_now_ns());
        return true;
    }
    if (received == 0)
        worker_fail(worker, ECONNRESET);
    if (errno != EAGAIN && errno != EINTR)
        worker_fail(worker, errno);
    return false;
}

/* Only connections that owe a reply are looked at, in turn, until one has something; where the next request has its
 * time, none of them twice before the caller looks at the clock again. */
static void look(struct worker *worker, bool may_sleep)
{
    const size_t looks = may_sleep || worker->owing_count > LOOKS ? LOOKS : worker->owing_count;

    for (size_t tries = 0; tries < looks && worker->owing_count > 0; tries++) {
        if (worker->cursor >= worker->owing_count)
            worker->cursor = 0;
        if (receive_from(worker, &worker->connections[worker->owing[worker->cursor++]], MSG_DONTWAIT))
            return;
        relax();
    }
}

static void wait_poll(struct worker *worker, bool may_sleep)
{
    const struct timespec timeout = clock_from_ns(may_sleep ? worker->load->timeout_ns : 0);
    int ready = worker->load->style == WAIT_SELECT ? select_as_poll(worker->polled, worker->count, &timeout)
                                                   : ppoll(worker->polled, worker->count, &timeout, NULL);

    if (ready < 0 && errno != EINTR)
        worker_fail(worker, errno);
    waits_count(&worker->waits, ready);
    if (ready == 0)
        relax();
    for (uint32_t i = 0; ready > 0 && i < worker->count; i++) {
        if (worker->polled[i].revents == 0)
            continue;
        ready--;
        receive_from(worker, &worker->connections[i], MSG_DONTWAIT);
    }
}

/* epoll_wait counts milliseconds; rounded up so that it never wakes before its time. */
static int epoll_timeout(const struct worker *worker, bool may_sleep)
{
    const int64_t ms = may_sleep ? (worker->load->timeout_ns + NS_PER_MS - 1) / NS_PER_MS : 0;

    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static void wait_epoll(struct worker *worker, bool may_sleep)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    const int ready = epoll_wait(worker->epoll, events, EVENTS_PER_WAIT, epoll_timeout(worker, may_sleep));

    if (ready < 0 && errno != EINTR)
        worker_fail(worker, errno);
    waits_count(&worker->waits, ready);
    if (ready == 0)
        relax();
    for (int i = 0; i < ready; i++) {
        struct connection *connection = &worker->connections[events[i].data.u32];

        if (connection->socket >= 0)
            receive_from(worker, connection, MSG_DONTWAIT);
    }
}

void worker_receive(struct worker *worker, bool may_sleep)
{
    const struct xsk *xsk = worker->connections[0].xsk; /* alone where there is one */

    if (xsk != NULL && xsk_ready(xsk)) {
        receive_from(worker, &worker->connections[0], MSG_DONTWAIT);
        return;
    }
    switch (worker->load->style) {
    case WAIT_POLL:
    case WAIT_SELECT:
        wait_poll(worker, may_sleep);
        break;
    case WAIT_EPOLL:
        wait_epoll(worker, may_sleep);
        break;
    case WAIT_BLOCKING:
        if (may_sleep && worker->count == 1)
            receive_from(worker, &worker->connections[0], 0);
        else
            look(worker, may_sleep);
        break;
    case WAIT_SPIN:
    case WAIT_URING: /* no client has it */
    default:
        look(worker, may_sleep);
    }
}
