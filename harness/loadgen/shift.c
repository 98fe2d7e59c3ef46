/* What each thread of a client does between the harness's commands. */
#include "shift.h"

#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "clock.h"
#include "cpulist.h"
#include "run.h"

/* The first datagrams may be lost while neighbours are being looked up. */
#define FIRST_REPLY_TRIES 5
/* Even without a warm-up the rate must be known, to know how much room the samples need. */
#define WARMUP_REQUESTS_MIN 16
#define WARMUP_RECORDS 65536
#define PRELOAD_DEPTH 16
/* Warm-up may be slower than the measurement (cold caches, CPUs asleep): leave plenty of room. But a closed loop
 * is never faster than its fastest round trip, and a long measurement takes memory by the gigabyte. */
#define MEAN_RATE_MARGIN 4
#define PEAK_RATE_MARGIN 1.5
#define SPARE_RECORDS 65536
/* Others may take some of the free memory meanwhile. */
#define AFFORDABLE_SHARE 0.9

/* Streams of random numbers, told apart by thread and by what they are for. */
enum stream { STREAM_WARMUP, STREAM_SETTLE, STREAM_WINDOW, STREAM_COOLDOWN, STREAM_KINDS };

static uint64_t stream_of(const struct worker *worker, enum stream stream)
{
    return (uint64_t)worker->index * STREAM_KINDS + stream;
}

static bool stamped(const struct load *load)
{
    return load->phases || load->times || load->txtime_ns > 0;
}

static void take_place(const struct worker *worker)
{
    if (worker->load->thread_cpus != NULL)
        cpulist_pin(worker->load->thread_cpus, (size_t)worker->index);
}

static int64_t closed_loop(struct worker *worker, const char *what, int64_t count, int64_t depth)
{
    const struct span span = {.what = what, .end_ns = NO_END, .count = count, .depth = depth, .recycle = true};
    const int64_t sent = run_span(worker, &span);

    run_drain(worker, what);
    return sent;
}

static void await_first_reply(struct worker *worker)
{
    for (int tries = 1;; tries++) {
        worker->fastest_ns = INT64_MAX;
        closed_loop(worker, "get a first reply", 1, 1);
        if (worker->fastest_ns != INT64_MAX)
            return;
        if (tries == FIRST_REPLY_TRIES)
            worker_fail(worker, ETIMEDOUT);
        worker->next = 0;
    }
}

void shift_begin(void *argument)
{
    struct worker *worker = ((struct shift *)argument)->worker;

    take_place(worker);
    worker_use(worker, samples_allocate(WARMUP_RECORDS, stamped(worker->load)));
    traffic_begin(&worker->traffic, worker->load->seed, stream_of(worker, STREAM_WARMUP));
    await_first_reply(worker);
    if (worker->load->preload) {
        const int64_t keys = worker->load->traffic.memcached.keys;

        worker->traffic.preload = load_share(keys, 0, worker->load->threads) * worker->index;
        closed_loop(worker, "store the keys", load_share(keys, worker->index, worker->load->threads) + 1,
                    PRELOAD_DEPTH);
        worker->traffic.preload = -1;
    }
}

/* How many requests a schedule may hold at most, but for one chance in a million. */
static double scheduled(const struct load *load, int64_t duration_ns)
{
    const double mean = load->rate / (double)load->threads * (double)duration_ns / (double)NS_PER_S;

    return mean + 10 * sqrt(mean) + 2 * (double)load->burst + 16;
}

