/* Sets and reads back options of sockets, and the busy polling of epoll instances. */
#include "sockopts.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "events.h"

/* Older libc headers lack these; the numbers are the kernel's. */
#ifndef SO_BUSY_POLL
#define SO_BUSY_POLL 46
#endif
#ifndef SO_MAX_PACING_RATE
#define SO_MAX_PACING_RATE 47
#endif
#ifndef SO_INCOMING_CPU
#define SO_INCOMING_CPU 49
#endif
#ifndef SO_INCOMING_NAPI_ID
#define SO_INCOMING_NAPI_ID 56
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_BUSY_POLL_BUDGET
#define SO_BUSY_POLL_BUDGET 70
#endif
#define EPOLL_SET_BUSY_POLL 0x40088A01u /* EPIOCSPARAMS */
#define EPOLL_GET_BUSY_POLL 0x80088A02u /* EPIOCGPARAMS */

struct epoll_busy_poll {
    uint32_t usecs;
    uint16_t budget;
    uint8_t prefer;
    uint8_t pad;
};

_Static_assert(sizeof(struct epoll_busy_poll) == 8, "the ioctl numbers carry this size");

static void set(int socket, int level, int option, int64_t value, const char *name)
{
    const int number = (int)value;

    if (value != SOCKOPT_UNSET && setsockopt(socket, level, option, &number, sizeof number) != 0)
        fail("set a socket option", name, errno);
}

static int64_t get(int socket, int level, int option)
{
    int value = 0;
    socklen_t size = sizeof value;

    return getsockopt(socket, level, option, &value, &size) == 0 ? value : SOCKOPT_UNSET;
}

/* Some are cut down without a word, and packets change some later: each is looked at while it is as it was set. */
static void set_exactly(int socket, int level, int option, int64_t value, const char *name)
{
    set(socket, level, option, value, name);
    if (value != SOCKOPT_UNSET && get(socket, level, option) != value)
        fail_saying("set a socket option", name, "accepted, but it reads back otherwise");
}

/* Over the host's limits too. The kernel makes twice of what it is given, and tells that. */
static void set_buffer(int socket, int option, int64_t bytes, const char *name)
{
    set(socket, SOL_SOCKET, option, bytes == SOCKOPT_UNSET ? SOCKOPT_UNSET : bytes / 2, name);
}

void sockopts_apply(const struct sockopts *options, int socket)
{
    set_buffer(socket, SO_RCVBUFFORCE, options->receive_buffer, "SO_RCVBUFFORCE");
    set_buffer(socket, SO_SNDBUFFORCE, options->send_buffer, "SO_SNDBUFFORCE");
    set(socket, SOL_SOCKET, SO_BUSY_POLL, options->busy_poll, "SO_BUSY_POLL");
    set(socket, SOL_SOCKET, SO_PREFER_BUSY_POLL, options->prefer, "SO_PREFER_BUSY_POLL");
    set(socket, SOL_SOCKET, SO_BUSY_POLL_BUDGET, options->budget, "SO_BUSY_POLL_BUDGET");
    set_exactly(socket, SOL_SOCKET, SO_INCOMING_CPU, options->incoming_cpu, "SO_INCOMING_CPU");
    set_exactly(socket, SOL_SOCKET, SO_RCVLOWAT, options->rcvlowat, "SO_RCVLOWAT");
    set_exactly(socket, SOL_SOCKET, SO_MAX_PACING_RATE, options->max_pacing, "SO_MAX_PACING_RATE");
}

void sockopts_apply_tcp(const struct sockopts *options, int socket)
{
    set_exactly(socket, IPPROTO_TCP, TCP_NODELAY, options->nodelay, "TCP_NODELAY");
    set_exactly(socket, IPPROTO_TCP, TCP_QUICKACK, options->quickack, "TCP_QUICKACK");
}

