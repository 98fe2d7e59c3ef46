/* Runs a worker's loop, closed or open, for a span of time. */
#ifndef POLLBENCH_RUN_H
#define POLLBENCH_RUN_H

#include "worker.h"

struct span {
    const char *what; /* for errors: "measure" */
    enum loop loop;
    int64_t begin_ns, end_ns; /* CLOCK_MONOTONIC; NO_END: only the count ends it */
    int64_t count;            /* requests to send at most; NO_COUNT */
    int64_t depth;            /* closed loop */
    uint64_t stream;          /* open loop: of the schedule's random numbers */
    bool recorded;            /* this is the window */
    bool recycle;             /* the samples are used again once full: nobody will want them */
};

/* Sends the span's requests. Requests may be outstanding before and after. Returns how many it sent. */
int64_t run_span(struct worker *worker, const struct span *span);
/* Sends nothing more, until nothing is outstanding. */
void run_drain(struct worker *worker, const char *what);

#endif
