/* The memcached binary protocol, as much of it as a load needs: get and set over TCP. */
#ifndef POLLBENCH_MEMCACHED_H
#define POLLBENCH_MEMCACHED_H

#include <stddef.h>
#include <stdint.h>

#include "rng.h"
#include "sizes.h"

#define MEMCACHED_HEAD_BYTES 24
#define MEMCACHED_KEY_MAX 250
#define MEMCACHED_VALUE_MAX 1000000 /* an item, with its key and header, must fit into the server's 1 MiB */
#define MEMCACHED_PREFIX_MAX (MEMCACHED_HEAD_BYTES + 8 + MEMCACHED_KEY_MAX)

struct memcached {
    int64_t keys;
    struct sizes key, value;
    double get_ratio;
    uint64_t seed; /* keys' lengths follow from it, so that every client of a seed asks for the same keys */
};

/* What came back for the requests that were measured. */
struct memcached_tally {
    int64_t gets, sets, hits, misses, errors;
};

/* Reads the key and value size options. Keys are long enough to tell all `keys` apart. */
void memcached_read_sizes(struct memcached *memcached, const char *key_size, const char *value_size);

/* Lays out a request in `buffer`, whose bytes after the key serve as the value. Returns its length and, in
 * *prefix, how much of it comes before the value. */
size_t memcached_get(const struct memcached *memcached, unsigned char *buffer, uint32_t opaque, int64_t key,
                     size_t *prefix);
size_t memcached_set(const struct memcached *memcached, unsigned char *buffer, uint32_t opaque, int64_t key,
                     uint32_t value_bytes, size_t *prefix);

/* The length of the response that begins with these MEMCACHED_HEAD_BYTES, and its request's opaque number.
 * 0: not a response. */
size_t memcached_response(const unsigned char *head, uint32_t *opaque);
void memcached_count(struct memcached_tally *tally, const unsigned char *head);

#endif
