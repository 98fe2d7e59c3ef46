/* The XDP program that hands one UDP port's packets to an AF_XDP socket, and leaves all others to the kernel. */
#ifndef POLLBENCH_XDP_PROGRAM_H
#define POLLBENCH_XDP_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

/* Descriptors; the kernel takes the program off the interface when the last one of `link` is closed. */
struct xdp_program {
    int map, program, link;
    bool native; /* run by the driver, before there is a socket buffer; else generic */
};

/* Puts the program on the interface: datagrams over IPv4 to this port (as in a frame) that come in by `queue` go to
 * `socket`, which must be bound to it. Native where the driver can, else generic. Ends the program where the kernel
 * refuses. */
struct xdp_program xdp_program_attach(int interface, const char *name, int64_t queue, int socket, uint16_t port);
void xdp_program_detach(struct xdp_program *program);

#endif
