/* Makes the sockets of clients and servers. */
#include "endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"

/* Thousands of clients may connect before the first is accepted; the kernel cuts this to its own limit. */
#define BACKLOG 16384

const char *const protocol_names[] = {"udp", "tcp", NULL};

struct endpoint endpoint_resolve(enum protocol protocol, const char *address, int64_t port)
{
    const struct addrinfo wanted = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
        .ai_family = AF_UNSPEC,
        .ai_socktype = protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM,
    };
    struct endpoint endpoint = {.protocol = protocol};
    struct addrinfo *found;
    char service[16];

    snprintf(service, sizeof service, "%d", (int)port);
    const int error = getaddrinfo(address, service, &wanted, &found);

    if (error != 0)
        fail_saying("read a numeric IPv4 or IPv6 address", address, gai_strerror(error));
    memcpy(&endpoint.address, found->ai_addr, found->ai_addrlen);
    endpoint.address_size = found->ai_addrlen;
    snprintf(endpoint.text, sizeof endpoint.text, found->ai_family == AF_INET6 ? "%s [%s]:%s" : "%s %s:%s",
             protocol_names[protocol], address, service);
    freeaddrinfo(found);
    return endpoint;
}

static void set_flag(int socket, int level, int option, const char *name)
{
    const int on = 1;

    if (setsockopt(socket, level, option, &on, sizeof on) != 0)
        fail("set a socket option", name, errno);
}

void endpoint_send_at_once(int socket)
{
    set_flag(socket, IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY");
}

static int make_socket(const struct endpoint *endpoint, const struct sockopts *options, int flags)
{
    const int type = endpoint->protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM;
    const int made = socket(endpoint->address.ss_family, type | SOCK_CLOEXEC | flags, 0);

    if (made < 0)
        fail("create a socket", endpoint->text, errno);
    if (endpoint->protocol == PROTOCOL_TCP)
        endpoint_send_at_once(made);
    sockopts_apply(options, made);
    if (endpoint->protocol == PROTOCOL_TCP)
        sockopts_apply_tcp(options, made);
    return made;
}

static int64_t bound_port(int socket)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t size = sizeof address;

    if (getsockname(socket, &address.any, &size) != 0)
        fail("read the bound port", NULL, errno);
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

int endpoint_listen(const struct endpoint *endpoint, const struct sockopts *options, bool shared, int64_t *port)
{
    const int made = make_socket(endpoint, options, 0);

    /* A port in TIME_WAIT from the run before is free to us; one that is listened on is not. */
    if (endpoint->protocol == PROTOCOL_TCP)
        set_flag(made, SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR");
    if (shared)
        set_flag(made, SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT");
    if (endpoint->address.ss_family == AF_INET6)
        set_flag(made, IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY");
    if (bind(made, (const struct sockaddr *)&endpoint->address, endpoint->address_size) != 0)
        fail("bind", endpoint->text, errno);
    if (endpoint->protocol == PROTOCOL_TCP && listen(made, BACKLOG) != 0)
        fail("listen", endpoint->text, errno);
    *port = bound_port(made);
    return made;
}

/* connect() is non-blocking so that a silent peer costs the timeout, not the kernel's two minutes. */
static int finish_connecting(int socket, int64_t timeout_ns)
{
    const struct timespec timeout = clock_from_ns(timeout_ns);
    struct pollfd pending = {.fd = socket, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;
    const int ready = ppoll(&pending, 1, &timeout, NULL);

    if (ready < 0)
        return errno;
    if (ready == 0)
        return ETIMEDOUT;
    return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

int endpoint_connect(const struct endpoint *endpoint, const struct sockopts *options, int64_t timeout_ns)
{
    const int made = make_socket(endpoint, options, SOCK_NONBLOCK);
    int error = 0;

    if (connect(made, (const struct sockaddr *)&endpoint->address, endpoint->address_size) != 0)
        error = errno == EINPROGRESS ? finish_connecting(made, timeout_ns) : errno;
    if (error != 0)
        fail("connect", endpoint->text, error);
    return made;
}

int endpoint_begin_connecting(const struct endpoint *endpoint, const struct sockopts *options, bool blocking)
{
    const int made = make_socket(endpoint, options, blocking ? 0 : SOCK_NONBLOCK);
    const int result = connect(made, (const struct sockaddr *)&endpoint->address, endpoint->address_size);

    if (result != 0 && errno != EINPROGRESS)
        fail("connect", endpoint->text, errno);
    return made;
}

struct endpoint endpoint_at_port(struct endpoint endpoint, int64_t port)
{
    const in_port_t swapped = htons((uint16_t)port);

    if (endpoint.address.ss_family == AF_INET6)
        memcpy((char *)&endpoint.address + offsetof(struct sockaddr_in6, sin6_port), &swapped, sizeof swapped);
    else
        memcpy((char *)&endpoint.address + offsetof(struct sockaddr_in, sin_port), &swapped, sizeof swapped);
    return endpoint;
}
