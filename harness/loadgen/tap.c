/* Reads a ring of AF_PACKET. The kernel stamps packets as they pass, and wakes us for a block of them or after some
 * time, not for each. */
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"
#include "mapped.h"

/* A block holds the largest packet whole. */
enum { BLOCK_BYTES = 1 << 17, FRAME_BYTES = 2048, WAIT_MS = 10 };

static void require(int result, const char *attempted, const char *name)
{
    if (result != 0)
        fail(attempted, name, errno);
}

struct tap tap_open(const struct tap_choice *choice)
{
    struct tap tap = {.sock = mapped_socket(choice->netns, AF_PACKET, choice->type, 0), .count = choice->blocks};
    const int version = TPACKET_V3;
    const struct tpacket_req3 ring = {
        .tp_block_size = BLOCK_BYTES,
        .tp_block_nr = tap.count,
        .tp_frame_size = FRAME_BYTES,
        .tp_frame_nr = BLOCK_BYTES / FRAME_BYTES * tap.count,
        .tp_retire_blk_tov = WAIT_MS,
    };
    const struct sockaddr_ll to = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)choice->ifindex};
    const struct sock_fprog *filter = &choice->filter;
    const char *name = choice->name;

    require(setsockopt(tap.sock, SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof *filter), "cut packets", name);
    require(setsockopt(tap.sock, SOL_PACKET, PACKET_VERSION, &version, sizeof version), "capture", name);
    require(setsockopt(tap.sock, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring), "make a ring", name);
    tap.blocks = mmap(NULL, (size_t)BLOCK_BYTES * tap.count, PROT_READ | PROT_WRITE, MAP_SHARED, tap.sock, 0);
    if (tap.blocks == MAP_FAILED)
        fail("map the ring", name, errno);
    require(bind(tap.sock, (const struct sockaddr *)&to, sizeof to), "capture", name);
    return tap;
}

static void keep_block(const struct tpacket_hdr_v1 *block, const uint8_t *start, tap_keep *keep, void *where)
{
    const uint8_t *at = start + block->offset_to_first_pkt;

    for (uint32_t left = block->num_pkts; left > 0; left--) {
        const struct tpacket3_hdr *frame = (const void *)at;
        const struct sockaddr_ll *from = (const void *)(at + TPACKET_ALIGN((int)sizeof *frame));
        const struct tap_packet packet = {
            .at_ns = (uint64_t)frame->tp_sec * (uint64_t)NS_PER_S + frame->tp_nsec,
            .kept = frame->tp_snaplen,
            .length = frame->tp_len,
            .outbound = from->sll_pkttype == PACKET_OUTGOING,
            .data = at + frame->tp_mac,
        };

        keep(&packet, where);
        at += frame->tp_next_offset;
    }
}

void tap_drain(struct tap *tap, tap_keep *keep, void *where)
{
    for (unsigned turn = 0; turn < tap->count; turn++) {
        uint8_t *start = tap->blocks + (size_t)tap->next * BLOCK_BYTES;
        struct tpacket_block_desc *block = (void *)start;

        if ((__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0)
            return;
        keep_block(&block->hdr.bh1, start, keep, where);
        __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        tap->next = (tap->next + 1) % tap->count;
    }
}

void tap_settle(void)
{
    const int64_t until_ns = clock_now_ns() + 3 * WAIT_MS * NS_PER_MS;
    const struct timespec until = clock_from_ns(until_ns);

    while (clock_now_ns() < until_ns)
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

uint64_t tap_close(const struct tap *tap)
{
    struct tpacket_stats_v3 counted = {0};
    socklen_t size = sizeof counted;

    (void)getsockopt(tap->sock, SOL_PACKET, PACKET_STATISTICS, &counted, &size);
    close(tap->sock);
    return counted.tp_drops;
}
