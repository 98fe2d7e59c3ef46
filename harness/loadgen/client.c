/* The client: connects, warms up, waits for "go", measures, waits for "finish", and reports. */
#include "client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "control.h"
#include "endpoint.h"
#include "events.h"
#include "exchange.h"
#include "launch.h"
#include "options.h"
#include "samples.h"
#include "sockopts.h"
#include "stop.h"
#include "usage.h"

/* The first datagrams may be lost while neighbours are being looked up. */
#define FIRST_REPLY_TRIES 5
/* Even without a warm-up the rate must be known, to know how much room the samples need. */
#define WARMUP_REQUESTS_MIN 16

struct client_options {
    int64_t protocol, port, wait, size;
    const char *connect, *samples;
    int64_t warmup_ns, settle_ns, duration_ns, timeout_ns;
    struct sockopts sockopts;
};

/* What the measurement came to. */
struct measurement {
    int64_t requests, lost, elapsed_ns;
    bool overflow; /* the samples' room ran out before the time did */
};

static struct client_options read_options(int argc, char **argv)
{
    struct client_options o = {.settle_ns = 5 * NS_PER_MS, .sockopts = SOCKOPTS_DEFAULT};
    struct option_spec table[] = {
        {.name = "--protocol", .number = &o.protocol, .choices = protocol_names, .required = true},
        {.name = "--connect", .text = &o.connect, .required = true},
        {.name = "--port", .number = &o.port, .low = 1, .high = UINT16_MAX, .required = true},
        {.name = "--wait", .number = &o.wait, .choices = wait_names, .required = true},
        {.name = "--size", .number = &o.size, .low = MESSAGE_MIN, .high = MESSAGE_MAX_TCP, .required = true},
        {.name = "--warmup-ns", .number = &o.warmup_ns, .high = 3600 * NS_PER_S, .required = true},
        {.name = "--settle-ns", .number = &o.settle_ns, .high = 3600 * NS_PER_S},
        {.name = "--duration-ns", .number = &o.duration_ns, .low = 1, .high = 24 * 3600 * NS_PER_S,
         .required = true},
        {.name = "--timeout-ns", .number = &o.timeout_ns, .low = 1000, .high = 3600 * NS_PER_S,
         .required = true},
        {.name = "--samples", .text = &o.samples, .required = true},
        SOCKOPTS_TABLE(&o.sockopts),
    };

    if (options_parse(table, OPTION_COUNT(table), argc, argv) < argc)
        fail_usage("client", "takes options only");
    endpoint_check_size((enum protocol)o.protocol, o.size);
    return o;
}

static struct exchange open_exchange(const struct client_options *o, const struct endpoint *to)
{
    const enum wait_style style = (enum wait_style)o->wait;
    const int epoll = channel_make_epoll(style);

    sockopts_apply_epoll(&o->sockopts, epoll);
    const int socket = endpoint_connect(to, &o->sockopts, o->timeout_ns);
    const struct channel channel = channel_make(socket, epoll, style, o->timeout_ns);

    return exchange_make(channel, to->protocol, (size_t)o->size);
}

/* A lost request is a result over UDP; over TCP it means that the connection is of no use any more. */
static bool is_loss(const struct exchange *exchange)
{
    return errno == ETIMEDOUT && exchange->protocol == PROTOCOL_UDP;
}

static _Noreturn void give_up(const char *attempted, const struct endpoint *to)
{
    if (stop_requested)
        control_stopped(attempted);
    fail(attempted, to->text, errno);
}

/* Where replies never let us wait, nothing but the loop itself can notice that it must end. */
static inline void check_stop(const char *attempted)
{
    if (__builtin_expect(stop_requested, 0))
        control_stopped(attempted);
}

static void await_first_reply(struct exchange *exchange, const struct endpoint *to)
{
    for (int tries = 1; exchange_once(exchange, clock_now_ns()) != 0; tries++)
        if (!is_loss(exchange) || tries == FIRST_REPLY_TRIES)
            give_up("get a first reply", to);
}

/* Requests that are not recorded, for some time and at least so many. */
static struct pace run_unrecorded(struct exchange *exchange, const struct endpoint *to, int64_t duration_ns,
                                  int64_t at_least)
{
    const int64_t start = clock_now_ns();
    struct pace pace = {.fastest_ns = INT64_MAX};

    for (int64_t now = start; now - start < duration_ns || pace.requests < at_least; now = clock_now_ns()) {
        check_stop("warm up");
        if (exchange_once(exchange, now) == 0) {
            const int64_t rtt_ns = clock_now_ns() - now;

            if (rtt_ns < pace.fastest_ns)
                pace.fastest_ns = rtt_ns;
        } else if (!is_loss(exchange)) {
            give_up("warm up", to);
        }
        pace.requests++;
    }
    pace.elapsed_ns = clock_now_ns() - start;
    return pace;
}

