/* The server: options, sockets and threads, the choice of the serving loop, and the report. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cpulist.h"
#include "events.h"
#include "launch.h"
#include "options.h"
#include "stop.h"
#include "threads.h"
#include "udp_gro.h"
#include "uring.h"

#define THREADS_MAX 10000
/* As many as the kernel takes in one call. */
#define BATCH_MAX 1024

static struct server_plan read_options(int argc, char **argv)
{
    int64_t protocol = 0, port = 0, style = 0, seed = 1;
    bool phases = false, times = false;
    const char *listen = NULL, *size = NULL, *response_size = NULL, *service = NULL, *stall = NULL;
    struct server_plan o = {.sockopts = SOCKOPTS_DEFAULT, .xsk = XSK_PLAN_DEFAULT, .threads = 1};
    struct option_spec table[] = {
        {.name = "--protocol", .number = &protocol, .choices = protocol_names, .required = true},
        {.name = "--listen", .text = &listen, .required = true},
        {.name = "--port", .number = &port, .high = UINT16_MAX, .required = true},
        {.name = "--wait", .number = &style, .choices = wait_names, .required = true},
        {.name = "--size", .text = &size, .required = true},
        {.name = "--response-size", .text = &response_size},
        {.name = "--phases", .flag = &phases},
        {.name = "--times", .flag = &times},
        {.name = "--threads", .number = &o.threads, .low = 1, .high = THREADS_MAX},
        {.name = "--thread-cpus", .text = &o.thread_cpus},
        {.name = "--service", .text = &service},
        {.name = "--stall", .text = &stall},
        {.name = "--uring-napi", .number = &o.tracking, .choices = uring_tracking_names},
        {.name = "--udp-gro", .flag = &o.udp_gro},
        {.name = "--multishot", .flag = &o.multishot},
        {.name = "--zerocopy", .flag = &o.zerocopy},
        {.name = "--by-napi", .flag = &o.by_napi},
        {.name = "--batch", .number = &o.batch, .low = 2, .high = BATCH_MAX},
        {.name = "--seed", .number = &seed, .low = 0, .high = INT64_MAX},
        SOCKOPTS_TABLE(&o.sockopts),
        XSK_TABLE(&o.xsk),
    };

    if (options_parse(table, OPTION_COUNT(table), argc, argv) < argc)
        fail_usage("server", "takes options only");
    o.style = (enum wait_style)style;
    o.seed = (uint64_t)seed;
    o.framing = framing_read((enum protocol)protocol, size, response_size, phases, times);
    if (phases && (o.threads > 1 || o.style == WAIT_URING))
        fail_usage("--phases", "goes with one thread, and not with --wait uring");
    if (o.tracking != URING_DYNAMIC && o.style != WAIT_URING)
        fail_usage("--uring-napi", "goes with --wait uring");
    if (o.sockopts.epoll_text != NULL && o.style != WAIT_EPOLL)
        fail_usage("--epoll-busy-poll", "goes with --wait epoll");
    if (o.udp_gro && ((enum protocol)protocol != PROTOCOL_UDP || phases || o.style == WAIT_URING))
        fail_usage("--udp-gro", "goes with --protocol udp, and neither with --phases nor with --wait uring");
    if (o.batch > 0 && ((enum protocol)protocol != PROTOCOL_UDP || phases || o.udp_gro || o.style == WAIT_URING))
        fail_usage("--batch", "goes with --protocol udp, and not with --phases, --udp-gro or --wait uring");
    if (o.multishot && ((enum protocol)protocol != PROTOCOL_TCP || o.style != WAIT_URING))
        fail_usage("--multishot", "goes with --protocol tcp and --wait uring");
    if (o.zerocopy && ((enum protocol)protocol != PROTOCOL_TCP || phases || o.style == WAIT_URING || !o.framing.sized))
        fail_usage("--zerocopy", "goes with --protocol tcp and --response-size, not with --phases or --wait uring");
    if (o.by_napi && ((enum protocol)protocol != PROTOCOL_TCP || o.style != WAIT_EPOLL || o.zerocopy || o.threads < 2))
        fail_usage("--by-napi", "goes with --protocol tcp, --wait epoll and --threads above 1, not with --zerocopy");
    xsk_check(&o.xsk, (enum protocol)protocol, o.style, &o.framing,
              o.threads == 1 && !phases && !o.udp_gro && o.batch == 0);
    if (o.thread_cpus != NULL)
        cpulist_check(o.thread_cpus);
    o.service = service_read(service, stall);
    o.at = endpoint_resolve((enum protocol)protocol, listen, port);
    return o;
}