/* The requests at full speed (closed loop, every connection has a turn), then the loop as it will be measured. */
void shift_warm_up(void *argument)
{
    struct shift *shift = argument;
    struct worker *worker = shift->worker;
    const struct load *load = worker->load;
    const int64_t start = clock_now_ns();
    const bool open = load->loop == LOOP_OPEN;
    const int64_t at_least = worker->count > WARMUP_REQUESTS_MIN ? worker->count : WARMUP_REQUESTS_MIN;
    struct span span = {.what = "warm up", .loop = load->loop, .depth = load->depth, .count = NO_COUNT,
                        .stream = stream_of(worker, STREAM_WARMUP), .recycle = true};

    take_place(worker);
    worker->fastest_ns = INT64_MAX;
    shift->warm_requests = closed_loop(worker, "warm up", at_least, open ? 1 : load->depth);
    if (open) {
        samples_free(&worker->samples);
        worker_use(worker, samples_allocate(scheduled(load, load->warmup_ns), stamped(load)));
    }
    span.begin_ns = open ? clock_now_ns() : start;
    span.end_ns = span.begin_ns + load->warmup_ns;
    shift->warm_requests += run_span(worker, &span);
    run_drain(worker, "warm up");
    shift->warm_ns = clock_now_ns() - start;
}

static double closed_rate(const struct shift *shift)
{
    const struct worker *worker = shift->worker;
    const double mean = (double)shift->warm_requests / (double)shift->warm_ns * MEAN_RATE_MARGIN;
    const double peak = PEAK_RATE_MARGIN * (double)worker->load->depth / (double)worker->fastest_ns;

    /* With no answer at all the mean rate is that of the timeouts, and it is all there is to go by. */
    return worker->fastest_ns == INT64_MAX || mean < peak ? mean : peak;
}

static double room_for(const struct shift *shift)
{
    const struct load *load = shift->worker->load;
    const int64_t around_ns = load->settle_ns + load->cooldown_ns;
    const bool open = load->loop == LOOP_OPEN;
    const double rate = closed_rate(shift);
    double window = open ? scheduled(load, load->duration_ns) : rate * (double)load->duration_ns;

    if (load->count < window)
        window = (double)load->count;
    window += open ? scheduled(load, load->settle_ns) + scheduled(load, load->cooldown_ns)
                   : rate * (double)around_ns + SPARE_RECORDS;
    const double affordable = AFFORDABLE_SHARE * samples_affordable(stamped(load)) / (double)load->threads;

    /* A closed loop's room is a guess, so running out of it is reported; an open loop's is known before. */
    return !open && window > affordable ? affordable : window;
}

void shift_measure(void *argument)
{
    struct shift *shift = argument;
    struct worker *worker = shift->worker;
    const struct load *load = worker->load;
    struct span span = {.what = "measure", .loop = load->loop, .depth = load->depth, .count = NO_COUNT,
                        .begin_ns = shift->begin_ns, .end_ns = shift->begin_ns + load->settle_ns,
                        .stream = stream_of(worker, STREAM_SETTLE)};

    worker->tid = gettid();
    take_place(worker);
    while (clock_now_ns() < span.begin_ns)
        continue;
    shift->settle_requests = run_span(worker, &span);
    span.begin_ns = span.end_ns;
    span.end_ns = load->duration_ns == NO_END ? NO_END : span.begin_ns + load->duration_ns;
    span.count = load->count == NO_COUNT ? NO_COUNT : load_share(load->count, worker->index, load->threads);
    span.stream = stream_of(worker, STREAM_WINDOW);
    span.recorded = true;
    traffic_begin(&worker->traffic, load->seed, span.stream);
    const int64_t sent = run_span(worker, &span);

    span.begin_ns = sent == span.count ? clock_now_ns() : span.end_ns;
    span.end_ns = span.begin_ns + load->cooldown_ns;
    span.count = NO_COUNT;
    span.stream = stream_of(worker, STREAM_COOLDOWN);
    span.recorded = false;
    if (load->cooldown_ns > 0 && !worker->overflow)
        run_span(worker, &span);
    run_drain(worker, "measure");
}

void shift_make_room(struct shift *shift)
{
    const double room = room_for(shift);

    samples_free(&shift->worker->samples);
    worker_use(shift->worker, samples_allocate(room, stamped(shift->worker->load)));
}