/* The measuring loop. Nothing may happen here but the request, its reply, and two readings of the clock. */
static struct measurement run_recorded(struct exchange *exchange, const struct endpoint *to,
                                       int64_t duration_ns, struct samples *samples)
{
    const int64_t start = samples->start_ns = clock_now_ns();
    struct measurement done = {0};

    for (;;) {
        check_stop("measure");
        const int64_t sent = clock_now_ns();

        if (sent - start >= duration_ns)
            break;
        if (samples->count == samples->capacity) {
            done.overflow = true;
            break;
        }
        struct sample *sample = &samples->records[samples->count];

        sample->send_ns = sent - start;
        if (exchange_once(exchange, sent) == 0) {
            sample->rtt_ns = clock_now_ns() - sent;
        } else {
            if (!is_loss(exchange))
                give_up("measure", to);
            sample->rtt_ns = SAMPLE_LOST;
            done.lost++;
        }
        samples->count++;
    }
    done.elapsed_ns = clock_now_ns() - start;
    done.requests = (int64_t)samples->count;
    return done;
}

static void event_clock(void)
{
    const struct clock_quality clock = clock_measure();

    event_object("clock");
    event_int("source_resolution_ns", clock.resolution_ns);
    event_real("overhead_ns", clock.overhead_ns);
    event_object_end();
}

static void event_socket(const struct channel *channel)
{
    struct napi_ids napi = {0};

    napi_ids_add(&napi, channel->socket);
    event_ints("napi_ids", napi.ids, napi.count);
    event_object("readback");
    sockopts_event(sockopts_read(channel->socket), channel->epoll);
    launch_readback();
    event_object_end();
}

static void report(const struct exchange *exchange, const struct samples *samples, struct pace settled,
                   struct measurement measured, struct usage usage)
{
    const struct turnaround turnaround = samples_turnaround(samples);

    event_begin("result");
    event_int("requests", measured.requests);
    event_int("answered", measured.requests - measured.lost);
    event_int("lost", measured.lost);
    event_int("late", exchange->late);
    event_int("duplicates", exchange->duplicates);
    event_int("malformed", exchange->malformed);
    event_int("settle_requests", settled.requests);
    event_int("elapsed_ns", measured.elapsed_ns);
    event_int("start_ns", samples->start_ns);
    event_int("turnaround_p99_ns", turnaround.p99_ns);
    event_int("turnaround_max_ns", turnaround.max_ns);
    event_bool("overflow", measured.overflow);
    event_clock();
    usage_event(usage);
    event_socket(&exchange->channel);
    event_end();
}

static void announce(const char *event)
{
    event_begin(event);
    event_end();
}

static void announce_warm(struct pace warm)
{
    event_begin("warm");
    event_int("requests", warm.requests);
    event_int("elapsed_ns", warm.elapsed_ns);
    event_end();
}

int client_main(int argc, char **argv)
{
    const struct client_options o = read_options(argc, argv);
    const struct endpoint to = endpoint_resolve((enum protocol)o.protocol, o.connect, o.port);
    const int file = samples_create(o.samples);

    stop_on_sigterm();
    stop_on_stdin_eof();
    struct exchange exchange = open_exchange(&o, &to);

    await_first_reply(&exchange, &to);
    announce("ready");
    const struct pace warm = run_unrecorded(&exchange, &to, o.warmup_ns, WARMUP_REQUESTS_MIN);
    struct samples samples = samples_allocate(warm, o.duration_ns);

    launch_lock_memory();
    announce_warm(warm);
    control_wait("go");
    const struct pace settled = run_unrecorded(&exchange, &to, o.settle_ns, 0);
    const struct usage before = usage_now();

    exchange_record_into(&exchange, &samples);
    samples.start_realtime_ns = clock_read_ns(CLOCK_REALTIME);
    const struct measurement measured = run_recorded(&exchange, &to, o.duration_ns, &samples);
    const struct usage usage = usage_between(before, usage_now());

    announce("done");
    control_wait("finish");
    samples_write(&samples, file, o.samples);
    report(&exchange, &samples, settled, measured, usage);
    exchange_free(&exchange);
    return EXIT_SUCCESS;
}
