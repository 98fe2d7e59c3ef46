/* Adds up what the workers counted and writes the result event. */
#include "client_report.h"

#include "clock.h"
#include "events.h"
#include "launch.h"
#include "phases.h"
#include "quantiles.h"
#include "txtime.h"

/* Everything over all workers. */
struct total {
    int64_t requests, elapsed_ns;
    bool overflow;
    struct tally tally;
    struct usage usage;
};

static void add_memcached(struct memcached_tally *total, const struct memcached_tally *own)
{
    total->gets += own->gets;
    total->sets += own->sets;
    total->hits += own->hits;
    total->misses += own->misses;
    total->errors += own->errors;
}

static void add_tally(struct tally *total, const struct tally *own)
{
    total->lost += own->lost;
    total->late += own->late;
    total->duplicates += own->duplicates;
    total->malformed += own->malformed;
    total->missed += own->missed;
    total->bytes_sent += own->bytes_sent;
    total->bytes_received += own->bytes_received;
    add_memcached(&total->memcached, &own->memcached);
    total->waits.returns += own->waits.returns;
    total->waits.empty += own->waits.empty;
}

/* An open loop's window is as long as it was meant to be; by count it ends where the next request after the last
 * would be due; and a closed loop's with the last reply. */
static int64_t elapsed(const struct load *load, const struct worker *worker)
{
    if (load->loop == LOOP_CLOSED)
        return worker->end_ns - worker->start_ns;
    if (load->duration_ns != NO_END && load->count == NO_COUNT)
        return load->duration_ns;
    if (worker->last == worker->first)
        return 0;

    const struct arrivals *arrivals = &worker->arrivals;
    const double gap_ns = arrivals->gap_ns * (double)arrivals->burst - arrivals->first_ns;

    return worker->samples.records[worker->last - 1].sent_ns - worker->start_ns + (int64_t)gap_ns;
}

static struct total add_up(const struct load *load, struct worker *const *workers)
{
    struct total total = {0};

    for (int64_t i = 0; i < load->threads; i++) {
        const int64_t elapsed_ns = elapsed(load, workers[i]);

        total.requests += (int64_t)(workers[i]->last - workers[i]->first);
        total.overflow |= workers[i]->overflow;
        if (elapsed_ns > total.elapsed_ns)
            total.elapsed_ns = elapsed_ns;
        add_tally(&total.tally, &workers[i]->tally);
        total.usage = usage_plus(total.usage, workers[i]->usage);
    }
    return total;
}

static double per_second(int64_t number, int64_t elapsed_ns)
{
    return elapsed_ns > 0 ? (double)number * (double)NS_PER_S / (double)elapsed_ns : 0;
}

static void event_load(const struct load *load)
{
    const bool open = load->loop == LOOP_OPEN;

    event_text("loop", loop_names[load->loop]);
    open ? event_null("depth") : event_int("depth", load->depth);
    open ? event_real("offered_rps", load->rate) : event_null("offered_rps");
    open ? event_text("arrivals", arrivals_names[load->arrivals]) : event_null("arrivals");
    open ? event_int("burst", load->burst) : event_null("burst");
    event_int("seed", (int64_t)load->seed);
    event_int("connections", load->connections);
    event_int("threads", load->threads);
    event_bool("connect_per_request", load->connect_per_request);
}

static void event_counts(const struct total *total, int64_t settle_requests)
{
    const struct tally *tally = &total->tally;

    event_int("requests", total->requests);
    event_int("answered", total->requests - tally->lost);
    event_int("lost", tally->lost);
    event_int("late", tally->late);
    event_int("duplicates", tally->duplicates);
    event_int("malformed", tally->malformed);
    event_int("settle_requests", settle_requests);
    event_int("bytes_sent", tally->bytes_sent);
    event_int("bytes_received", tally->bytes_received);
    event_int("elapsed_ns", total->elapsed_ns);
    event_real("achieved_rps", per_second(total->requests, total->elapsed_ns));
    event_real("answered_rps", per_second(total->requests - tally->lost, total->elapsed_ns));
    event_int("waits", tally->waits.returns);
    event_int("empty_waits", tally->waits.empty);
    event_bool("overflow", total->overflow);
}

