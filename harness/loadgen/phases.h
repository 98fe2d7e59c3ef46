/* Where a request's time goes, told by the kernel's time stamps at both ends. Asking for them costs some 0.5 us per
 * round trip here, a tenth of a busy-polled one, and makes the kernel stamp every packet of the host. */
#ifndef POLLBENCH_PHASES_H
#define POLLBENCH_PHASES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker.h"

#define PHASE_COUNT 8
#define PHASE_UNKNOWN INT64_MIN
extern const char *const phase_names[PHASE_COUNT];

/* A request of `size` bytes, the last in the worker's samples, has been handed to the kernel. */
void phases_sent(struct worker *worker, const struct connection *connection, size_t size);
/* recv() into the worker's buffer that also notes when the kernel received. */
ssize_t phases_receive(struct worker *worker, int socket, int flags);
/* Request `index` is answered by the reply whose head the connection holds; with times, too. */
void phases_answered(struct worker *worker, const struct connection *connection, size_t index);

/* The phases in the order of phase_names; their sum is the latency unless some are PHASE_UNKNOWN. */
void phases_of(const struct sample *sample, const struct stamps *stamps, int64_t phases[PHASE_COUNT]);

#endif
