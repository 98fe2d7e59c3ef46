/* Reads the client's options and refuses combinations that mean nothing. */
#include "client_options.h"

#include <string.h>

#include "clock.h"
#include "cpulist.h"
#include "events.h"
#include "options.h"
#include "selecting.h"

#define CONNECTIONS_MAX 10000
#define THREADS_MAX 256
#define HOUR_NS (3600 * NS_PER_S)
#define UNSET INT64_C(-1)

const char *const loop_names[] = {"closed", "open", NULL};

/* Options as they stand on the command line, before they are made into a load. */
struct words {
    int64_t protocol, port, style, loop, arrivals, app, seed;
    const char *connect, *size, *response_size, *key_size, *value_size;
};

static void refuse(bool wrong, const char *option, const char *why)
{
    if (wrong)
        fail_usage(option, why);
}

static void check_loop(const struct load *load, const struct words *words)
{
    const bool open = load->loop == LOOP_OPEN;

    refuse(open && load->depth != UNSET, "--depth", "goes with --loop closed");
    refuse(!open && load->rate > 0, "--rate", "goes with --loop open");
    refuse(!open && words->arrivals != UNSET, "--arrivals", "goes with --loop open");
    refuse(open && load->rate <= 0, "--rate", "is required with --loop open, above 0");
    refuse(load->burst != UNSET && words->arrivals != ARRIVALS_BURST, "--burst", "goes with --arrivals burst");
}

static void check_shape(const struct load *load)
{
    const bool many = load->connections > load->threads;

    refuse(load->style == WAIT_URING, "--wait", "uring is a server's way to wait");
    refuse(load->style == WAIT_SELECT && load->connections / load->threads > SELECT_CONNECTIONS_MAX,
           "--connections", "a set of select() holds 1000 per thread at most");
    refuse(load->connections < load->threads, "--connections", "every thread needs one");
    refuse(load->loop == LOOP_CLOSED && load->style == WAIT_BLOCKING && many, "--connections",
           "--wait blocking waits on one connection per thread; poll, select, epoll and spin wait on many");
    refuse(load->connect_per_request && load->to.protocol == PROTOCOL_UDP, "--connect-per-request",
           "goes with --protocol tcp");
    refuse(load->connect_per_request && load->depth > load->connections / load->threads, "--depth",
           "with --connect-per-request, at most the connections per thread");
    refuse(load->phases && (load->connections > 1 || load->connect_per_request), "--phases",
           "goes with one lasting connection");
    refuse(load->txtime_ns > 0 && (load->connections > 1 || load->to.protocol == PROTOCOL_TCP || load->phases ||
                                   load->times || xsk_wanted(&load->xsk)),
           "--txtime-ns", "goes with one UDP socket of the kernel, without --phases and --times");
    refuse(load->duration_ns == UNSET && load->count == NO_COUNT, "--duration-ns", "is required, or --count");
}

static void check_app(const struct load *load, const struct words *words)
{
    const bool memcached = load->traffic.app == APP_MEMCACHED;

    refuse(memcached && (words->size != NULL || words->response_size != NULL), "--size",
           "goes with --protocol-app echo; see --key-size and --value-size");
    refuse(!memcached && words->size == NULL, "--size", "is required");
    refuse(memcached && load->to.protocol == PROTOCOL_UDP, "--protocol-app", "memcached goes with --protocol tcp");
    refuse(memcached && (load->phases || load->times || load->connect_per_request), "--protocol-app",
           "memcached goes without --phases, --times and --connect-per-request");
    refuse(!memcached && load->preload, "--preload", "goes with --protocol-app memcached");
}

static void complete(struct load *load, const struct words *words)
{
    struct traffic_plan *traffic = &load->traffic;

    load->style = (enum wait_style)words->style;
    load->loop = (enum loop)words->loop;
    load->seed = (uint64_t)words->seed;
    traffic->app = (enum app)words->app;
    load->to.protocol = (enum protocol)words->protocol;
    check_loop(load, words);
    if (load->depth == UNSET)
        load->depth = 1;
    check_shape(load);
    check_app(load, words);
    load->arrivals = words->arrivals == UNSET ? ARRIVALS_CONSTANT : (enum arrivals_kind)words->arrivals;
    if (load->burst == UNSET)
        load->burst = 1;
    if (load->duration_ns == UNSET)
        load->duration_ns = NO_END;
    if (load->thread_cpus != NULL)
        cpulist_check(load->thread_cpus);
    traffic->memcached.seed = load->seed;
    if (traffic->app == APP_MEMCACHED)
        memcached_read_sizes(&traffic->memcached, words->key_size, words->value_size);
    else
        traffic->framing = framing_read(load->to.protocol, words->size, words->response_size,
                                        load->phases, load->times);
    xsk_check(&load->xsk, load->to.protocol, load->style, &traffic->framing,
              load->connections == 1 && !load->phases);
    load->to = endpoint_resolve(load->to.protocol, words->connect, words->port);
}

