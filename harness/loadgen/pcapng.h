/* A ring of packets in memory, and the pcapng file that it becomes (draft-ietf-opsawg-pcapng). */
#ifndef POLLBENCH_PCAPNG_H
#define POLLBENCH_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tap.h"

/* The packets of one device: as many of the last as fit in `room` bytes, as blocks of the file. */
struct pcapng_ring {
    uint8_t *bytes;
    size_t room, first, used;
    uint64_t packets, forgotten;
    uint32_t interface; /* its number in the file */
};

void pcapng_ring_open(struct pcapng_ring *ring, size_t room, uint32_t interface);
void pcapng_ring_add(struct pcapng_ring *ring, const struct tap_packet *packet);
/* Writes the oldest of the packets of all rings until none is left. False where the file cannot take it. */
bool pcapng_write_packets(FILE *out, struct pcapng_ring *rings, size_t count);

bool pcapng_write_head(FILE *out);
bool pcapng_write_interface(FILE *out, const char *device, uint32_t snap);
/* How many packets came by, and how many of these the kernel could not hand over. */
bool pcapng_write_statistics(FILE *out, uint32_t interface, uint64_t at_ns, uint64_t came, uint64_t missed);

#endif