static void event_lateness(const struct load *load, struct worker *const *workers, int64_t missed)
{
    const size_t count = (size_t)load->threads;

    event_int("late_ns", load->late_ns);
    event_int("missed_sends", missed);
    if (load->loop == LOOP_CLOSED) {
        event_int("late_sends", 0);
        event_null("lateness_p50_ns");
        event_null("lateness_p99_ns");
        event_null("lateness_max_ns");
        return;
    }
    const struct quantiles lateness = quantiles_lateness(workers, count, load->late_ns);

    event_int("late_sends", lateness.above);
    event_int("lateness_p50_ns", lateness.p50_ns);
    event_int("lateness_p99_ns", lateness.p99_ns);
    event_int("lateness_max_ns", lateness.max_ns);
}

static void event_turnaround(const struct load *load, struct worker *const *workers)
{
    if (load->loop == LOOP_OPEN || load->depth > 1 || load->connections > load->threads) {
        event_null("turnaround_p99_ns");
        event_null("turnaround_max_ns");
        return;
    }
    const struct quantiles turnaround = quantiles_turnaround(workers, (size_t)load->threads);

    event_int("turnaround_p99_ns", turnaround.p99_ns);
    event_int("turnaround_max_ns", turnaround.max_ns);
}

static void event_clock(void)
{
    const struct clock_quality clock = clock_measure();

    event_object("clock");
    event_int("source_resolution_ns", clock.resolution_ns);
    event_real("overhead_ns", clock.overhead_ns);
    event_object_end();
}

static void event_thread_usage(const struct load *load, struct worker *const *workers)
{
    event_array("thread_usage");
    for (int64_t i = 0; i < load->threads; i++) {
        event_object(NULL);
        usage_members(workers[i]->usage);
        event_object_end();
    }
    event_array_end();
}

static void event_tids(const struct load *load, struct worker *const *workers)
{
    event_array("tids");
    for (int64_t i = 0; i < load->threads; i++)
        event_int(NULL, workers[i]->tid);
    event_array_end();
}

static void event_phases(const struct worker *worker)
{
    bool known[PHASE_COUNT] = {false};
    int64_t phases[PHASE_COUNT];

    if (!worker->load->phases) {
        event_null("phases_available");
        return;
    }
    for (size_t i = worker->first; i < worker->last; i++) {
        phases_of(&worker->samples.records[i], &worker->samples.stamps[i], phases);
        for (int phase = 0; phase < PHASE_COUNT; phase++)
            known[phase] |= phases[phase] != PHASE_UNKNOWN;
    }
    event_array("phases_available");
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        if (known[phase])
            event_element(phase_names[phase]);
    event_array_end();
}

static void event_memcached(const struct load *load, const struct memcached_tally *tally)
{
    if (load->traffic.app != APP_MEMCACHED) {
        event_null("memcached");
        return;
    }
    event_object("memcached");
    event_int("gets", tally->gets);
    event_int("sets", tally->sets);
    event_int("hits", tally->hits);
    event_int("misses", tally->misses);
    event_int("errors", tally->errors);
    event_object_end();
}

/* All sockets were made alike, so the options of one are those of all. */
static void event_sockets(const struct load *load, struct worker *const *workers)
{
    struct napi_ids napi = {0};
    struct sockopts_found found = workers[0]->found;

    for (int64_t i = 0; i < load->threads; i++) {
        napi_ids_merge(&napi, &workers[i]->napi_ids);
        for (uint32_t k = 0; k < workers[i]->count; k++)
            if (workers[i]->connections[k].socket >= 0)
                napi_ids_add(&napi, workers[i]->connections[k].socket);
    }
    if (workers[0]->connections[0].socket >= 0)
        found = sockopts_read(workers[0]->connections[0].socket);
    napi_ids_event(&napi);
    event_object("readback");
    sockopts_event(found, workers[0]->epoll);
    launch_readback();
    event_object_end();
}

void client_report(const struct load *load, struct worker *const *workers, int64_t settle_requests)
{
    const struct total total = add_up(load, workers);

    event_begin("result");
    event_load(load);
    event_counts(&total, settle_requests);
    event_int("start_ns", workers[0]->start_ns);
    event_tids(load, workers);
    event_lateness(load, workers, total.tally.missed);
    event_turnaround(load, workers);
    event_phases(workers[0]);
    if (load->txtime_ns > 0)
        txtime_event(workers[0]);
    event_memcached(load, &total.tally.memcached);
    event_clock();
    usage_event(total.usage);
    event_thread_usage(load, workers);
    event_sockets(load, workers);
    xsk_event(workers[0]->connections[0].xsk);
    event_end();
}
