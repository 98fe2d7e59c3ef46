/* Copies what passes the devices of links out of the kernel's rings, and keeps the last of it. */
#include "capture.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
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
#include "tap.h"

#define MAGIC "PBTAPS01"
#define ENDS 2
/* Of one tap; those of many share what ALL_BLOCKS has, as long as that is enough. */
enum { LEAST_BLOCKS = 4, ALL_BLOCKS = 512 };

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

static struct tap open_tap(const struct end *end, uint32_t snap, unsigned blocks)
{
    struct sock_filter cut = BPF_STMT(BPF_RET | BPF_K, snap);

    return tap_open(&(struct tap_choice){
        .netns = end->netns,
        .name = end->name,
        .ifindex = end->ifindex,
        .type = SOCK_RAW,
        .filter = {1, &cut},
        .blocks = blocks,
    });
}

static void keep(const struct tap_packet *packet, void *ring)
{
    pcapng_ring_add(ring, packet);
}

/* The blocks in the making are handed over when their time is out. */
static void finish(struct tap *taps, struct pcapng_ring *rings, uint64_t *missed, size_t count)
{
    tap_settle();
    for (size_t i = 0; i < count; i++) {
        tap_drain(&taps[i], keep, &rings[i]);
        missed[i] = tap_close(&taps[i]);
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
            tap_drain(&taps[i], keep, &rings[i]);
    }
    free(fds);
}

static void write_file(const struct link *link, const uint64_t *missed, struct pcapng_ring *rings)
{
    FILE *out = fdopen(link->fd, "wb");
    const uint64_t now_ns = (uint64_t)clock_read_ns(CLOCK_REALTIME);
    bool good = out != NULL && pcapng_write_head(out);

    for (size_t i = 0; i < ENDS; i++)
        good = good && pcapng_write_interface(out, link->ends[i].name, link->snap);
    good = good && pcapng_write_packets(out, rings, ENDS);
    for (uint32_t i = 0; i < ENDS; i++)
        good = good && pcapng_write_statistics(out, i, now_ns, rings[i].packets + missed[i], missed[i]);
    if (!good || fclose(out) != 0)
        fail("write packets", NULL, errno);
}

static void report(const struct pcapng_ring *rings, const uint64_t *missed_of, size_t count)
{
    uint64_t packets = 0, forgotten = 0, missed = 0;

    for (size_t i = 0; i < count; i++) {
        packets += rings[i].packets;
        forgotten += rings[i].forgotten;
        missed += missed_of[i];
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

    return share < LEAST_BLOCKS ? LEAST_BLOCKS : share > TAP_MOST_BLOCKS ? TAP_MOST_BLOCKS : (unsigned)share;
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
    uint64_t *missed = calloc(count * ENDS, sizeof *missed);

    if (taps == NULL || rings == NULL || missed == NULL)
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
    finish(taps, rings, missed, count * ENDS);
    for (size_t i = 0; i < count; i++)
        write_file(&links[i], &missed[i * ENDS], &rings[i * ENDS]);
    report(rings, missed, count * ENDS);
    for (size_t i = 0; i < count * ENDS; i++)
        free(rings[i].bytes);
    free(rings);
    free(taps);
    free(missed);
    return EXIT_SUCCESS;
}
