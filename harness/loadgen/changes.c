/* Applies a timetable of prepared netlink messages, each in its namespace at its time, and says how late it was. What
 * the messages are, the harness decides: here they are bytes, so that nothing has to be made up in the measured time. */
#include "changes.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "clock.h"
#include "control.h"
#include "events.h"
#include "launch.h"
#include "mapped.h"
#include "options.h"
#include "quantiles.h"
#include "stop.h"

#define MAGIC "PBLINK01"
#define LATENESS_MAX 4000000 /* changes of which the lateness is kept: 32 MB */
#define ANSWER_BYTES 8192
#define UNANSWERED_MAX 64 /* of a socket: its buffer holds some 250 answers */

/* The timetable: this head, the paths of namespaces, the tracks, the events, the messages' places, the messages. */
struct head {
    char magic[8];
    uint32_t namespaces, tracks, events, messages;
};

/* One direction of a link: its events, in the order of time, begin anew after period_ns (0: never). The message `undo`
 * makes it again what it was. */
struct track {
    int64_t period_ns;
    uint32_t first, count, namespace, undo;
};

struct event {
    int64_t at_ns; /* since its track began, or began anew */
    uint32_t message, unused;
};

struct place {
    uint32_t at, bytes; /* from the first message; messages that are sent together are one place */
};

_Static_assert(sizeof(struct head) == 24 && sizeof(struct track) == 24 && sizeof(struct event) == 16 &&
                   sizeof(struct place) == 8,
               "the writer has 24, 24, 16 and 8 bytes");

struct table {
    const struct head *head;
    const struct track *tracks;
    const struct event *events;
    const struct place *places;
    const char *messages;
    int *sockets;
    uint32_t *unanswered; /* changes of each namespace whose answers have not been read */
};

/* Where a track is: its next event, and when it began (anew). */
struct cursor {
    int64_t base_ns, due_ns; /* due_ns: INT64_MAX at its end */
    uint32_t next;
};

struct punctuality {
    int64_t *lateness, *took; /* of each change, up to LATENESS_MAX */
    size_t kept;
    int64_t done;
};

