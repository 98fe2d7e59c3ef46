/* Collects a request's time stamps on the client and turns them into phases. */
#include "phases.h"

#include <string.h>

const char *const phase_names[PHASE_COUNT] = {
    "phase_late",    "phase_request_send", "phase_request_wire", "phase_request_wake",
    "phase_service", "phase_reply_send",   "phase_reply_wire",   "phase_reply_wake",
};

static struct stamps *stamps_of(struct worker *worker, uint64_t sequence)
{
    const uint64_t index = sequence - worker->base;

    return index < worker->samples.count ? &worker->samples.stamps[index] : NULL;
}

/* Must be read soon: while a time stamp waits in the error queue, poll() and epoll_wait() do not sleep. */
static void collect(struct worker *worker, int socket)
{
    uint64_t sequence;
    int64_t scheduled_ns;

    while (stamping_take(worker->stamping, socket, &sequence, &scheduled_ns)) {
        struct stamps *stamps = stamps_of(worker, sequence);

        if (stamps != NULL)
            stamps->scheduled_ns = scheduled_ns;
    }
}

void phases_sent(struct worker *worker, const struct connection *connection, size_t size)
{
    const size_t index = worker->samples.count - 1;

    worker->samples.stamps[index] = (struct stamps){0};
    stamping_sent(worker->stamping, worker->base + index, size);
    collect(worker, connection->socket);
}

ssize_t phases_receive(struct worker *worker, int socket, int flags)
{
    collect(worker, socket);
    return stamping_receive(worker->stamping, socket, worker->in, worker->in_bytes, flags, NULL);
}

static void times_answered(struct stamps *stamps, const struct connection *connection)
{
    struct message_times times;

    memcpy(&times, connection->head + sizeof(struct message_header), sizeof times);
    *stamps = (struct stamps){
        .server_received_ns = times.received_ns, .server_sent_ns = times.sent_ns, .server_tid = times.tid};
}

void phases_answered(struct worker *worker, const struct connection *connection, size_t index)
{
    struct stamps *stamps = &worker->samples.stamps[index];
    struct message_stamps told;

    if (worker->load->txtime_ns > 0) {
        collect(worker, connection->socket);
        return;
    }
    if (worker->stamping == NULL) {
        times_answered(stamps, connection);
        return;
    }
    memcpy(&told, connection->head + sizeof(struct message_header), sizeof told);
    stamps->server_kernel_ns = told.received_kernel_ns;
    stamps->server_received_ns = told.received_ns;
    stamps->server_sent_ns = told.sent_ns;
    stamps->kernel_ns = worker->stamping->kernel_ns;
    struct stamps *previous = stamps_of(worker, told.previous);

    if (previous != NULL)
        previous->server_scheduled_ns = told.previous_scheduled_ns;
}

void phases_of(const struct sample *sample, const struct stamps *stamps, int64_t phases[PHASE_COUNT])
{
    const bool lost = sample->latency_ns < 0;
    const int64_t at[PHASE_COUNT + 1] = {
        sample->intended_ns,
        sample->sent_ns,
        stamps->scheduled_ns,
        stamps->server_kernel_ns,
        stamps->server_received_ns,
        stamps->server_sent_ns,
        stamps->server_scheduled_ns,
        stamps->kernel_ns,
        lost ? 0 : sample->intended_ns + sample->latency_ns,
    };

    for (int i = 0; i < PHASE_COUNT; i++)
        phases[i] = at[i] == 0 || at[i + 1] == 0 ? PHASE_UNKNOWN : at[i + 1] - at[i];
}
