/* Where a mode listens or connects: addresses and the sockets made for them. */
#ifndef POLLBENCH_ENDPOINT_H
#define POLLBENCH_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sockopts.h"

enum protocol { PROTOCOL_UDP, PROTOCOL_TCP };
extern const char *const protocol_names[];

struct endpoint {
    enum protocol protocol;
    struct sockaddr_storage address;
    socklen_t address_size;
    char text[128]; /* for messages: "udp [::1]:5000" */
};

/* A numeric IPv4 or IPv6 address, "fe80::1%eth0" included. Ends the program if it is not one. */
struct endpoint endpoint_resolve(enum protocol protocol, const char *address, int64_t port);

/* A bound socket, for TCP a listening one, with the options set; *port is the port it got. With `shared`, other
 * sockets of this process may have the same port (SO_REUSEPORT), and the kernel spreads what comes over them. */
int endpoint_listen(const struct endpoint *endpoint, const struct sockopts *options, bool shared, int64_t *port);
/* A connected socket, for UDP too (no route look-up per message); non-blocking. */
int endpoint_connect(const struct endpoint *endpoint, const struct sockopts *options, int64_t timeout_ns);
/* A TCP socket whose connection is under way, or with `blocking` stands. */
int endpoint_begin_connecting(const struct endpoint *endpoint, const struct sockopts *options, bool blocking);
/* The same address with another port. */
struct endpoint endpoint_at_port(struct endpoint endpoint, int64_t port);
/* A small message must leave at once, not wait for the acknowledgement of the one before. */
void endpoint_send_at_once(int socket);

#endif
