/* Copies what passes the devices of links out of the kernel's rings, and keeps the last of it. The kernel stamps packets
 * as they pass, and wakes us for a block of them or after some time, not for each. */
#include "capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"
#include "launch.h"
#include "mapped.h"
#include "options.h"
#include "pcapng.h"
#include "stop.h"

#define MAGIC "PBTAPS01"
#define ENDS 2
/* A block holds the largest packet whole. */
enum { BLOCK_BYTES = 1 << 17, FRAME_BYTES = 2048, WAIT_MS = 10 };
/* Of one tap; those of many share what ALL_BLOCKS has, as long as that is enough. */
enum { LEAST_BLOCKS = 4, MOST_BLOCKS = 32, ALL_BLOCKS = 512 };

/* The list: this head, and then the links. */
struct head {
    char magic[8];
    uint32_t links, unused;
};

struct end {
    char netns[PATH_BYTES];
    char name[40]; /* as the file has it */
    uint32_t ifindex, unused;
};

struct link {
    uint64_t keep_bytes;
    uint32_t snap;
    int32_t fd; /* of the file to write */
    struct end ends[ENDS];
};

_Static_assert(sizeof(struct head) == 16 && sizeof(struct link) == 16 + ENDS * 304, "the harness has 16 and 624 bytes");

struct tap {
    int sock;
    uint8_t *blocks;
    unsigned count, next;
    uint64_t missed;
};

static void require(int result, const char *attempted, const char *device)
{
    if (result != 0)
        fail(attempted, device, errno);
}

static struct tap open_tap(const struct end *end, uint32_t snap, unsigned blocks)
{
    struct tap tap = {.sock = mapped_socket(end->netns, AF_PACKET, SOCK_RAW, 0), .count = blocks};
    const int version = TPACKET_V3;
    const struct tpacket_req3 ring = {
        .tp_block_size = BLOCK_BYTES,
        .tp_block_nr = blocks,
        .tp_frame_size = FRAME_BYTES,
        .tp_frame_nr = BLOCK_BYTES / FRAME_BYTES * blocks,
        .tp_retire_blk_tov = WAIT_MS,
    };
    struct sock_filter cut = BPF_STMT(BPF_RET | BPF_K, snap);
    const struct sock_fprog program = {1, &cut};
    const struct sockaddr_ll to = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)end->ifindex};

    require(setsockopt(tap.sock, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), "cut packets", end->name);
    require(setsockopt(tap.sock, SOL_PACKET, PACKET_VERSION, &version, sizeof version), "capture", end->name);
    require(setsockopt(tap.sock, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring), "make a ring", end->name);
    tap.blocks = mmap(NULL, (size_t)BLOCK_BYTES * blocks, PROT_READ | PROT_WRITE, MAP_SHARED, tap.sock, 0);
    if (tap.blocks == MAP_FAILED)
        fail("map the ring", end->name, errno);
    require(bind(tap.sock, (const struct sockaddr *)&to, sizeof to), "capture", end->name);
    return tap;
}

static void keep_block(const struct tpacket_hdr_v1 *block, const uint8_t *start, struct pcapng_ring *ring)
{
    const uint8_t *at = start + block->offset_to_first_pkt;

    for (uint32_t left = block->num_pkts; left > 0; left--) {
        const struct tpacket3_hdr *frame = (const void *)at;
        const struct sockaddr_ll *from = (const void *)(at + TPACKET_ALIGN((int)sizeof *frame));
        const struct pcapng_packet packet = {
            .at_ns = (uint64_t)frame->tp_sec * (uint64_t)NS_PER_S + frame->tp_nsec,
            .kept = frame->tp_snaplen,
            .length = frame->tp_len,
            .outbound = from->sll_pkttype == PACKET_OUTGOING,
            .data = at + frame->tp_mac,
        };

        pcapng_ring_add(ring, &packet);
        at += frame->tp_next_offset;
    }
}

