/* Departure times: a datagram is handed to the kernel with the time at which it is to leave (SO_TXTIME). */
#ifndef POLLBENCH_TXTIME_H
#define POLLBENCH_TXTIME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct worker;

/* Lets a socket's datagrams carry departure times. Ends the program where the kernel refuses. */
void txtime_enable(int socket);

/* send() without blocking, of a datagram that is to leave at `departs_ns`, CLOCK_MONOTONIC. Only a queueing discipline
 * that looks at the time (fq) holds it back; all others send it at once, and nobody is told. */
ssize_t txtime_send(int socket, const void *data, size_t size, int64_t departs_ns);

/* Adds the member "txtime" to the event being written: of the recorded requests with a known departure how many left
 * before their time, and departure minus time asked for. */
void txtime_event(const struct worker *worker);

#endif
