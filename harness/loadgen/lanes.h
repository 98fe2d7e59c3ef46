/* Opening and closing a worker's connections, with everything that watches them. */
#ifndef POLLBENCH_LANES_H
#define POLLBENCH_LANES_H

#include "worker.h"

/* Opens the connection; one per request is not waited for: until it stands, its socket has no room. */
void lane_open(struct worker *worker, struct connection *connection);
/* Closes it, and forgets what it owed and had not sent. */
void lane_close(struct worker *worker, struct connection *connection);

#endif
