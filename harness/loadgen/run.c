/* The measuring loops. A closed one sends when a reply makes room and may sleep meanwhile; an open one sends when
 * the schedule says so and never sleeps: a sender that must first wake up is late. */
#include "run.h"

#include "clock.h"
#include "control.h"
#include "relax.h"
#include "stop.h"

/* Where replies never let us wait, nothing but the loop itself can notice that it must end. */
static inline void check_stop(const struct worker *worker)
{
    if (__builtin_expect(stop_requested, 0))
        control_stopped(worker->attempted);
}

static void receive(struct worker *worker, bool may_sleep)
{
    if (worker->blocked_count > 0)
        worker_resume(worker);
    /* Nothing but we ourselves can go on with an unsent request, so there is no sleeping over it. */
    worker_receive(worker, may_sleep && worker->blocked_count == 0);
}

/* Whether the samples have room for another request. */
static inline bool has_room(struct worker *worker, const struct span *span)
{
    if (__builtin_expect(worker->samples.count < worker->samples.capacity, 1))
        return true;
    if (span->recycle && worker->outstanding == 0) {
        worker_use(worker, (struct samples){worker->samples.records, worker->samples.stamps, 0,
                                            worker->samples.capacity});
        return true;
    }
    worker->overflow |= !span->recycle;
    return false;
}

static int64_t run_closed(struct worker *worker, const struct span *span)
{
    const size_t depth = (size_t)span->depth;
    int64_t sent = 0;

    for (;;) {
        struct connection *connection;

        check_stop(worker);
        const int64_t now_ns = clock_now_ns();

        if (now_ns >= span->end_ns || sent == span->count)
            break;
        if (now_ns >= worker->deadline_ns)
            worker_expire(worker, now_ns);
        if (worker->outstanding < depth && has_room(worker, span) && (connection = worker_pick(worker)) != NULL) {
            worker_send(worker, connection, now_ns, now_ns);
            sent++;
            if (worker->outstanding < depth)
                continue;
        }
        if (worker->overflow)
            break;
        receive(worker, true);
    }
    return sent;
}

static int64_t run_open(struct worker *worker, const struct span *span)
{
    struct arrivals *arrivals = &worker->arrivals;
    int64_t sent = 0;

    arrivals_begin(arrivals, span->begin_ns, worker->load->seed, span->stream);
    for (;;) {
        struct connection *connection;

        check_stop(worker);
        const int64_t now_ns = clock_now_ns();
        const int64_t due_ns = arrivals_next_ns(arrivals);

        if (now_ns >= worker->deadline_ns)
            worker_expire(worker, now_ns);
        if (sent == span->count || (due_ns >= span->end_ns && now_ns >= span->end_ns))
            break;
        if (now_ns >= span->end_ns + worker->load->late_ns)
            break; /* too late for what is left */
        if (now_ns >= due_ns && due_ns < span->end_ns && has_room(worker, span) &&
            (connection = worker_pick(worker)) != NULL) {
            worker_send(worker, connection, due_ns, now_ns);
            arrivals_advance(arrivals);
            sent++;
        }
        if (worker->overflow)
            break;
        if (worker->outstanding > 0)
            receive(worker, false);
        else
            relax();
    }
    if (span->recorded && span->end_ns < NO_END)
        worker->tally.missed = arrivals_skip(arrivals, span->end_ns, span->count - sent);
    return sent;
}

static void begin_window(struct worker *worker, const struct span *span)
{
    worker->first = worker->samples.count;
    worker->last = SIZE_MAX;
    worker->tally = (struct tally){0};
    worker->start_ns = span->begin_ns;
    worker->usage = usage_thread();
    worker->waits = (struct waits){0};
}

static void end_window(struct worker *worker)
{
    const int64_t now_ns = clock_now_ns();

    worker->usage = usage_between(worker->usage, usage_thread());
    worker->last = worker->samples.count;
    worker->tally.waits = worker->waits;
    if (now_ns > worker->end_ns)
        worker->end_ns = now_ns;
}

int64_t run_span(struct worker *worker, const struct span *span)
{
    worker->attempted = span->what;
    if (span->recorded)
        begin_window(worker, span);
    const int64_t sent = span->loop == LOOP_OPEN ? run_open(worker, span) : run_closed(worker, span);

    if (span->recorded)
        end_window(worker);
    return sent;
}

void run_drain(struct worker *worker, const char *what)
{
    worker->attempted = what;
    while (worker->outstanding > 0) {
        check_stop(worker);
        const int64_t now_ns = clock_now_ns();

        if (now_ns >= worker->deadline_ns)
            worker_expire(worker, now_ns);
        else
            receive(worker, worker->load->loop == LOOP_CLOSED);
    }
}
