/* Where a mode listens or connects: addresses and the sockets made for them. */
#ifndef POLLBENCH_ENDPOINT_H
#define POLLBENCH_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sockopts.h"

enum protocol { PROTOCOL_UDP, PROTOCOL_TCP };
extern const char *const protocol_names[];

/* A message starts with its sequence number; a UDP message must fit into one datagram. */
#define MESSAGE_MIN 8
#define MESSAGE_MAX_UDP 65507
#define MESSAGE_MAX_TCP (1 << 20)

void endpoint_check_size(enum protocol protocol, int64_t size);

struct endpoint {
    enum protocol protocol;
    struct sockaddr_storage address;
    socklen_t address_size;
    char text[128]; /* for messages: "udp [::1]:5000" */
};

/* A numeric IPv4 or IPv6 address, "fe80::1%eth0" included. Ends the program if it is not one. */
struct endpoint endpoint_resolve(enum protocol protocol, const char *address, int64_t port);

/* A bound socket, for TCP a listening one, with the options set; *port is the port it got. */
int endpoint_listen(const struct endpoint *endpoint, const struct sockopts *options, int64_t *port);
/* A connected socket, for UDP too (no route look-up per message); non-blocking. */
int endpoint_connect(const struct endpoint *endpoint, const struct sockopts *options, int64_t timeout_ns);
/* A small message must leave at once, not wait for the acknowledgement of the one before. */
void endpoint_send_at_once(int socket);

#endif
