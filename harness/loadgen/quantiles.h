/* Figures over the recorded requests of all workers: how late they were sent. */
#ifndef POLLBENCH_QUANTILES_H
#define POLLBENCH_QUANTILES_H

#include <stddef.h>
#include <stdint.h>

#include "worker.h"

struct quantiles {
    int64_t p50_ns, p99_ns, max_ns; /* zero where there is nothing to go by */
    int64_t above;                  /* how many lie above the bound */
};

/* Of values; reorders them. above: those over the bound. */
struct quantiles quantiles_of(int64_t *values, size_t count, int64_t bound_ns);
/* Actual minus intended send time. */
struct quantiles quantiles_lateness(struct worker *const *workers, size_t count, int64_t bound_ns);
/* Closed loop of depth one: from one reply to the next request, which is how late such a loop is. */
struct quantiles quantiles_turnaround(struct worker *const *workers, size_t count);

#endif
