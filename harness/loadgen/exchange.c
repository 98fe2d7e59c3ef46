/* Sends a numbered request and receives until its reply, or its time, has come. */
#include "exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "events.h"

_Static_assert(MESSAGE_MIN >= sizeof(uint64_t), "a message carries its sequence number");

struct exchange exchange_make(struct channel channel, enum protocol protocol, size_t size)
{
    const struct exchange exchange = {
        .channel = channel,
        .protocol = protocol,
        .size = size,
        .request = calloc(1, size),
        .reply = calloc(1, size),
    };

    if (exchange.request == NULL || exchange.reply == NULL)
        fail("reserve memory for a message", NULL, ENOMEM);
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    free(exchange->request);
    free(exchange->reply);
}

void exchange_record_into(struct exchange *exchange, const struct samples *samples)
{
    exchange->samples = samples;
    exchange->first_recorded = exchange->sequence + 1;
    exchange->late = exchange->duplicates = exchange->malformed = 0;
}

static void count_stale(struct exchange *exchange, uint64_t sequence)
{
    const struct samples *samples = exchange->samples;
    /* Requests from before the record wrap round to huge indexes, so one comparison serves both ends. */
    const uint64_t index = sequence - exchange->first_recorded;

    if (samples == NULL || index >= samples->count)
        return;
    if (samples->records[index].rtt_ns == SAMPLE_LOST)
        exchange->late++;
    else
        exchange->duplicates++;
}

static uint64_t reply_sequence(const struct exchange *exchange)
{
    uint64_t sequence;

    memcpy(&sequence, exchange->reply, sizeof sequence);
    return sequence;
}

/* A datagram is one whole reply, but maybe not the one waited for. */
static int receive_datagram(struct exchange *exchange, int64_t deadline_ns)
{
    for (;;) {
        const ssize_t received =
            channel_receive(&exchange->channel, exchange->reply, exchange->size, deadline_ns, NULL);

        if (received < 0)
            return -1;
        if ((size_t)received != exchange->size)
            exchange->malformed++;
        else if (reply_sequence(exchange) == exchange->sequence)
            return 0;
        else
            count_stale(exchange, reply_sequence(exchange));
        /* Strangers' replies must not keep us past our time. */
        if (clock_now_ns() >= deadline_ns) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
}

/* A stream keeps order, but hands a reply over in pieces. */
static int receive_stream(struct exchange *exchange, int64_t deadline_ns)
{
    size_t have = 0;

    while (have < exchange->size) {
        const ssize_t received = channel_receive(&exchange->channel, exchange->reply + have,
                                                 exchange->size - have, deadline_ns, NULL);

        if (received < 0)
            return -1;
        if (received == 0) {
            errno = ECONNRESET;
            return -1;
        }
        have += (size_t)received;
    }
    if (reply_sequence(exchange) == exchange->sequence)
        return 0;
    errno = EPROTO;
    return -1;
}

int exchange_once(struct exchange *exchange, int64_t now_ns)
{
    const struct channel *channel = &exchange->channel;
    const int64_t deadline_ns = now_ns + channel->timeout_ns;

    exchange->sequence++;
    memcpy(exchange->request, &exchange->sequence, sizeof exchange->sequence);
    if (channel_send(channel->socket, exchange->request, exchange->size, NULL, channel->timeout_ns) != 0)
        return -1;
    return exchange->protocol == PROTOCOL_UDP ? receive_datagram(exchange, deadline_ns)
                                              : receive_stream(exchange, deadline_ns);
}