/* The blocks that the kernel has handed over; one turn of the ring at most, so that a flood does not hold us here. */
static void drain(struct tap *tap, struct pcapng_ring *ring)
{
    for (unsigned turn = 0; turn < tap->count; turn++) {
        uint8_t *start = tap->blocks + (size_t)tap->next * BLOCK_BYTES;
        struct tpacket_block_desc *block = (void *)start;

        if ((__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0)
            return;
        keep_block(&block->hdr.bh1, start, ring);
        __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        tap->next = (tap->next + 1) % tap->count;
    }
}

/* The blocks in the making are handed over when their time is out. */
static void finish(struct tap *taps, struct pcapng_ring *rings, size_t count)
{
    const int64_t until_ns = clock_now_ns() + 3 * WAIT_MS * NS_PER_MS;
    const struct timespec until = clock_from_ns(until_ns);

    while (clock_now_ns() < until_ns)
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    for (size_t i = 0; i < count; i++) {
        struct tpacket_stats_v3 counted = {0};
        socklen_t size = sizeof counted;

        drain(&taps[i], &rings[i]);
        (void)getsockopt(taps[i].sock, SOL_PACKET, PACKET_STATISTICS, &counted, &size);
        taps[i].missed = counted.tp_drops;
        close(taps[i].sock);
    }
}

static void capture(struct tap *taps, struct pcapng_ring *rings, size_t count)
{
    struct pollfd *fds = calloc(count, sizeof *fds);

    if (fds == NULL)
        fail("reserve memory for taps", NULL, ENOMEM);
    for (size_t i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = taps[i].sock, .events = POLLIN};
    while (!stop_requested) {
        (void)poll(fds, count, -1);
        for (size_t i = 0; i < count; i++)
            drain(&taps[i], &rings[i]);
    }
    free(fds);
}

static void write_file(const struct link *link, struct tap *taps, struct pcapng_ring *rings)
{
    FILE *out = fdopen(link->fd, "wb");
    const uint64_t now_ns = (uint64_t)clock_read_ns(CLOCK_REALTIME);
    bool good = out != NULL && pcapng_write_head(out);

    for (size_t i = 0; i < ENDS; i++)
        good = good && pcapng_write_interface(out, link->ends[i].name, link->snap);
    good = good && pcapng_write_packets(out, rings, ENDS);
    for (uint32_t i = 0; i < ENDS; i++)
        good = good && pcapng_write_statistics(out, i, now_ns, rings[i].packets + taps[i].missed, taps[i].missed);
    if (!good || fclose(out) != 0)
        fail("write packets", NULL, errno);
}

static void report(const struct pcapng_ring *rings, const struct tap *taps, size_t count)
{
    uint64_t packets = 0, forgotten = 0, missed = 0;

    for (size_t i = 0; i < count; i++) {
        packets += rings[i].packets;
        forgotten += rings[i].forgotten;
        missed += taps[i].missed;
    }
    event_begin("result");
    event_int("packets", (int64_t)packets);
    event_int("forgotten", (int64_t)forgotten);
    event_int("missed", (int64_t)missed);
    event_object("readback");
    launch_readback();
    event_object_end();
    event_end();
}

static unsigned blocks_each(size_t taps)
{
    const size_t share = ALL_BLOCKS / taps;

    return share < LEAST_BLOCKS ? LEAST_BLOCKS : share > MOST_BLOCKS ? MOST_BLOCKS : (unsigned)share;
}

static const struct link *read_links(const char *path, size_t *count)
{
    size_t bytes;
    const char *data = mapped_file(path, &bytes);
    const struct head *head = (const void *)data;

    if (bytes < sizeof *head || memcmp(head->magic, MAGIC, sizeof head->magic) != 0 || head->links == 0 ||
        bytes < sizeof *head + (size_t)head->links * sizeof(struct link))
        fail_saying("read the list of links", path, "it is none of ours");
    *count = head->links;
    return (const void *)(data + sizeof *head);
}

int capture_main(int argc, char **argv)
{
    const char *list = NULL;
    struct option_spec options[] = {{.name = "--list", .text = &list, .required = true}};

    if (options_parse(options, OPTION_COUNT(options), argc, argv) < argc)
        fail_usage("capture", "takes options only");
    size_t count;
    const struct link *links = read_links(list, &count);
    struct tap *taps = calloc(count * ENDS, sizeof *taps);
    struct pcapng_ring *rings = calloc(count * ENDS, sizeof *rings);

    if (taps == NULL || rings == NULL)
        fail("reserve memory for taps", NULL, ENOMEM);
    stop_on_sigterm();
    launch_name("capture");
    for (size_t i = 0; i < count * ENDS; i++) {
        const struct link *link = &links[i / ENDS];

        pcapng_ring_open(&rings[i], link->keep_bytes / ENDS, (uint32_t)(i % ENDS));
        taps[i] = open_tap(&link->ends[i % ENDS], link->snap, blocks_each(count * ENDS));
    }
    event_begin("ready");
    event_end();
    capture(taps, rings, count * ENDS);
    finish(taps, rings, count * ENDS);
    for (size_t i = 0; i < count; i++)
        write_file(&links[i], &taps[i * ENDS], &rings[i * ENDS]);
    report(rings, taps, count * ENDS);
    for (size_t i = 0; i < count * ENDS; i++)
        free(rings[i].bytes);
    free(rings);
    free(taps);
    return EXIT_SUCCESS;
}
