/* Sends requests and settles what becomes of them; this is the inside of the measuring loop: the only system
 * calls are the I/O, and nothing is allocated or locked. */
#include "worker.h"

#include <errno.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "events.h"
#include "lanes.h"
#include "phases.h"
#include "stop.h"

void worker_use(struct worker *worker, struct samples samples)
{
    worker->base += worker->samples.count; /* of the samples used until now: numbers go on */
    worker->samples = samples;
    worker->oldest = 0;
    worker->first = worker->last = 0;
    worker->deadline_ns = INT64_MAX;
    worker->fastest_ns = INT64_MAX;
}

void worker_fail(const struct worker *worker, int error)
{
    if (stop_requested)
        control_stopped(worker->attempted);
    fail(worker->attempted, worker->load->to.text, error);
}

struct connection *worker_pick(struct worker *worker)
{
    for (uint32_t tries = 0; tries < worker->count; tries++) {
        struct connection *connection = &worker->connections[worker->next];

        if (++worker->next == worker->count)
            worker->next = 0;
        if (connection->unsent == 0 && !(worker->load->connect_per_request && connection->socket >= 0))
            return connection;
    }
    return NULL;
}

static void owe(struct worker *worker, struct connection *connection)
{
    if (connection->owed++ > 0)
        return;
    connection->place = worker->owing_count;
    worker->owing[worker->owing_count++] = (uint32_t)(connection - worker->connections);
}

/* The last of those who owe takes the place of the one that owes nothing any more. */
static void acquit(struct worker *worker, struct connection *connection)
{
    if (connection->owed == 0 || --connection->owed > 0)
        return;
    const uint32_t moved = worker->owing[--worker->owing_count];

    worker->owing[connection->place] = moved;
    worker->connections[moved].place = connection->place;
}

void worker_send(struct worker *worker, struct connection *connection, int64_t intended_ns, int64_t now_ns)
{
    const size_t index = worker->samples.count++;
    const size_t size = traffic_build(&worker->traffic, worker->base + index);

    worker->samples.records[index] = (struct sample){
        .intended_ns = intended_ns,
        .latency_ns = SAMPLE_PENDING,
        .sent_ns = now_ns,
        .connection = connection->number,
    };
    if (worker->outstanding++ == 0) {
        worker->oldest = index;
        worker->deadline_ns = now_ns + worker->load->timeout_ns;
    }
    if (worker_recorded(worker, index))
        worker->tally.bytes_sent += (int64_t)size;
    if (connection->socket < 0)
        lane_open(worker, connection);
    owe(worker, connection);
    connection->departs_ns = worker->load->txtime_ns > 0 ? now_ns + worker->load->txtime_ns : 0;
    if (connection_send(connection, &worker->traffic, size) != 0)
        worker_fail(worker, errno);
    if (connection->unsent > 0)
        worker->blocked[worker->blocked_count++] = (uint32_t)(connection - worker->connections);
    if (worker->stamping != NULL)
        phases_sent(worker, connection, size);
}

void worker_resume(struct worker *worker)
{
    for (uint32_t i = worker->blocked_count; i-- > 0;) {
        struct connection *connection = &worker->connections[worker->blocked[i]];

        if (connection_resume(connection, &worker->traffic) != 0)
            worker_fail(worker, errno);
        if (connection->unsent == 0)
            worker->blocked[i] = worker->blocked[--worker->blocked_count];
    }
}

static void find_oldest(struct worker *worker)
{
    const struct samples *samples = &worker->samples;
    size_t index = worker->oldest;

    while (index < samples->count && samples->records[index].latency_ns != SAMPLE_PENDING)
        index++;
    worker->oldest = index;
    worker->deadline_ns =
        index < samples->count ? samples->records[index].sent_ns + worker->load->timeout_ns : INT64_MAX;
}

static void settle(struct worker *worker, size_t index, int64_t latency_ns, int64_t now_ns)
{
    worker->samples.records[index].latency_ns = latency_ns;
    worker->outstanding--;
    if (index == worker->oldest)
        find_oldest(worker);
    if (worker_recorded(worker, index) && now_ns > worker->end_ns)
        worker->end_ns = now_ns;
}

