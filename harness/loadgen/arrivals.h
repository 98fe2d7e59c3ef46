/* When the requests of an open loop are meant to leave: a schedule that no reply can slow down. */
#ifndef POLLBENCH_ARRIVALS_H
#define POLLBENCH_ARRIVALS_H

#include <stdint.h>

#include "rng.h"

enum arrivals_kind { ARRIVALS_CONSTANT, ARRIVALS_POISSON, ARRIVALS_BURST, ARRIVALS_ETC };
extern const char *const arrivals_names[];

struct arrivals {
    enum arrivals_kind kind;
    double gap_ns; /* mean time between two requests */
    int64_t burst; /* requests that leave together */
    double first_ns; /* evenly spaced: the first request's time since the origin */

    struct rng rng;
    int64_t origin_ns; /* CLOCK_MONOTONIC */
    double offset_ns;  /* of the next request since the origin; below 2^53 it is exact to the nanosecond */
    int64_t number;    /* of the next request */
};

/* The share of thread `thread` of `threads` in a schedule of `rate` requests per second from `origin_ns` on. Its
 * threads' constant schedules interleave. The same seed, stream and threads give the same schedule. */
struct arrivals arrivals_make(enum arrivals_kind kind, double rate, int64_t burst, int64_t thread, int64_t threads);
void arrivals_begin(struct arrivals *arrivals, int64_t origin_ns, uint64_t seed, uint64_t stream);

/* When the next request is meant to leave. */
static inline int64_t arrivals_next_ns(const struct arrivals *arrivals)
{
    return arrivals->origin_ns + (int64_t)arrivals->offset_ns;
}

void arrivals_advance(struct arrivals *arrivals);
/* Passes over every request before `end_ns`, at most `limit`; returns how many there were. */
int64_t arrivals_skip(struct arrivals *arrivals, int64_t end_ns, int64_t limit);

#endif
