/* The life of one client thread, in the pieces that the harness's commands part. */
#ifndef POLLBENCH_SHIFT_H
#define POLLBENCH_SHIFT_H

#include <stdint.h>

#include "worker.h"

struct shift {
    struct worker *worker;
    int64_t begin_ns; /* when settling begins, common to all threads */
    int64_t warm_requests, warm_ns, settle_requests; /* what came of it */
};

/* Each takes a struct shift and runs in its worker's thread. */
void shift_begin(void *shift);   /* a first reply; the keys, if they are to be stored before */
void shift_warm_up(void *shift); /* the load as it will be measured */
void shift_measure(void *shift); /* settling, window, cool-down, and the replies still to come */

/* Makes room for all requests to come, as far as the warm-up lets us guess how many they are. */
void shift_make_room(struct shift *shift);

#endif
