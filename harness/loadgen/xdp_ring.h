/* The rings that an AF_XDP socket shares with the kernel: one side writes `producer`, the other `consumer`. */
#ifndef POLLBENCH_XDP_RING_H
#define POLLBENCH_XDP_RING_H

#include <linux/if_xdp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Entries of every ring: a power of two. */
#define XDP_RING_ENTRIES 2048

struct xdp_ring {
    uint32_t *producer, *consumer, *flags;
    void *entries;   /* of fill and completion rings uint64_t, else struct xdp_desc */
    uint32_t at;     /* our side's own place */
    void *map;
    size_t map_bytes;
};

/* Maps the ring that the socket has been given already. */
struct xdp_ring xdp_ring_map(int socket, const struct xdp_ring_offset *offsets, size_t entry_bytes, int64_t page);
void xdp_ring_unmap(struct xdp_ring *ring);

static inline uint32_t xdp_ring_slot(const struct xdp_ring *ring)
{
    return ring->at & (XDP_RING_ENTRIES - 1);
}

/* Has the kernel put something there? */
static inline bool xdp_ring_filled(const struct xdp_ring *ring)
{
    return __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE) != ring->at;
}

/* What lies in our slot has been taken, or has been written: tells the kernel. */
static inline void xdp_ring_taken(struct xdp_ring *ring)
{
    __atomic_store_n(ring->consumer, ++ring->at, __ATOMIC_RELEASE);
}

static inline void xdp_ring_written(struct xdp_ring *ring)
{
    __atomic_store_n(ring->producer, ++ring->at, __ATOMIC_RELEASE);
}

/* How many entries that we wrote has the kernel still to take? */
static inline uint32_t xdp_ring_pending(const struct xdp_ring *ring)
{
    return ring->at - __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
}

/* Does the kernel want a system call before it looks at the ring? */
static inline bool xdp_ring_wants_call(const struct xdp_ring *ring)
{
    return (__atomic_load_n(ring->flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) != 0;
}

static inline void xdp_ring_put(struct xdp_ring *ring, uint64_t address)
{
    ((uint64_t *)ring->entries)[xdp_ring_slot(ring)] = address;
    xdp_ring_written(ring);
}

#endif
