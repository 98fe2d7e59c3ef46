/* The server: options, sockets, the choice of the serving loop, and the report. */
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "endpoint.h"
#include "events.h"
#include "launch.h"
#include "options.h"
#include "stop.h"
#include "usage.h"

struct server_options {
    int64_t protocol, port, wait, size;
    const char *listen;
    struct sockopts sockopts;
};

static struct server_options read_options(int argc, char **argv)
{
    struct server_options o = {.sockopts = SOCKOPTS_DEFAULT};
    struct option_spec table[] = {
        {.name = "--protocol", .number = &o.protocol, .choices = protocol_names, .required = true},
        {.name = "--listen", .text = &o.listen, .required = true},
        {.name = "--port", .number = &o.port, .high = UINT16_MAX, .required = true},
        {.name = "--wait", .number = &o.wait, .choices = wait_names, .required = true},
        {.name = "--size", .number = &o.size, .low = MESSAGE_MIN, .high = MESSAGE_MAX_TCP, .required = true},
        SOCKOPTS_TABLE(&o.sockopts),
    };

    if (options_parse(table, OPTION_COUNT(table), argc, argv) < argc)
        fail_usage("server", "takes options only");
    endpoint_check_size((enum protocol)o.protocol, o.size);
    return o;
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
    endpoint_send_at_once(accepted);
    server->connections++;
    server->options = sockopts_read(accepted);
    return accepted;
}

void server_close(struct server *server, int socket)
{
    napi_ids_add(&server->napi_ids, socket);
    close(socket);
}

void server_count(struct server *server, size_t bytes)
{
    server->requests++;
    server->bytes += (int64_t)bytes;
}

static void announce_ready(int64_t port)
{
    const int64_t thread = gettid();

    event_begin("ready");
    event_int("port", port);
    event_ints("tids", &thread, 1);
    event_end();
}

static void report(const struct server *server)
{
    event_begin("result");
    event_int("requests", server->requests);
    event_int("bytes", server->bytes);
    event_int("connections", server->connections);
    event_int("send_errors", server->send_errors);
    event_ints("napi_ids", server->napi_ids.ids, server->napi_ids.count);
    usage_event(usage_now());
    event_object("readback");
    sockopts_event(server->options, server->epoll);
    launch_readback();
    event_object_end();
    event_end();
}

int server_main(int argc, char **argv)
{
    const struct server_options o = read_options(argc, argv);
    const enum protocol protocol = (enum protocol)o.protocol;
    const struct endpoint at = endpoint_resolve(protocol, o.listen, o.port);
    struct server server = {.style = (enum wait_style)o.wait, .size = (size_t)o.size};
    int64_t port;

    stop_on_sigterm();
    server.socket = endpoint_listen(&at, &o.sockopts, &port);
    server.epoll = channel_make_epoll(server.style);
    sockopts_apply_epoll(&o.sockopts, server.epoll);
    server.options = sockopts_read(server.socket);
    launch_lock_memory();
    announce_ready(port);
    if (protocol == PROTOCOL_UDP)
        server_run_udp(&server);
    else if (server.style == WAIT_BLOCKING || server.style == WAIT_SPIN)
        server_run_serial(&server);
    else
        server_run_multiplexed(&server);
    report(&server);
    return EXIT_SUCCESS;
}