static struct epoll_busy_poll read_triple(const char *text)
{
    const int64_t limits[3] = {INT32_MAX, UINT16_MAX, 1};
    int64_t values[3];

    for (int i = 0; i < 3; i++) {
        if (!options_read_number(&text, 0, limits[i], &values[i]) || *text != (i < 2 ? ',' : '\0'))
            fail_usage("--epoll-busy-poll", "want USECS,BUDGET,PREFER, like 50,8,0");
        text++;
    }
    return (struct epoll_busy_poll){
        .usecs = (uint32_t)values[0], .budget = (uint16_t)values[1], .prefer = (uint8_t)values[2]};
}

void sockopts_apply_epoll(const struct sockopts *options, int epoll)
{
    if (options->epoll_text == NULL)
        return;
    if (epoll < 0)
        fail_usage("--epoll-busy-poll", "goes with --wait epoll");
    const struct epoll_busy_poll wanted = read_triple(options->epoll_text);

    if (ioctl(epoll, EPOLL_SET_BUSY_POLL, &wanted) != 0)
        fail("set the busy polling of an epoll instance", options->epoll_text, errno);
}

struct sockopts_found sockopts_read(int socket)
{
    return (struct sockopts_found){
        .busy_poll = get(socket, SOL_SOCKET, SO_BUSY_POLL),
        .prefer = get(socket, SOL_SOCKET, SO_PREFER_BUSY_POLL),
        .receive_buffer = get(socket, SOL_SOCKET, SO_RCVBUF),
        .send_buffer = get(socket, SOL_SOCKET, SO_SNDBUF),
        .rcvlowat = get(socket, SOL_SOCKET, SO_RCVLOWAT),
        .max_pacing = get(socket, SOL_SOCKET, SO_MAX_PACING_RATE),
        .nodelay = get(socket, IPPROTO_TCP, TCP_NODELAY),
    };
}

static void optional_int(const char *key, int64_t value)
{
    if (value == SOCKOPT_UNSET)
        event_null(key);
    else
        event_int(key, value);
}

void sockopts_event(struct sockopts_found found, int epoll)
{
    struct epoll_busy_poll polled;

    optional_int("busy_poll", found.busy_poll);
    optional_int("prefer_busy_poll", found.prefer);
    optional_int("receive_buffer", found.receive_buffer);
    optional_int("send_buffer", found.send_buffer);
    optional_int("rcvlowat", found.rcvlowat);
    optional_int("max_pacing_rate", found.max_pacing);
    optional_int("nodelay", found.nodelay);
    if (epoll < 0 || ioctl(epoll, EPOLL_GET_BUSY_POLL, &polled) != 0) {
        event_null("epoll");
        return;
    }
    const int64_t triple[3] = {polled.usecs, polled.budget, polled.prefer};

    event_ints("epoll", triple, 3);
}

int64_t sockopts_napi_id(int socket)
{
    return get(socket, SOL_SOCKET, SO_INCOMING_NAPI_ID);
}

static void add_id(struct napi_ids *set, int64_t id, int64_t sockets)
{
    size_t i = 0;

    while (i < set->count && set->ids[i] != id)
        i++;
    if (i == NAPI_IDS_MAX)
        return;
    if (i == set->count)
        set->ids[set->count++] = id;
    set->sockets[i] += sockets;
}

void napi_ids_add(struct napi_ids *set, int socket)
{
    const int64_t id = sockopts_napi_id(socket);

    if (id > 0)
        add_id(set, id, 1);
    else
        set->unfed++;
}

void napi_ids_merge(struct napi_ids *set, const struct napi_ids *other)
{
    for (size_t i = 0; i < other->count; i++)
        add_id(set, other->ids[i], other->sockets[i]);
    set->unfed += other->unfed;
}

void napi_ids_event(const struct napi_ids *set)
{
    event_ints("napi_ids", set->ids, set->count);
    event_ints("napi_sockets", set->sockets, set->count);
    event_int("sockets_without_napi", set->unfed);
}
