/* Which interface and neighbour a datagram takes: what the kernel looks up for other sockets. */
#ifndef POLLBENCH_XDP_WAYS_H
#define POLLBENCH_XDP_WAYS_H

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"
#include "xdp_frame.h"

struct xdp_way {
    int interface;
    char name[IF_NAMESIZE];
    size_t mtu; /* bytes that a frame may hold behind its Ethernet header */
    struct xdp_path path; /* a server's has its own end alone: each request tells the other */
};

/* The way from a server's own address; port 0 becomes a free one. Both end the program where there is none. */
struct xdp_way xdp_way_at(const struct endpoint *at);
/* The way to a neighbour on the link, asked for by ARP at most for `timeout_ns`, from a free port. */
struct xdp_way xdp_way_to(const struct endpoint *to, int64_t timeout_ns);
/* Waits for the link of the way's interface, which some drivers (igb) take down to change their rings. */
void xdp_way_await_link(const struct xdp_way *way);

#endif