struct load client_options_read(int argc, char **argv, const char **samples)
{
    struct words w = {.arrivals = UNSET, .seed = 1, .key_size = "30", .value_size = "200"};
    struct load o = {
        .sockopts = SOCKOPTS_DEFAULT,
        .xsk = XSK_PLAN_DEFAULT,
        .depth = UNSET,
        .burst = UNSET,
        .connections = 1,
        .threads = 1,
        .late_ns = 50000,
        .settle_ns = 5 * NS_PER_MS,
        .duration_ns = UNSET,
        .count = NO_COUNT,
        .traffic.memcached = {.keys = 10000, .get_ratio = 0.9},
    };
    struct memcached *memcached = &o.traffic.memcached;
    struct option_spec table[] = {
        {.name = "--protocol", .number = &w.protocol, .choices = protocol_names, .required = true},
        {.name = "--connect", .text = &w.connect, .required = true},
        {.name = "--port", .number = &w.port, .low = 1, .high = UINT16_MAX, .required = true},
        {.name = "--wait", .number = &w.style, .choices = wait_names, .required = true},
        {.name = "--size", .text = &w.size},
        {.name = "--response-size", .text = &w.response_size},
        {.name = "--loop", .number = &w.loop, .choices = loop_names},
        {.name = "--depth", .number = &o.depth, .low = 1, .high = 1 << 20},
        {.name = "--rate", .real = &o.rate, .low = 0, .high = NS_PER_S},
        {.name = "--arrivals", .number = &w.arrivals, .choices = arrivals_names},
        {.name = "--burst", .number = &o.burst, .low = 1, .high = 1 << 20},
        {.name = "--seed", .number = &w.seed, .low = 0, .high = INT64_MAX},
        {.name = "--connections", .number = &o.connections, .low = 1, .high = CONNECTIONS_MAX},
        {.name = "--threads", .number = &o.threads, .low = 1, .high = THREADS_MAX},
        {.name = "--thread-cpus", .text = &o.thread_cpus},
        {.name = "--connect-per-request", .flag = &o.connect_per_request},
        {.name = "--count", .number = &o.count, .low = 1, .high = INT64_C(1) << 40},
        {.name = "--late-ns", .number = &o.late_ns, .low = 0, .high = HOUR_NS},
        {.name = "--phases", .flag = &o.phases},
        {.name = "--txtime-ns", .number = &o.txtime_ns, .low = 1, .high = NS_PER_S},
        {.name = "--times", .flag = &o.times},
        {.name = "--protocol-app", .number = &w.app, .choices = app_names},
        {.name = "--keys", .number = &memcached->keys, .low = 1, .high = 1 << 30},
        {.name = "--key-size", .text = &w.key_size},
        {.name = "--value-size", .text = &w.value_size},
        {.name = "--get-ratio", .real = &memcached->get_ratio, .low = 0, .high = 1},
        {.name = "--preload", .flag = &o.preload},
        {.name = "--warmup-ns", .number = &o.warmup_ns, .high = HOUR_NS, .required = true},
        {.name = "--settle-ns", .number = &o.settle_ns, .high = HOUR_NS},
        {.name = "--duration-ns", .number = &o.duration_ns, .low = 1, .high = 24 * HOUR_NS},
        {.name = "--cooldown-ns", .number = &o.cooldown_ns, .high = HOUR_NS},
        {.name = "--timeout-ns", .number = &o.timeout_ns, .low = 1000, .high = HOUR_NS, .required = true},
        {.name = "--samples", .text = samples, .required = true},
        SOCKOPTS_TABLE(&o.sockopts),
        XSK_TABLE(&o.xsk),
    };

    if (options_parse(table, OPTION_COUNT(table), argc, argv) < argc)
        fail_usage("client", "takes options only");
    complete(&o, &w);
    return o;
}
