/* Asks queueing disciplines at a steady pace how much waits in them and how much they dropped. What is kept is bounded:
 * once all points of a series are full, two by two become one. Asking takes the kernel's lock of its configuration, and
 * each queue's own for as long as it takes to copy five numbers. */
#include "queues.h"

#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "events.h"
#include "launch.h"
#include "mapped.h"
#include "options.h"
#include "stop.h"

#define MAGIC "PBQUEUE1"
#define ANSWER_BYTES 16384
#define MOST_POINTS 100000

/* The list: this head, and then the queues. */
struct head {
    char magic[8];
    uint32_t queues, unused;
};

struct queue {
    char netns[PATH_BYTES];
    uint32_t ifindex;
    uint32_t waits; /* handle of the discipline in which packets wait; 0: the root */
    uint32_t leaf; /* handle of one at the end, which drops by itself; 0: there is none */
    uint32_t unused;
};

/* What was seen in one stretch of time. */
struct point {
    uint64_t samples, packets; /* packets: the sum over the samples */
    uint32_t most_packets, most_bytes;
    uint64_t drops;
};

_Static_assert(sizeof(struct head) == 16 && sizeof(struct queue) == 272 && sizeof(struct point) == 32,
               "the harness has 16, 272 and 32 bytes");

struct watch {
    const struct queue *queues;
    size_t count, most, used; /* queues; points that each may have, and has */
    int64_t begun_ns, width_ns; /* width: of a point */
    int *sockets;
    struct gnet_stats_queue *before;
    struct point *points; /* `most` for each queue */
};

/* The numbers in the kernel's answer; false where it has none. */
static bool find_numbers(const struct nlmsghdr *answer, struct gnet_stats_queue *numbers)
{
    const struct rtattr *outer = TCA_RTA((const struct tcmsg *)NLMSG_DATA(answer));
    size_t left = TCA_PAYLOAD(answer);

    for (; RTA_OK(outer, left); outer = RTA_NEXT(outer, left)) {
        if ((outer->rta_type & NLA_TYPE_MASK) != TCA_STATS2)
            continue;
        const struct rtattr *inner = RTA_DATA(outer);
        size_t within = RTA_PAYLOAD(outer);

        for (; RTA_OK(inner, within); inner = RTA_NEXT(inner, within))
            if ((inner->rta_type & NLA_TYPE_MASK) == TCA_STATS_QUEUE && RTA_PAYLOAD(inner) >= sizeof *numbers) {
                memcpy(numbers, RTA_DATA(inner), sizeof *numbers);
                return true;
            }
    }
    return false;
}

/* The numbers of one discipline: of the root, where `handle` is 0. Of one that is not there, since a link that is down
 * has another in its place, they are 0. */
static struct gnet_stats_queue ask(int sock, uint32_t ifindex, uint32_t handle)
{
    static _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
    struct gnet_stats_queue numbers = {0};
    struct {
        struct nlmsghdr head;
        struct tcmsg body;
    } request = {
        /* Older kernels answer who asked with what everybody hears, which they do by this flag alone. */
        .head = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETQDISC, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ECHO},
        .body = {.tcm_ifindex = (int)ifindex, .tcm_handle = handle, .tcm_parent = handle ? 0 : TC_H_ROOT},
    };

    if (send(sock, &request, sizeof request, 0) != sizeof request)
        fail("ask for a queue", NULL, errno);
    ssize_t got;

    do
        got = recv(sock, answer, sizeof answer, 0);
    while (got < 0 && errno == EINTR);
    const struct nlmsghdr *message = (const void *)answer;

    if (got < 0 || !NLMSG_OK(message, (size_t)got))
        fail("ask for a queue", NULL, got < 0 ? errno : EPROTO);
    if (message->nlmsg_type == NLMSG_ERROR) {
        const int error = -((const struct nlmsgerr *)NLMSG_DATA(message))->error;

        if (error == ENOENT && handle != 0)
            return numbers;
        fail("ask for a queue", NULL, error);
    }
    if (!find_numbers(message, &numbers))
        fail_saying("ask for a queue", NULL, "the kernel tells no numbers of it");
    return numbers;
}

/* Of what a leaf drops on arrival all above it count one too; of what it drops later none does. */
static struct gnet_stats_queue look(const struct watch *watch, size_t number)
{
    const struct queue *queue = &watch->queues[number];
    const int sock = watch->sockets[number];
    struct gnet_stats_queue all = ask(sock, queue->ifindex, 0);

    if (queue->waits != 0) {
        const struct gnet_stats_queue waiting = ask(sock, queue->ifindex, queue->waits);

        all.qlen = waiting.qlen;
        all.backlog = waiting.backlog;
    }
    if (queue->leaf != 0) {
        const uint32_t drops = ask(sock, queue->ifindex, queue->leaf).drops;

        all.drops = drops > all.drops ? drops : all.drops;
    }
    return all;
}

