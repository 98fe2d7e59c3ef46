/* Builds memcached requests and reads the heads of responses. */
#include "memcached.h"

#include <arpa/inet.h>
#include <string.h>

#define MAGIC_REQUEST 0x80
#define MAGIC_RESPONSE 0x81
#define OPCODE_GET 0
#define OPCODE_SET 1
#define STATUS_OK 0
#define STATUS_NOT_FOUND 1
#define SET_EXTRAS 8 /* flags and expiry */

/* Big endian, but for the opaque number, which the server hands back untouched. */
struct head {
    uint8_t magic, opcode;
    uint16_t key_bytes;
    uint8_t extra_bytes, data_type;
    uint16_t status;
    uint32_t body_bytes;
    uint32_t opaque;
    uint64_t cas;
};

_Static_assert(sizeof(struct head) == MEMCACHED_HEAD_BYTES, "as on the wire");

static int digits_of(int64_t number)
{
    int digits = 1;

    while ((number /= 10) > 0)
        digits++;
    return digits;
}

void memcached_read_sizes(struct memcached *memcached, const char *key_size, const char *value_size)
{
    memcached->key = sizes_read("--key-size", key_size, digits_of(memcached->keys - 1), MEMCACHED_KEY_MAX);
    memcached->value = sizes_read("--value-size", value_size, 0, MEMCACHED_VALUE_MAX);
}

/* The key's number in decimal, filled up with zeros to a length that depends on nothing but number and seed. */
static size_t write_key(const struct memcached *memcached, unsigned char *at, int64_t key)
{
    struct rng own = rng_make(memcached->seed, (uint64_t)key);
    const size_t length = sizes_draw(&memcached->key, &own);

    for (size_t i = length; i-- > 0; key /= 10)
        at[i] = (unsigned char)('0' + key % 10);
    return length;
}

static size_t build(const struct memcached *memcached, unsigned char *buffer, uint8_t opcode, uint32_t opaque,
                    int64_t key, uint32_t value_bytes, size_t *prefix)
{
    const size_t extras = opcode == OPCODE_SET ? SET_EXTRAS : 0;
    const size_t key_bytes = write_key(memcached, buffer + sizeof(struct head) + extras, key);
    const struct head head = {
        .magic = MAGIC_REQUEST,
        .opcode = opcode,
        .key_bytes = htons((uint16_t)key_bytes),
        .extra_bytes = (uint8_t)extras,
        .body_bytes = htonl((uint32_t)(extras + key_bytes) + value_bytes),
        .opaque = opaque,
    };

    memcpy(buffer, &head, sizeof head);
    memset(buffer + sizeof head, 0, extras); /* no flags, never expires */
    *prefix = sizeof head + extras + key_bytes;
    return *prefix + value_bytes;
}

size_t memcached_get(const struct memcached *memcached, unsigned char *buffer, uint32_t opaque, int64_t key,
                     size_t *prefix)
{
    return build(memcached, buffer, OPCODE_GET, opaque, key, 0, prefix);
}

size_t memcached_set(const struct memcached *memcached, unsigned char *buffer, uint32_t opaque, int64_t key,
                     uint32_t value_bytes, size_t *prefix)
{
    return build(memcached, buffer, OPCODE_SET, opaque, key, value_bytes, prefix);
}

size_t memcached_response(const unsigned char *head, uint32_t *opaque)
{
    struct head response;

    memcpy(&response, head, sizeof response);
    if (response.magic != MAGIC_RESPONSE)
        return 0;
    *opaque = response.opaque;
    return sizeof response + ntohl(response.body_bytes);
}

void memcached_count(struct memcached_tally *tally, const unsigned char *head)
{
    struct head response;

    memcpy(&response, head, sizeof response);
    const uint16_t status = ntohs(response.status);

    if (response.opcode == OPCODE_SET)
        tally->sets++;
    else
        tally->gets++;
    if (status != STATUS_OK && !(response.opcode == OPCODE_GET && status == STATUS_NOT_FOUND))
        tally->errors++;
    else if (response.opcode == OPCODE_GET && status == STATUS_OK)
        tally->hits++;
    else if (response.opcode == OPCODE_GET)
        tally->misses++;
}
