/* Maps the rings of AF_XDP sockets. */
#include "xdp_ring.h"

#include <errno.h>
#include <sys/mman.h>

#include "events.h"

struct xdp_ring xdp_ring_map(int socket, const struct xdp_ring_offset *offsets, size_t entry_bytes, int64_t page)
{
    const size_t bytes = (size_t)offsets->desc + XDP_RING_ENTRIES * entry_bytes;
    unsigned char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket, (off_t)page);

    if (map == MAP_FAILED)
        fail("map a ring of an AF_XDP socket", NULL, errno);
    return (struct xdp_ring){
        .producer = (void *)(map + offsets->producer),
        .consumer = (void *)(map + offsets->consumer),
        .flags = (void *)(map + offsets->flags),
        .entries = map + offsets->desc,
        .map = map,
        .map_bytes = bytes,
    };
}

void xdp_ring_unmap(struct xdp_ring *ring)
{
    munmap(ring->map, ring->map_bytes);
}
