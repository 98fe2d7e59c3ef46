/* One request and its reply, recognised by the sequence number both carry. */
#ifndef POLLBENCH_EXCHANGE_H
#define POLLBENCH_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "endpoint.h"
#include "samples.h"

struct exchange {
    struct channel channel;
    enum protocol protocol;
    size_t size;
    unsigned char *request, *reply; /* size bytes each */
    uint64_t sequence;              /* of the request sent last */

    /* Replies to recorded requests other than the last one, told apart by what the record says of them. */
    const struct samples *samples; /* NULL: nothing is recorded */
    uint64_t first_recorded;       /* sequence number of samples->records[0] */
    int64_t late;                  /* its request had been given up as lost */
    int64_t duplicates;            /* its request had been answered */
    int64_t malformed;             /* not a reply of ours: wrong length */
};

struct exchange exchange_make(struct channel channel, enum protocol protocol, size_t size);
void exchange_free(struct exchange *exchange);

/* Forgets what was counted and records into `samples` from the next request on. */
void exchange_record_into(struct exchange *exchange, const struct samples *samples);

/* Sends one request at `now_ns` and waits for its reply. Returns 0, or -1 with errno: ETIMEDOUT, ECANCELED when
 * asked to stop, EPROTO for a stream out of step, ECONNRESET at its end, or what the socket says. */
int exchange_once(struct exchange *exchange, int64_t now_ns);

#endif