void server_welcome(struct server *server, int socket)
{
    endpoint_send_at_once(socket);
    sockopts_apply_tcp(&server->plan->sockopts, socket);
    if (server->stamping != NULL)
        stamping_begin(server->stamping, socket, true, false);
    if (server->zerocopy != NULL)
        zerocopy_begin(server->zerocopy, socket);
    server->connections++;
    server->options = sockopts_read(socket);
}

int server_accept(struct server *server, int flags)
{
    const int accepted = accept4(server->socket, NULL, NULL, SOCK_CLOEXEC | flags);

    if (accepted < 0) {
        /* A client may have gone before it was accepted; anything else would repeat for ever. */
        if (errno != EINTR && errno != EAGAIN && errno != ECONNABORTED)
            fail("accept a connection", NULL, errno);
        return -1;
    }
    server_welcome(server, accepted);
    return accepted;
}

void server_close(struct server *server, int socket)
{
    napi_ids_add(&server->napi_ids, socket);
    if (server->zerocopy != NULL)
        zerocopy_end(server->zerocopy, socket);
    close(socket);
}

static bool is_serial(const struct server_plan *plan)
{
    return plan->at.protocol == PROTOCOL_TCP && plan->style == WAIT_BLOCKING;
}

/* Threads that serve one connection at a time accept from one listener, so that no connection waits for a thread
 * that is busy while another is free. All others have a socket of their own, and the kernel spreads the load. */
static void open_sockets(struct server *servers, const struct server_plan *plan, int64_t *port)
{
    const bool shared = plan->threads > 1 && !is_serial(plan);

    for (int64_t i = 0; i < plan->threads; i++) {
        const struct endpoint at = i == 0 ? plan->at : endpoint_at_port(plan->at, *port);

        if (xsk_wanted(&plan->xsk))
            servers[i].xsk = xsk_listen(&at, &plan->xsk, &plan->sockopts, port);
        servers[i].socket = servers[i].xsk != NULL ? xsk_descriptor(servers[i].xsk)
                            : i > 0 && !shared      ? servers[0].socket
                                                    : endpoint_listen(&at, &plan->sockopts, shared, port);
        if (plan->udp_gro)
            udp_gro_enable(servers[i].socket);
        servers[i].epoll = channel_make_epoll(plan->style);
        sockopts_apply_epoll(&plan->sockopts, servers[i].epoll);
        servers[i].options = sockopts_read(servers[i].socket);
    }
}

static struct server *make_servers(const struct server_plan *plan, int64_t *port)
{
    struct server *servers = calloc((size_t)plan->threads, sizeof *servers);

    if (servers == NULL)
        fail("reserve memory for threads", NULL, ENOMEM);
    for (int64_t i = 0; i < plan->threads; i++) {
        servers[i].plan = plan;
        servers[i].index = i;
        servers[i].rng = rng_make(plan->seed, (uint64_t)i);
        if (plan->by_napi && pipe2(servers[i].inbox, O_CLOEXEC) != 0)
            fail("create a pipe", NULL, errno);
        if (plan->zerocopy)
            servers[i].zerocopy = zerocopy_make((size_t)plan->framing.response.high);
        servers[i].reply = plan->zerocopy ? zerocopy_room(servers[i].zerocopy)
                                          : calloc(1, (size_t)plan->framing.response.high);
        servers[i].stamping = plan->framing.phases ? calloc(1, sizeof *servers[i].stamping) : NULL;
        if (servers[i].reply == NULL || (plan->framing.phases && servers[i].stamping == NULL))
            fail("reserve memory for a message", NULL, ENOMEM);
    }
    open_sockets(servers, plan, port);
    return servers;
}