static int open_socket(const char *netns)
{
    const int sock = mapped_socket(netns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    const int on = 1;

    (void)setsockopt(sock, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    return sock;
}

static bool is_whole(const struct table *table, size_t message_bytes)
{
    const struct head *head = table->head;

    for (uint32_t i = 0; i < head->messages; i++)
        if ((uint64_t)table->places[i].at + table->places[i].bytes > message_bytes)
            return false;
    for (uint32_t i = 0; i < head->events; i++)
        if (table->events[i].message >= head->messages)
            return false;
    for (uint32_t i = 0; i < head->tracks; i++) {
        const struct track *track = &table->tracks[i];

        if ((uint64_t)track->first + track->count > head->events || track->namespace >= head->namespaces ||
            track->undo >= head->messages || track->period_ns < 0)
            return false;
    }
    return true;
}

static struct table read_table(const char *path)
{
    size_t bytes;
    const char *data = mapped_file(path, &bytes);
    const struct head *head = (const struct head *)(const void *)data;

    if (bytes < sizeof *head || memcmp(head->magic, MAGIC, sizeof head->magic) != 0)
        fail_saying("read the timetable", path, "it is none of ours");
    const char *paths = data + sizeof *head;
    const char *tracks = paths + (size_t)head->namespaces * PATH_BYTES;
    const char *events = tracks + (size_t)head->tracks * sizeof(struct track);
    const char *places = events + (size_t)head->events * sizeof(struct event);
    const char *messages = places + (size_t)head->messages * sizeof(struct place);
    struct table table = {.head = head,
                          .tracks = (const struct track *)(const void *)tracks,
                          .events = (const struct event *)(const void *)events,
                          .places = (const struct place *)(const void *)places,
                          .messages = messages,
                          .sockets = calloc((size_t)head->namespaces + 1, sizeof(int)),
                          .unanswered = calloc((size_t)head->namespaces + 1, sizeof(uint32_t))};

    if (table.sockets == NULL || table.unanswered == NULL || messages > data + bytes ||
        !is_whole(&table, (size_t)(data + bytes - messages)))
        fail_saying("read the timetable", path, "it is not whole");
    for (uint32_t i = 0; i < head->namespaces; i++)
        table.sockets[i] = open_socket(paths + (size_t)i * PATH_BYTES);
    return table;
}

/* Reads as many acknowledgements as were asked for: did the kernel do it? */
static void await_answers(int sock, size_t count)
{
    static _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];

    while (count > 0) {
        const ssize_t got = recv(sock, answer, sizeof answer, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            fail("read the kernel's answer to a change", NULL, errno);
        size_t left = (size_t)got;

        for (const struct nlmsghdr *message = (const void *)answer; NLMSG_OK(message, left) && count > 0;
             message = NLMSG_NEXT(message, left)) {
            const struct nlmsgerr *error = NLMSG_DATA(message);

            if (message->nlmsg_type != NLMSG_ERROR)
                continue;
            if (error->error != 0)
                fail("change a link", NULL, -error->error);
            count--;
        }
    }
}

/* Of the namespaces from the one to before the other. */
static void settle(const struct table *table, uint32_t namespace, uint32_t end)
{
    for (; namespace < end; namespace++) {
        await_answers(table->sockets[namespace], table->unanswered[namespace]);
        table->unanswered[namespace] = 0;
    }
}

/* The kernel does it before send() returns; what it says of it is read when nothing is due. */
static void apply(const struct table *table, uint32_t namespace, uint32_t message)
{
    const struct place place = table->places[message];
    const char *data = table->messages + place.at;
    const int sock = table->sockets[namespace];
    size_t count = 0;

    for (size_t at = 0; at + sizeof(struct nlmsghdr) <= place.bytes; count++) {
        const uint32_t length = ((const struct nlmsghdr *)(const void *)(data + at))->nlmsg_len;

        if (length < sizeof(struct nlmsghdr))
            fail_saying("change a link", NULL, "a message without a length");
        at += NLMSG_ALIGN(length);
    }
    if (send(sock, data, place.bytes, 0) != (ssize_t)place.bytes)
        fail("send a change", NULL, errno);
    table->unanswered[namespace] += (uint32_t)count;
    if (table->unanswered[namespace] > UNANSWERED_MAX)
        settle(table, namespace, namespace + 1);
}

static void sleep_until(int64_t ns)
{
    const struct timespec until = clock_from_ns(ns);

    while (!stop_requested && clock_now_ns() < ns) /* INT64_MAX: until asked to stop */
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* Goes on to the track's event `next`, or to its first anew. */
static void proceed(const struct table *table, size_t number, struct cursor *cursor)
{
    const struct track *track = &table->tracks[number];

    if (cursor->next == track->count && track->period_ns > 0) {
        cursor->next = 0;
        cursor->base_ns += track->period_ns;
    }
    cursor->due_ns = cursor->next < track->count
                         ? cursor->base_ns + table->events[track->first + cursor->next].at_ns
                         : INT64_MAX;
}

static size_t earliest(const struct cursor *cursors, size_t count)
{
    size_t best = 0;

    for (size_t i = 1; i < count; i++)
        if (cursors[i].due_ns < cursors[best].due_ns)
            best = i;
    return best;
}

static void go_through(const struct table *table, int64_t begun_ns, struct punctuality *punctual)
{
    const size_t count = table->head->tracks;
    struct cursor *cursors = calloc(count, sizeof *cursors);

    if (cursors == NULL)
        fail("reserve memory for the links", NULL, ENOMEM);
    for (size_t i = 0; i < count; i++) {
        cursors[i].base_ns = begun_ns;
        proceed(table, i, &cursors[i]);
    }
    for (;;) {
        const size_t number = earliest(cursors, count);
        struct cursor *cursor = &cursors[number];
        const struct track *track = &table->tracks[number];

        if (cursor->due_ns > clock_now_ns())
            settle(table, 0, table->head->namespaces);
        sleep_until(cursor->due_ns);
        if (stop_requested)
            break;
        const int64_t woken_ns = clock_now_ns();

        apply(table, track->namespace, table->events[track->first + cursor->next].message);
        const int64_t now_ns = clock_now_ns();

        if (punctual->kept < LATENESS_MAX) {
            punctual->lateness[punctual->kept] = now_ns - cursor->due_ns;
            punctual->took[punctual->kept++] = now_ns - woken_ns;
        }
        punctual->done++;
        cursor->next++;
        proceed(table, number, cursor);
    }
    free(cursors);
}

static void report(int64_t begun_ns, struct punctuality *punctual)
{
    const struct quantiles late = quantiles_of(punctual->lateness, punctual->kept, 0);
    const struct quantiles took = quantiles_of(punctual->took, punctual->kept, 0);

    event_begin("result");
    event_int("begun_ns", begun_ns);
    event_int("ended_ns", clock_now_ns());
    event_int("changes", punctual->done);
    event_int("late_p50_ns", late.p50_ns);
    event_int("late_p99_ns", late.p99_ns);
    event_int("late_max_ns", late.max_ns);
    event_int("took_p99_ns", took.p99_ns);
    event_object("readback");
    launch_readback();
    event_object_end();
    event_end();
}

int changes_main(int argc, char **argv)
{
    const char *path = NULL;
    struct option_spec options[] = {{.name = "--timetable", .text = &path, .required = true}};
    struct punctuality punctual = {.lateness = calloc(LATENESS_MAX, sizeof(int64_t)),
                          .took = calloc(LATENESS_MAX, sizeof(int64_t))};

    if (options_parse(options, OPTION_COUNT(options), argc, argv) < argc)
        fail_usage("links", "takes options only");
    if (punctual.lateness == NULL || punctual.took == NULL)
        fail("reserve memory for the lateness", NULL, ENOMEM);
    const struct table table = read_table(path);

    if (table.head->tracks == 0)
        fail_saying("read the timetable", path, "no link changes");
    stop_on_sigterm();
    launch_name("links");
    /* Wake at the time, not up to 50 us later. */
    (void)prctl(PR_SET_TIMERSLACK, 1);
    event_begin("ready");
    event_int("events", table.head->events);
    event_end();
    control_wait("go");
    const int64_t begun_ns = clock_now_ns();

    go_through(&table, begun_ns, &punctual);
    for (uint32_t i = 0; i < table.head->tracks; i++)
        apply(&table, table.tracks[i].namespace, table.tracks[i].undo);
    settle(&table, 0, table.head->namespaces);
    report(begun_ns, &punctual);
    free(table.sockets);
    free(table.unanswered);
    free(punctual.lateness);
    free(punctual.took);
    return EXIT_SUCCESS;
}
