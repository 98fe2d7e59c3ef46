/* What a request costs the server besides its answer: CPU work of a drawn length, and stalls on purpose. */
#ifndef POLLBENCH_SERVICE_H
#define POLLBENCH_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "rng.h"

enum service_kind { SERVICE_NONE, SERVICE_FIXED, SERVICE_EXP, SERVICE_BIMODAL, SERVICE_CLOCK };

struct service {
    enum service_kind kind;
    int64_t ns, ns2;
    double p; /* bimodal: probability of ns2 */

    /* Calibration: how fast the work loop runs here, and the CPU time that 100 us then took (median). */
    double iterations_per_ns;
    int64_t check_ns;

    int64_t stall_ns, stall_period_ns; /* 0: none */
};

/* From --service and --stall (NULL: none); calibrates where there is counted work to do, which takes some 30 ms. */
struct service service_read(const char *service, const char *stall);

/* Works for one request; returns how long it was to take, in nanoseconds of CPU time (SERVICE_CLOCK: of the clock). */
int64_t service_work(const struct service *service, struct rng *rng);
/* Answers nothing during the first stall_ns of every period: returns when that is over. */
void service_stall(const struct service *service);

/* Adds the member "service" to the event being written; `requested_ns`: the sum of what was worked. */
void service_event(const struct service *service, int64_t requested_ns);

#endif
