/* Builds requests and reads reply heads for either application. */
#include "traffic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"

const char *const app_names[] = {"echo", "memcached", NULL};

_Static_assert(MEMCACHED_PREFIX_MAX <= REQUEST_PREFIX_MAX, "a prefix is kept while a request waits for room");
_Static_assert(MEMCACHED_HEAD_BYTES <= REPLY_HEAD_MAX && MESSAGE_PHASES_MIN <= REPLY_HEAD_MAX, "heads fit");

static size_t request_max(const struct traffic_plan *plan)
{
    if (plan->app == APP_MEMCACHED)
        return MEMCACHED_PREFIX_MAX + (size_t)plan->memcached.value.high;
    return (size_t)plan->framing.request.high;
}

struct traffic traffic_make(const struct traffic_plan *plan)
{
    const struct traffic traffic = {.plan = plan, .request = calloc(1, request_max(plan)), .preload = -1};

    if (traffic.request == NULL)
        fail("reserve memory for a message", NULL, ENOMEM);
    return traffic;
}

void traffic_free(struct traffic *traffic)
{
    free(traffic->request);
}

void traffic_begin(struct traffic *traffic, uint64_t seed, uint64_t stream)
{
    traffic->rng = rng_make(seed, stream);
}

static size_t build_echo(struct traffic *traffic, uint64_t sequence)
{
    const struct framing *framing = &traffic->plan->framing;
    struct message_header header = {.sequence = sequence};

    if (!framing->sized) {
        memcpy(traffic->request, &sequence, sizeof sequence);
        traffic->prefix = sizeof sequence;
        return (size_t)framing->request.low;
    }
    header.request_bytes = sizes_draw(&framing->request, &traffic->rng);
    header.response_bytes = sizes_draw(&framing->response, &traffic->rng);
    memcpy(traffic->request, &header, sizeof header);
    traffic->prefix = sizeof header;
    return header.request_bytes;
}

static size_t build_memcached(struct traffic *traffic, uint64_t sequence)
{
    const struct memcached *plan = &traffic->plan->memcached;
    struct rng *rng = &traffic->rng;
    const bool preload = traffic->preload >= 0;
    const int64_t key =
        preload ? traffic->preload++ % plan->keys : (int64_t)(rng_next(rng) % (uint64_t)plan->keys);

    if (!preload && rng_uniform(rng) <= plan->get_ratio)
        return memcached_get(plan, traffic->request, (uint32_t)sequence, key, &traffic->prefix);
    return memcached_set(plan, traffic->request, (uint32_t)sequence, key, sizes_draw(&plan->value, rng),
                         &traffic->prefix);
}

size_t traffic_build(struct traffic *traffic, uint64_t sequence)
{
    return traffic->plan->app == APP_ECHO ? build_echo(traffic, sequence) : build_memcached(traffic, sequence);
}

size_t traffic_head_bytes(const struct traffic_plan *plan)
{
    return plan->app == APP_MEMCACHED ? MEMCACHED_HEAD_BYTES : framing_head_bytes(&plan->framing);
}

size_t traffic_reply_max(const struct traffic_plan *plan)
{
    if (plan->app == APP_MEMCACHED)
        return MEMCACHED_PREFIX_MAX + MEMCACHED_VALUE_MAX;
    return (size_t)plan->framing.response.high;
}

static struct reply read_memcached(const unsigned char *head)
{
    uint32_t opaque = 0;
    const size_t bytes = memcached_response(head, &opaque);

    return (struct reply){.bytes = bytes, .sequence = opaque};
}

struct reply traffic_reply(const struct traffic_plan *plan, const unsigned char *head)
{
    struct message_header header = {.response_bytes = (uint32_t)plan->framing.response.low};

    if (plan->app == APP_MEMCACHED)
        return read_memcached(head);
    memcpy(&header, head, plan->framing.sized ? sizeof header : sizeof header.sequence);
    if (header.response_bytes < framing_head_bytes(&plan->framing) ||
        header.response_bytes > plan->framing.response.high)
        header.response_bytes = 0;
    return (struct reply){.bytes = header.response_bytes, .sequence = header.sequence};
}