static void announce_ready(const struct server *servers, int64_t count, int64_t port)
{
    int64_t *tids = calloc((size_t)count, sizeof *tids);

    if (tids == NULL)
        fail("reserve memory for the report", NULL, ENOMEM);
    for (int64_t i = 0; i < count; i++)
        tids[i] = servers[i].tid;
    event_begin("ready");
    event_int("port", port);
    event_ints("tids", tids, (size_t)count);
    event_end();
    free(tids);
}

static void run_loop(struct server *server)
{
    const struct server_plan *plan = server->plan;

    if (server->xsk != NULL)
        server_run_xsk(server);
    else if (plan->multishot)
        server_run_multishot(server);
    else if (plan->style == WAIT_URING)
        server_run_uring(server);
    else if (plan->batch > 0)
        server_run_batched(server);
    else if (plan->at.protocol == PROTOCOL_UDP)
        server_run_udp(server);
    else if (is_serial(plan))
        server_run_serial(server);
    else
        server_run_multiplexed(server);
}

/* What the threads share while they start. */
static struct {
    struct server *servers;
    int64_t port;
    pthread_barrier_t all_there;
} start;

struct server *server_of(struct server *server, int socket)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    static struct napi_ids known; /* the place of each is its thread's */
    const int64_t id = sockopts_napi_id(socket);
    size_t place = 0;

    if (id <= 0)
        return server;
    pthread_mutex_lock(&one_at_a_time);
    napi_ids_add(&known, socket);
    while (place < known.count && known.ids[place] != id)
        place++;
    pthread_mutex_unlock(&one_at_a_time);
    return &start.servers[place % (size_t)server->plan->threads];
}

static void serve(void *argument)
{
    struct server *server = argument;
    const struct server_plan *plan = server->plan;

    server->tid = gettid();
    if (plan->thread_cpus != NULL)
        cpulist_pin(plan->thread_cpus, (size_t)server->index);
    if (plan->style == WAIT_URING)
        server->uring = uring_make(&plan->sockopts, (enum uring_tracking)plan->tracking);
    pthread_barrier_wait(&start.all_there);
    if (server->index == 0)
        announce_ready(start.servers, plan->threads, start.port);
    run_loop(server);
    server->usage = usage_thread();
}

static void free_servers(struct server *servers, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (servers[i].xsk != NULL)
            xsk_close(servers[i].xsk);
        if (servers[i].zerocopy == NULL)
            free(servers[i].reply);
        zerocopy_free(servers[i].zerocopy);
        free(servers[i].stamping);
    }
    free(servers);
}

int server_main(int argc, char **argv)
{
    const struct server_plan plan = read_options(argc, argv);
    const size_t count = (size_t)plan.threads;
    void **arguments = calloc(count, sizeof *arguments);

    launch_name("server");
    stop_on_sigterm();
    start.servers = make_servers(&plan, &start.port);
    if (arguments == NULL || pthread_barrier_init(&start.all_there, NULL, (unsigned int)count) != 0)
        fail("reserve memory for threads", NULL, ENOMEM);
    for (size_t i = 0; i < count; i++)
        arguments[i] = &start.servers[i];
    launch_lock_memory();
    threads_run(serve, arguments, count);
    server_report(start.servers, &plan);
    free_servers(start.servers, plan.threads);
    free(arguments);
    return EXIT_SUCCESS;
}
