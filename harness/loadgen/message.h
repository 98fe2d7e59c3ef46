/* What client and server agree on about their messages: how they begin and how long they are. */
#ifndef POLLBENCH_MESSAGE_H
#define POLLBENCH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"
#include "sizes.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "messages and the sample file are little endian, as they lie in memory"
#endif

/* Every message begins with its sequence number, and a plain one has nothing more. A sized one goes on with the
 * lengths of the whole request and of the reply wanted. */
struct message_header {
    uint64_t sequence;
    uint32_t request_bytes, response_bytes;
};

/* With phases, the reply's header is followed by the server's time stamps (CLOCK_MONOTONIC, 0: unknown). When the
 * reply itself reached the packet scheduler is known only after it has left, so the next reply tells. */
struct message_stamps {
    int64_t received_kernel_ns; /* the request came to the kernel's receive path */
    int64_t received_ns, sent_ns;
    uint64_t previous;
    int64_t previous_scheduled_ns;
};

/* With times, the reply's header is followed by these alone: when the server took the request and gave the reply to
 * the kernel (CLOCK_MONOTONIC), and which thread did. */
struct message_times {
    int64_t received_ns, sent_ns;
    uint32_t tid, unused;
};

#define MESSAGE_PLAIN_MIN 8
#define MESSAGE_TIMES_MIN ((int64_t)(sizeof(struct message_header) + sizeof(struct message_times)))
#define MESSAGE_SIZED_MIN ((int64_t)sizeof(struct message_header))
#define MESSAGE_PHASES_MIN 64
#define MESSAGE_MAX_UDP 65507
#define MESSAGE_MAX_TCP (1 << 20)

_Static_assert(sizeof(struct message_header) == 16, "both ends may be built by different compilers");
_Static_assert(sizeof(struct message_times) == 24, "both ends may be built by different compilers");
_Static_assert(sizeof(struct message_header) + sizeof(struct message_stamps) <= MESSAGE_PHASES_MIN, "they fit");

struct framing {
    bool sized, phases, times, stamped; /* stamped: with phases or times */
    struct sizes request, response;
};

/* From --size, --response-size (NULL: as the request, and plain messages if that is fixed), --phases and --times. */
struct framing framing_read(enum protocol protocol, const char *size, const char *response_size, bool phases,
                            bool times);
/* How many bytes of a message must have come before its length is known. */
size_t framing_head_bytes(const struct framing *framing);

#endif
