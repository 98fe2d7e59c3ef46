/* What a client says at the end. */
#ifndef POLLBENCH_CLIENT_REPORT_H
#define POLLBENCH_CLIENT_REPORT_H

#include "worker.h"

/* The result event, over all workers of the load. */
void client_report(const struct load *load, struct worker *const *workers, int64_t settle_requests);

#endif
