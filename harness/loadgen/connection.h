/* One connection of a client, with the request it is still sending and the reply it is receiving. */
#ifndef POLLBENCH_CONNECTION_H
#define POLLBENCH_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "traffic.h"
#include "xsk.h"

struct connection {
    int socket;      /* -1: not open */
    struct xsk *xsk; /* NULL: a socket of the kernel's UDP or TCP, else `socket` is its descriptor */
    uint32_t number; /* over all threads */
    uint32_t owed;   /* replies that it owes */
    uint32_t place;  /* in its worker's list of connections that owe replies */
    int64_t departs_ns; /* when the request is to leave, CLOCK_MONOTONIC; 0: at once */

    /* The request that the socket had no room for: `unsent` of its `size` bytes. */
    uint32_t size, unsent;
    size_t prefix_bytes;
    unsigned char prefix[REQUEST_PREFIX_MAX];

    /* The reply that has come in part (TCP). */
    size_t have;     /* bytes of its head */
    uint64_t left;   /* bytes after its head; known once the head is whole */
    unsigned char head[REPLY_HEAD_MAX];
};

/* What a piece of a stream completed. */
struct arrived {
    bool complete;  /* connection->head is that of a whole reply, `reply` what it says */
    bool malformed; /* the stream is of no use any more */
    struct reply reply;
};

/* Sends the traffic's request of `size` bytes as far as the socket has room, and keeps the rest for
 * connection_resume(). 0, or -1 with errno if the connection is broken. Never blocks. */
int connection_send(struct connection *connection, const struct traffic *traffic, size_t size);
/* Goes on with what is unsent. 0, or -1 with errno. */
int connection_resume(struct connection *connection, struct traffic *traffic);

/* Takes received bytes up to the end of one reply and moves *data and *size past them. */
struct arrived connection_take(struct connection *connection, const struct traffic_plan *plan,
                               const unsigned char **data, size_t *size);

#endif
