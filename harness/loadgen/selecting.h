/* select() with the manners of ppoll(), so that one table of descriptors serves both. */
#ifndef POLLBENCH_SELECTING_H
#define POLLBENCH_SELECTING_H

#include <poll.h>
#include <stddef.h>
#include <time.h>

/* The most connections a select() set is offered: descriptors below FD_SETSIZE, less those for everything else. */
#define SELECT_CONNECTIONS_MAX 1000

/* ppoll() without a signal mask, done by pselect(): negative descriptors are passed over. Ends the program at a
 * descriptor that a set of select() cannot hold. */
int select_as_poll(struct pollfd *polled, size_t count, const struct timespec *timeout);

#endif
