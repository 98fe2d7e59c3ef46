/* A socket that sees the packets of a namespace's devices, and the ring through which the kernel hands them over. */
#ifndef POLLBENCH_TAP_H
#define POLLBENCH_TAP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

enum { TAP_MOST_BLOCKS = 32 };

struct tap {
    int sock;
    uint8_t *blocks;
    unsigned count, next;
};

struct tap_packet {
    uint64_t at_ns; /* since 1970 */
    uint32_t kept, length; /* bytes of `data`; bytes that it had */
    bool outbound;
    const uint8_t *data;
};

typedef void tap_keep(const struct tap_packet *packet, void *where);

struct tap_choice {
    const char *netns, *name; /* of the namespace; of what is looked at, as messages call it */
    uint32_t ifindex; /* 0: every device */
    int type; /* SOCK_RAW: packets from their link header on; SOCK_DGRAM: from IP's */
    struct sock_fprog filter; /* which packets, and how much of each */
    unsigned blocks;
};

/* Ends the program where there is none to be had. */
struct tap tap_open(const struct tap_choice *choice);
/* The packets that the kernel has handed over; one turn of the ring at most, so that a flood does not hold us here. */
void tap_drain(struct tap *tap, tap_keep *keep, void *where);
/* Sleeps until the kernel has handed over what it has in the making. */
void tap_settle(void);
/* Closes it: how many packets the kernel could not hand over. */
uint64_t tap_close(const struct tap *tap);

#endif
