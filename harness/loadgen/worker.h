/* One thread of a client: its connections, the requests it has sent, and what became of them. */
#ifndef POLLBENCH_WORKER_H
#define POLLBENCH_WORKER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "connection.h"
#include "load.h"
#include "samples.h"
#include "stamping.h"
#include "usage.h"

/* What was counted in the window. */
struct tally {
    int64_t lost;
    int64_t late;       /* replies whose request had been given up as lost */
    int64_t duplicates; /* replies whose request had been answered */
    int64_t malformed;  /* not a reply of ours */
    int64_t missed;     /* open loop: meant to leave in the window, never sent */
    int64_t bytes_sent, bytes_received;
    struct memcached_tally memcached;
    struct waits waits;
};

struct worker {
    const struct load *load;
    int64_t index, tid; /* tid: of the thread that measures */
    const char *attempted; /* what it is doing, for errors */

    struct connection *connections;
    uint32_t count;
    uint32_t next;                  /* the connection whose turn it is */
    uint32_t *owing, owing_count;   /* connections that owe replies */
    uint32_t cursor;                /* where looking at them goes on */
    uint32_t *blocked, blocked_count; /* connections with an unsent request */
    struct pollfd *polled;          /* runs parallel to `connections`; --wait poll and select */
    int epoll;                      /* --wait epoll, else -1 */

    struct traffic traffic;
    struct arrivals arrivals;
    unsigned char *in; /* what recv() writes into */
    size_t in_bytes;
    struct stamping *stamping; /* with phases, else NULL */

    struct samples samples;
    uint64_t base;      /* sequence number of samples.records[0] */
    size_t oldest;      /* no request before this one is pending */
    size_t outstanding; /* pending requests */
    int64_t deadline_ns; /* when the oldest is lost; INT64_MAX if none is pending */

    /* The window: records [first, last), what was counted, and when. */
    size_t first, last;
    struct tally tally;
    int64_t start_ns, end_ns; /* nominal start; when it was over: the loop's end or the last reply */
    bool overflow;            /* the samples' room ran out before the time did */
    struct usage usage;
    struct waits waits; /* so far; since the window began, when it has */
    /* One connection per request: what those of the warm-up told before they were closed. */
    struct napi_ids napi_ids;
    struct sockopts_found found;
    int64_t fastest_ns; /* the shortest service time since worker_use() */
};

/* Connects, one connection after the other. Ends the program where that fails. */
struct worker *worker_make(const struct load *load, int64_t index);
void worker_free(struct worker *worker);
/* Sends into these samples from now on; none may be outstanding. */
void worker_use(struct worker *worker, struct samples samples);

/* The connection for the next request; NULL while all are busy sending (or, one request each, busy at all). */
struct connection *worker_pick(struct worker *worker);
/* Sends one request, which goes into the samples: they must have room. */
void worker_send(struct worker *worker, struct connection *connection, int64_t intended_ns, int64_t now_ns);
/* Goes on with requests that found no room. */
void worker_resume(struct worker *worker);
/* Takes `size` bytes received at `now_ns` into worker->in. */
void worker_take(struct worker *worker, struct connection *connection, size_t size, int64_t now_ns);
/* Gives up pending requests that are past their time. */
void worker_expire(struct worker *worker, int64_t now_ns);
/* Ends the program: `error` came back on a connection. */
_Noreturn void worker_fail(const struct worker *worker, int error);

/* worker_wait.c: receives what is there, in the wait style; sleeps for replies only if it `may_sleep`. */
void worker_receive(struct worker *worker, bool may_sleep);

static inline bool worker_recorded(const struct worker *worker, size_t index)
{
    return index >= worker->first && index < worker->last;
}

#endif
