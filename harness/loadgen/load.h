/* The load a client is to make: everything that is decided before the first request. */
#ifndef POLLBENCH_LOAD_H
#define POLLBENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "arrivals.h"
#include "channel.h"
#include "endpoint.h"
#include "sockopts.h"
#include "traffic.h"
#include "xsk.h"

enum loop { LOOP_CLOSED, LOOP_OPEN };
extern const char *const loop_names[];

struct load {
    struct endpoint to;
    struct sockopts sockopts;
    struct xsk_plan xsk;
    enum wait_style style;
    enum loop loop;
    int64_t depth; /* closed: requests outstanding per thread */
    double rate;   /* open: requests per second, over all threads */
    enum arrivals_kind arrivals;
    int64_t burst;
    uint64_t seed;
    int64_t connections, threads;
    const char *thread_cpus; /* NULL: not pinned beyond the launch option */
    bool connect_per_request, phases, times;
    int64_t txtime_ns; /* a request is to leave so long after it is handed over; 0: at once */
    int64_t timeout_ns;
    int64_t late_ns; /* open: a send that starts later than this is late */
    int64_t warmup_ns, settle_ns, duration_ns, cooldown_ns;
    int64_t count; /* requests in the window, over all threads */
    bool preload;
    struct traffic_plan traffic;
};

#define NO_COUNT INT64_MAX
/* Far from any time there is, and yet something can be added to it. */
#define NO_END (INT64_MAX / 4)

/* A thread's share of a whole: the first threads take what does not divide. */
static inline int64_t load_share(int64_t whole, int64_t thread, int64_t threads)
{
    return whole / threads + (thread < whole % threads ? 1 : 0);
}

#endif
