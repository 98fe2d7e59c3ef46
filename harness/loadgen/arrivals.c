/* Schedules of an open loop: evenly spaced, Poisson, bursts, and the gaps of Facebook's ETC pool.
 *
 * "etc" is the generalised Pareto distribution of inter-arrival times that Atikoglu et al., "Workload Analysis of a
 * Large-Scale Key-Value Store", SIGMETRICS 2012, fitted (scale 16.0292 us, shape 0.154971), scaled to the rate asked
 * for: only its shape is the pool's. */
#include "arrivals.h"

#include <stddef.h>

#include "clock.h"

#define ETC_GAP_SHAPE 0.154971

const char *const arrivals_names[] = {"constant", "poisson", "burst", "etc", NULL};

/* Where the thread's own schedule starts, so that those of all threads interleave evenly. */
static double first_offset(const struct arrivals *arrivals, int64_t thread, int64_t threads)
{
    return arrivals->gap_ns * (double)arrivals->burst * (double)thread / (double)threads;
}

struct arrivals arrivals_make(enum arrivals_kind kind, double rate, int64_t burst, int64_t thread, int64_t threads)
{
    struct arrivals arrivals = {
        .kind = kind, .gap_ns = (double)NS_PER_S * (double)threads / rate, .burst = burst};

    arrivals.first_ns = first_offset(&arrivals, thread, threads);
    return arrivals;
}

/* Evenly spaced times are computed from the number, not summed up, so that they do not drift. */
static double spaced(const struct arrivals *arrivals)
{
    const int64_t group = arrivals->number / arrivals->burst;

    return arrivals->first_ns + (double)group * (double)arrivals->burst * arrivals->gap_ns;
}

void arrivals_begin(struct arrivals *arrivals, int64_t origin_ns, uint64_t seed, uint64_t stream)
{
    arrivals->rng = rng_make(seed, stream);
    arrivals->origin_ns = origin_ns;
    arrivals->number = -1;
    arrivals->offset_ns = 0;
    arrivals_advance(arrivals);
}

void arrivals_advance(struct arrivals *arrivals)
{
    arrivals->number++;
    if (arrivals->kind == ARRIVALS_POISSON)
        arrivals->offset_ns += rng_exponential(&arrivals->rng, arrivals->gap_ns);
    else if (arrivals->kind == ARRIVALS_ETC)
        arrivals->offset_ns +=
            rng_pareto(&arrivals->rng, arrivals->gap_ns * (1 - ETC_GAP_SHAPE), ETC_GAP_SHAPE);
    else
        arrivals->offset_ns = spaced(arrivals);
}

int64_t arrivals_skip(struct arrivals *arrivals, int64_t end_ns, int64_t limit)
{
    int64_t skipped = 0;

    for (; skipped < limit && arrivals_next_ns(arrivals) < end_ns; skipped++)
        arrivals_advance(arrivals);
    return skipped;
}
