/* Reads the options that say how messages are framed. */
#include "message.h"

#include "events.h"

struct framing framing_read(enum protocol protocol, const char *size, const char *response_size, bool phases,
                            bool times)
{
    const int64_t high = protocol == PROTOCOL_UDP ? MESSAGE_MAX_UDP : MESSAGE_MAX_TCP;
    const int64_t sized_min = phases ? MESSAGE_PHASES_MIN : times ? MESSAGE_TIMES_MIN : MESSAGE_SIZED_MIN;
    struct framing framing = {.phases = phases, .times = times, .stamped = phases || times};

    if (phases && times)
        fail_usage("--times", "goes without --phases, which has these times too");

    framing.request = sizes_read("--size", size, MESSAGE_PLAIN_MIN, high);
    framing.sized = framing.stamped || response_size != NULL || framing.request.kind != SIZES_FIXED;
    if (framing.sized)
        framing.request = sizes_read("--size", size, sized_min, high);
    framing.response = framing.request;
    if (response_size != NULL)
        framing.response = sizes_read("--response-size", response_size, sized_min, high);
    return framing;
}

size_t framing_head_bytes(const struct framing *framing)
{
    if (framing->phases)
        return sizeof(struct message_header) + sizeof(struct message_stamps);
    if (framing->times)
        return (size_t)MESSAGE_TIMES_MIN;
    return framing->sized ? sizeof(struct message_header) : MESSAGE_PLAIN_MIN;
}
