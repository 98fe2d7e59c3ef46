/* The hog: starts the threads, keeps each to its duty cycle, and reports the CPU time they really got. */
#include "hog.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"
#include "launch.h"
#include "options.h"
#include "relax.h"
#include "stop.h"
#include "threads.h"
#include "usage.h"

#define THREADS_MAX 4096
#define WORKING_SET_DEFAULT (INT64_C(8) << 20)
#define WORKING_SET_MIN 4096
#define BUSY_POLL_DEFAULT 50
#define WORKING_SET_MAX (INT64_C(16) << 30)

struct hog_options {
    int64_t kind, threads, period_ns, working_set;
    double load; /* percent */
    struct hog_peer peer;
};

struct hog {
    const struct hog_options *options;
    pthread_barrier_t *start;
    pthread_t thread;
    uint64_t seed;
    int64_t tid, cpu_ns;
};

static const char *const kind_names[] = {"spin", "syscall", "cache", "memory", "network", "poller", "pause", NULL};

static struct hog_options read_options(int argc, char **argv)
{
    struct hog_options o = {
        .period_ns = 10 * NS_PER_MS, .working_set = WORKING_SET_DEFAULT, .peer = {.busy_poll = BUSY_POLL_DEFAULT}};
    struct option_spec table[] = {
        {.name = "--kind", .number = &o.kind, .choices = kind_names, .required = true},
        {.name = "--threads", .number = &o.threads, .low = 1, .high = THREADS_MAX, .required = true},
        {.name = "--load", .real = &o.load, .high = 100, .required = true},
        {.name = "--period-ns", .number = &o.period_ns, .low = 10000, .high = 60 * NS_PER_S},
        {.name = "--working-set", .number = &o.working_set, .low = WORKING_SET_MIN, .high = WORKING_SET_MAX},
        {.name = "--connect", .text = &o.peer.address},
        {.name = "--port", .number = &o.peer.port, .low = 1, .high = UINT16_MAX},
        {.name = "--busy-poll", .number = &o.peer.busy_poll, .low = 1, .high = INT32_MAX},
    };

    if (options_parse(table, OPTION_COUNT(table), argc, argv) < argc)
        fail_usage("hog", "takes options only");
    return o;
}

static void sleep_until(int64_t ns)
{
    const struct timespec until = clock_from_ns(ns);

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL); /* a signal may end it: then we stop */
}

/* Works until the thread's CPU time is cpu_ns, but not beyond the point in time end_ns. */
static void work_until(struct hog_work *work, int64_t cpu_ns, int64_t end_ns)
{
    while (!stop_requested && clock_now_ns() < end_ns && clock_read_ns(CLOCK_THREAD_CPUTIME_ID) < cpu_ns) {
        hog_work_portion(work);
        relax(); /* once in a microsecond costs no load, and lets an emulator's other CPUs keep up */
    }
}

/* The duty is CPU time received: a thread that was kept off its CPU goes on within the period until it has had its
 * share, and gets less only where the period leaves it less; the CPU time it reports says so. */
static void keep_duty(const struct hog_options *options, struct hog_work *work)
{
    const int64_t busy_ns = (int64_t)((double)options->period_ns * options->load / 100);

    if (busy_ns >= options->period_ns) {
        work_until(work, INT64_MAX, INT64_MAX);
        return;
    }
    for (int64_t period = clock_now_ns(); !stop_requested; period += options->period_ns) {
        /* What a period did not give is gone; catching up would turn a share into a burst. */
        period += (clock_now_ns() - period) / options->period_ns * options->period_ns;
        work_until(work, clock_read_ns(CLOCK_THREAD_CPUTIME_ID) + busy_ns, period + options->period_ns);
        sleep_until(period + options->period_ns);
    }
}

static void *run(void *argument)
{
    struct hog *hog = argument;
    struct hog_work work = hog_work_make((enum hog_kind)hog->options->kind,
                                         (size_t)hog->options->working_set, hog->seed,
                                         &hog->options->peer);

    /* Wake at the period's start, not up to 50 us later. */
    (void)prctl(PR_SET_TIMERSLACK, 1);
    char name[16];

    snprintf(name, sizeof name, "hog %" PRIu64, (hog->seed - 1) % 10000);
    launch_name(name);
    hog->tid = gettid();
    pthread_barrier_wait(hog->start);
    const int64_t before = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);

    keep_duty(hog->options, &work);
    hog->cpu_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - before;
    hog_work_free(&work);
    return NULL;
}

static void event_hogs(const char *key, const struct hog *hogs, size_t count, bool tids)
{
    int64_t *values = calloc(count, sizeof *values);

    if (values == NULL)
        fail("reserve memory for the report", NULL, ENOMEM);
    for (size_t i = 0; i < count; i++)
        values[i] = tids ? hogs[i].tid : hogs[i].cpu_ns;
    event_ints(key, values, count);
    free(values);
}

static void report(const struct hog *hogs, size_t count, int64_t wall_ns)
{
    event_begin("result");
    event_int("wall_ns", wall_ns);
    event_hogs("cpu_ns", hogs, count, false);
    usage_event(usage_now());
    event_object("readback");
    launch_readback();
    event_object_end();
    event_end();
}

static void start_all(struct hog *hogs, size_t count, const struct hog_options *options,
                      pthread_barrier_t *start)
{
    for (size_t i = 0; i < count; i++) {
        hogs[i] = (struct hog){.options = options, .start = start, .seed = i + 1};
        const int error = pthread_create(&hogs[i].thread, NULL, run, &hogs[i]);

        if (error != 0)
            fail("start a hog thread", NULL, error);
    }
}

int hog_main(int argc, char **argv)
{
    const struct hog_options o = read_options(argc, argv);
    const size_t count = (size_t)o.threads;
    struct hog *hogs = calloc(count, sizeof *hogs);
    pthread_barrier_t start;

    if (hogs == NULL || pthread_barrier_init(&start, NULL, (unsigned int)count + 1) != 0)
        fail("reserve memory for threads", NULL, ENOMEM);
    stop_on_sigterm();
    start_all(hogs, count, &o, &start);
    pthread_barrier_wait(&start); /* every thread has its working set: ready means loading */
    const int64_t began = clock_now_ns();

    event_begin("ready");
    event_hogs("tids", hogs, count, true);
    event_end();
    while (!stop_requested)
        sleep_until(clock_now_ns() + 3600 * NS_PER_S);
    for (size_t i = 0; i < count; i++)
        threads_join(hogs[i].thread);
    report(hogs, count, clock_now_ns() - began);
    free(hogs);
    return EXIT_SUCCESS;
}
