/* What a client's requests look like and how its replies are read: our own echo messages, or memcached's. */
#ifndef POLLBENCH_TRAFFIC_H
#define POLLBENCH_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memcached.h"
#include "message.h"
#include "rng.h"

enum app { APP_ECHO, APP_MEMCACHED };
extern const char *const app_names[];

/* A request's own bytes at its front; what follows them is filling, the same for all. */
#define REQUEST_PREFIX_MAX 320
/* The bytes of a reply that tell its length and whose it is. */
#define REPLY_HEAD_MAX 64

struct traffic_plan {
    enum app app;
    struct framing framing;     /* echo */
    struct memcached memcached; /* memcached */
};

struct traffic {
    const struct traffic_plan *plan;
    struct rng rng;
    unsigned char *request; /* the request built last */
    size_t prefix;          /* of it */
    int64_t preload;        /* the key to set next while preloading; -1: not preloading */
};

struct traffic traffic_make(const struct traffic_plan *plan);
void traffic_free(struct traffic *traffic);
/* Starts the sequence of sizes and keys anew. */
void traffic_begin(struct traffic *traffic, uint64_t seed, uint64_t stream);

/* Lays out the request with this number in traffic->request and returns its length. */
size_t traffic_build(struct traffic *traffic, uint64_t sequence);

/* How many bytes of a reply traffic_reply() must see, and the length of the longest one. */
size_t traffic_head_bytes(const struct traffic_plan *plan);
size_t traffic_reply_max(const struct traffic_plan *plan);

struct reply {
    size_t bytes;      /* 0: this is no reply to us */
    uint64_t sequence; /* only its lower 32 bits for memcached, whose protocol carries no more */
};

struct reply traffic_reply(const struct traffic_plan *plan, const unsigned char *head);

#endif