static struct point together(struct point a, struct point b)
{
    return (struct point){
        .samples = a.samples + b.samples,
        .packets = a.packets + b.packets,
        .most_packets = a.most_packets > b.most_packets ? a.most_packets : b.most_packets,
        .most_bytes = a.most_bytes > b.most_bytes ? a.most_bytes : b.most_bytes,
        .drops = a.drops + b.drops,
    };
}

/* Twice as long a stretch for each point, and half as many of them. */
static void halve(struct watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        struct point *own = &watch->points[i * watch->most];

        for (size_t at = 0; at < watch->most / 2; at++)
            own[at] = together(own[2 * at], own[2 * at + 1]);
        memset(own + watch->most / 2, 0, watch->most / 2 * sizeof *own);
    }
    watch->width_ns *= 2;
}

static void sample(struct watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        const struct gnet_stats_queue now = look(watch, i);
        const int64_t since_ns = clock_now_ns() - watch->begun_ns;

        while ((size_t)(since_ns / watch->width_ns) >= watch->most)
            halve(watch);
        const size_t at = (size_t)(since_ns / watch->width_ns);
        struct point *point = &watch->points[i * watch->most + at];
        const uint32_t drops = now.drops - watch->before[i].drops;

        *point = together(*point, (struct point){1, now.qlen, now.qlen, now.backlog, drops});
        watch->before[i] = now;
    }
    const size_t used = (size_t)((clock_now_ns() - watch->begun_ns) / watch->width_ns) + 1;

    watch->used = used < watch->most ? used : watch->most;
}

static struct watch prepare(const char *path, int64_t every_ns, int64_t most)
{
    size_t bytes;
    const char *data = mapped_file(path, &bytes);
    const struct head *head = (const void *)data;

    if (bytes < sizeof *head || memcmp(head->magic, MAGIC, sizeof head->magic) != 0 ||
        bytes < sizeof *head + (size_t)head->queues * sizeof(struct queue))
        fail_saying("read the list of queues", path, "it is none of ours");
    struct watch watch = {
        .queues = (const void *)(data + sizeof *head),
        .count = head->queues,
        .most = (size_t)most,
        .width_ns = every_ns,
        .sockets = calloc(head->queues, sizeof(int)),
        .before = calloc(head->queues, sizeof(struct gnet_stats_queue)),
        .points = calloc((size_t)head->queues * (size_t)most, sizeof(struct point)),
    };

    if (watch.count == 0 || watch.sockets == NULL || watch.before == NULL || watch.points == NULL)
        fail("reserve memory for the queues", NULL, ENOMEM);
    for (size_t i = 0; i < watch.count; i++) {
        watch.sockets[i] = mapped_socket(watch.queues[i].netns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
        watch.before[i] = look(&watch, i);
    }
    return watch;
}

static int64_t go_on(struct watch *watch, int64_t every_ns)
{
    int64_t samples = 0;

    watch->begun_ns = clock_now_ns();
    for (size_t i = 0; i < watch->count; i++)
        watch->before[i] = look(watch, i);
    for (int64_t due_ns = watch->begun_ns; !stop_requested; samples++) {
        const struct timespec until = clock_from_ns(due_ns);

        while (!stop_requested && clock_now_ns() < due_ns)
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        sample(watch);
        /* What was missed is not made up for. */
        due_ns += (clock_now_ns() - due_ns) / every_ns * every_ns + every_ns;
    }
    return samples;
}

static void write_all(const char *path, const struct watch *watch)
{
    FILE *out = fopen(path, "wb");
    bool good = out != NULL;

    for (size_t i = 0; good && i < watch->count; i++)
        good = fwrite(&watch->points[i * watch->most], sizeof(struct point), watch->used, out) == watch->used;
    if (!good || fclose(out) != 0)
        fail("write the series", path, errno);
}

int queues_main(int argc, char **argv)
{
    const char *list = NULL;
    const char *series = NULL;
    int64_t every_ns = 0, most = 0;
    struct option_spec options[] = {
        {.name = "--list", .text = &list, .required = true},
        {.name = "--series", .text = &series, .required = true},
        {.name = "--every-ns", .number = &every_ns, .low = 100000, .high = NS_PER_S, .required = true},
        {.name = "--points", .number = &most, .low = 2, .high = MOST_POINTS, .required = true},
    };

    if (options_parse(options, OPTION_COUNT(options), argc, argv) < argc)
        fail_usage("queues", "takes options only");
    if (most % 2 != 0)
        fail_usage("--points", "want an even number");
    struct watch watch = prepare(list, every_ns, most);

    stop_on_sigterm();
    launch_name("queues");
    (void)prctl(PR_SET_TIMERSLACK, 1);
    event_begin("ready");
    event_end();
    control_wait("go");
    const int64_t samples = go_on(&watch, every_ns);

    write_all(series, &watch);
    event_begin("result");
    event_int("begun_ns", watch.begun_ns);
    event_int("ended_ns", clock_now_ns());
    event_int("samples", samples);
    event_int("points", (int64_t)watch.used);
    event_int("width_ns", watch.width_ns);
    event_object("readback");
    launch_readback();
    event_object_end();
    event_end();
    free(watch.sockets);
    free(watch.before);
    free(watch.points);
    return EXIT_SUCCESS;
}