/* Replies to requests that are not recorded are nobody's concern. */
static void count_stale(struct worker *worker, size_t index)
{
    if (!worker_recorded(worker, index))
        return;
    if (worker->samples.records[index].latency_ns == SAMPLE_LOST)
        worker->tally.late++;
    else
        worker->tally.duplicates++;
}

/* Numbers from before these samples wrap round to huge indexes, so one comparison serves both ends. */
static size_t index_of(const struct worker *worker, uint64_t sequence)
{
    if (worker->load->traffic.app == APP_MEMCACHED)
        return (uint32_t)sequence - (uint32_t)worker->base;
    return sequence - worker->base;
}

static void answer(struct worker *worker, struct connection *connection, const struct reply *reply,
                   int64_t now_ns)
{
    const size_t index = index_of(worker, reply->sequence);

    if (index >= worker->samples.count)
        return;
    const struct sample *sample = &worker->samples.records[index];

    if (sample->latency_ns != SAMPLE_PENDING) {
        count_stale(worker, index);
        return;
    }
    if (now_ns - sample->sent_ns < worker->fastest_ns)
        worker->fastest_ns = now_ns - sample->sent_ns;
    if (worker->samples.stamps != NULL)
        phases_answered(worker, connection, index);
    if (worker_recorded(worker, index)) {
        worker->tally.bytes_received += (int64_t)reply->bytes;
        if (worker->load->traffic.app == APP_MEMCACHED)
            memcached_count(&worker->tally.memcached, connection->head);
    }
    settle(worker, index, now_ns - sample->intended_ns, now_ns);
    if (worker->load->to.protocol == PROTOCOL_UDP)
        acquit(worker, connection);
}

static void take_datagram(struct worker *worker, struct connection *connection, size_t size, int64_t now_ns)
{
    const unsigned char *data = worker->in;
    size_t rest = size;

    connection->have = 0; /* a datagram is one whole reply or none */
    const struct arrived arrived = connection_take(connection, &worker->load->traffic, &data, &rest);

    if (arrived.complete && rest == 0)
        answer(worker, connection, &arrived.reply, now_ns);
    else
        worker->tally.malformed++;
}

void worker_take(struct worker *worker, struct connection *connection, size_t size, int64_t now_ns)
{
    const unsigned char *data = worker->in;

    if (worker->load->to.protocol == PROTOCOL_UDP) {
        take_datagram(worker, connection, size, now_ns);
        return;
    }
    while (size > 0) {
        const struct arrived arrived = connection_take(connection, &worker->load->traffic, &data, &size);

        if (arrived.malformed)
            worker_fail(worker, EPROTO);
        if (!arrived.complete)
            continue;
        acquit(worker, connection); /* whether or not anybody still waits for this reply */
        answer(worker, connection, &arrived.reply, now_ns);
        if (worker->load->connect_per_request) {
            lane_close(worker, connection);
            return;
        }
    }
}

/* A datagram may be lost; a stream only if its user goes on without the reply, as an open loop does. */
void worker_expire(struct worker *worker, int64_t now_ns)
{
    const bool datagrams = worker->load->to.protocol == PROTOCOL_UDP;

    while (now_ns >= worker->deadline_ns) {
        const size_t index = worker->oldest;
        struct connection *connection =
            &worker->connections[worker->samples.records[index].connection - worker->connections[0].number];

        if (!datagrams && worker->load->loop == LOOP_CLOSED)
            worker_fail(worker, ETIMEDOUT);
        if (worker_recorded(worker, index))
            worker->tally.lost++;
        settle(worker, index, SAMPLE_LOST, now_ns);
        /* A stream's reply still comes, and is read off then; a datagram's may never. */
        if (datagrams)
            acquit(worker, connection);
        else if (worker->load->connect_per_request)
            lane_close(worker, connection);
    }
}
