/* Keeps packets as blocks of a pcapng file, so that writing the file is copying them out. */
#include "pcapng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"

enum { SECTION = 0x0A0D0D0A, ORDER_MARK = 0x1A2B3C4D, INTERFACE = 1, STATISTICS = 5, PACKET = 6, ETHERNET = 1 };
enum { OPT_END = 0, IF_NAME = 2, IF_TSRESOL = 9, EPB_FLAGS = 2, ISB_RECEIVED = 4, ISB_DROPPED = 5 };
enum { NANOSECONDS = 9, INBOUND = 1, OUTBOUND = 2, NAME_BYTES = 40 };

struct packet_head {
    uint32_t type, bytes, interface, at_high, at_low, kept, length;
};

struct packet_tail {
    uint16_t flags_code, flags_bytes;
    uint32_t flags;
    uint16_t end_code, end_bytes;
    uint32_t bytes;
};

_Static_assert(sizeof(struct packet_head) == 28 && sizeof(struct packet_tail) == 16, "as the format has them");

static size_t padded(size_t bytes)
{
    return (bytes + 3) & ~(size_t)3;
}

void pcapng_ring_open(struct pcapng_ring *ring, size_t room, uint32_t interface)
{
    *ring = (struct pcapng_ring){.bytes = malloc(room), .room = room, .interface = interface};
    if (ring->bytes == NULL)
        fail("reserve memory for packets", NULL, ENOMEM);
}

static void put(struct pcapng_ring *ring, const void *data, size_t bytes)
{
    const size_t at = (ring->first + ring->used) % ring->room;
    const size_t before_end = ring->room - at < bytes ? ring->room - at : bytes;

    memcpy(ring->bytes + at, data, before_end);
    memcpy(ring->bytes, (const uint8_t *)data + before_end, bytes - before_end);
    ring->used += bytes;
}

/* Looks at the first bytes in the ring, which stay. */
static void peek(const struct pcapng_ring *ring, void *data, size_t bytes)
{
    const size_t before_end = ring->room - ring->first < bytes ? ring->room - ring->first : bytes;

    memcpy(data, ring->bytes + ring->first, before_end);
    memcpy((uint8_t *)data + before_end, ring->bytes, bytes - before_end);
}

static struct packet_head oldest(const struct pcapng_ring *ring)
{
    struct packet_head head;

    peek(ring, &head, sizeof head);
    return head;
}

static void forget(struct pcapng_ring *ring, size_t bytes)
{
    ring->first = (ring->first + bytes) % ring->room;
    ring->used -= bytes;
}

void pcapng_ring_add(struct pcapng_ring *ring, const struct tap_packet *packet)
{
    static const uint8_t zeros[4];
    const size_t bytes = sizeof(struct packet_head) + padded(packet->kept) + sizeof(struct packet_tail);
    const struct packet_head head = {
        .type = PACKET,
        .bytes = (uint32_t)bytes,
        .interface = ring->interface,
        .at_high = (uint32_t)(packet->at_ns >> 32),
        .at_low = (uint32_t)packet->at_ns,
        .kept = packet->kept,
        .length = packet->length,
    };
    const struct packet_tail tail = {
        .flags_code = EPB_FLAGS,
        .flags_bytes = sizeof(uint32_t),
        .flags = packet->outbound ? OUTBOUND : INBOUND,
        .bytes = (uint32_t)bytes,
    };

    ring->packets++;
    if (bytes > ring->room) {
        ring->forgotten++;
        return;
    }
    while (ring->room - ring->used < bytes) {
        forget(ring, oldest(ring).bytes);
        ring->forgotten++;
    }
    put(ring, &head, sizeof head);
    put(ring, packet->data, packet->kept);
    put(ring, zeros, padded(packet->kept) - packet->kept);
    put(ring, &tail, sizeof tail);
}

static uint64_t time_of(const struct pcapng_ring *ring)
{
    const struct packet_head head = oldest(ring);

    return (uint64_t)head.at_high << 32 | head.at_low;
}

bool pcapng_write_packets(FILE *out, struct pcapng_ring *rings, size_t count)
{
    for (;;) {
        struct pcapng_ring *next = NULL;

        for (size_t i = 0; i < count; i++)
            if (rings[i].used > 0 && (next == NULL || time_of(&rings[i]) < time_of(next)))
                next = &rings[i];
        if (next == NULL)
            return true;
        const size_t bytes = oldest(next).bytes;
        const size_t before_end = next->room - next->first < bytes ? next->room - next->first : bytes;

        if (fwrite(next->bytes + next->first, 1, before_end, out) != before_end ||
            fwrite(next->bytes, 1, bytes - before_end, out) != bytes - before_end)
            return false;
        forget(next, bytes);
    }
}

bool pcapng_write_head(FILE *out)
{
    const struct {
        uint32_t type, bytes, order;
        uint16_t major, minor;
        uint32_t length_low, length_high, again; /* the section's length: not known */
    } block = {SECTION, sizeof block, ORDER_MARK, 1, 0, UINT32_MAX, UINT32_MAX, sizeof block};

    return fwrite(&block, sizeof block, 1, out) == 1;
}

bool pcapng_write_interface(FILE *out, const char *device, uint32_t snap)
{
    struct {
        uint32_t type, bytes;
        uint16_t link, reserved;
        uint32_t snap;
        uint16_t name_code, name_bytes;
        char name[NAME_BYTES];
        uint16_t resolution_code, resolution_bytes;
        uint8_t resolution[4];
        uint32_t end, again;
    } block = {INTERFACE, sizeof block, ETHERNET, 0,           snap, IF_NAME,      NAME_BYTES,
               {0},       IF_TSRESOL,   1,        {NANOSECONDS}, OPT_END, sizeof block};

    snprintf(block.name, sizeof block.name, "%s", device);
    block.name_bytes = (uint16_t)strlen(block.name);
    /* An option's value ends where its length says, padded to four bytes: a shorter name leaves what follows earlier. */
    const size_t cut = NAME_BYTES - padded(block.name_bytes);
    const size_t before = offsetof(__typeof__(block), name) + padded(block.name_bytes);
    const size_t after = sizeof block - offsetof(__typeof__(block), resolution_code);

    block.bytes = block.again = (uint32_t)(sizeof block - cut);
    return fwrite(&block, 1, before, out) == before && fwrite(&block.resolution_code, 1, after, out) == after;
}

bool pcapng_write_statistics(FILE *out, uint32_t interface, uint64_t at_ns, uint64_t came, uint64_t missed)
{
    const struct {
        uint32_t type, bytes, interface, at_high, at_low;
        uint16_t came_code, came_bytes;
        uint32_t came[2];
        uint16_t missed_code, missed_bytes;
        uint32_t missed[2];
        uint32_t end, again;
    } block = {
        STATISTICS, sizeof block, interface, (uint32_t)(at_ns >> 32), (uint32_t)at_ns,
        ISB_RECEIVED, 8, {(uint32_t)came, (uint32_t)(came >> 32)},
        ISB_DROPPED, 8, {(uint32_t)missed, (uint32_t)(missed >> 32)},
        OPT_END, sizeof block,
    };

    return fwrite(&block, sizeof block, 1, out) == 1;
}
