/* The one clock of the load generator: CLOCK_MONOTONIC, read through the vDSO, in nanoseconds. */
#ifndef POLLBENCH_CLOCK_H
#define POLLBENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

static inline int64_t clock_to_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * NS_PER_S + (int64_t)t.tv_nsec;
}

static inline struct timespec clock_from_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

static inline int64_t clock_read_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return clock_to_ns(t);
}

static inline int64_t clock_now_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

/* What one reading costs and how finely it tells time apart: the floor under every latency we report. */
struct clock_quality {
    int64_t resolution_ns; /* smallest step seen between two readings */
    double overhead_ns;    /* cost of one reading */
};

struct clock_quality clock_measure(void);

#endif
