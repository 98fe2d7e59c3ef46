/* Asks the kernel for time stamps and reads them from control messages and the socket's error queue. */
#include "stamping.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "events.h"

/* Sending: on entry to the packet scheduler, so that shaping counts as wire, or as the driver takes it. OPT_ID numbers
 * the messages, and OPT_TSONLY spares us a copy of each. Receiving: on entry to the receive path. */
#define WANTED                                                                                                     \
    (SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |                          \
     SOF_TIMESTAMPING_OPT_TSONLY)
#define CONTROL_BYTES 256
#define OFFSET_TRIES 32

int64_t stamping_clock_offset(void)
{
    int64_t best_ns = INT64_MAX;
    int64_t offset_ns = 0;

    /* The reading least disturbed between the two clocks counts. */
    for (int i = 0; i < OFFSET_TRIES; i++) {
        const int64_t before = clock_now_ns();
        const int64_t realtime = clock_read_ns(CLOCK_REALTIME);
        const int64_t after = clock_now_ns();

        if (after - before < best_ns) {
            best_ns = after - before;
            offset_ns = realtime - before - best_ns / 2;
        }
    }
    return offset_ns;
}

void stamping_begin(struct stamping *stamping, int socket, bool stream, bool departures)
{
    const int wanted = WANTED | (departures ? SOF_TIMESTAMPING_TX_SOFTWARE : SOF_TIMESTAMPING_TX_SCHED);

    *stamping = (struct stamping){
        .stream = stream, .departures = departures, .realtime_offset_ns = stamping_clock_offset()};
    if (setsockopt(socket, SOL_SOCKET, SO_TIMESTAMPING, &wanted, sizeof wanted) != 0)
        fail("set a socket option", "SO_TIMESTAMPING", errno);
}

void stamping_sent(struct stamping *stamping, uint64_t sequence, size_t bytes)
{
    const uint64_t at = stamping->last++ % STAMPING_ROOM;

    /* A datagram's number is how many came before it, a stream's the position of its last byte. */
    stamping->next_key += stamping->stream ? (uint32_t)bytes : 1;
    stamping->sent[at].key = stamping->next_key - 1;
    stamping->sent[at].sequence = sequence;
    if (stamping->last - stamping->first > STAMPING_ROOM)
        stamping->first = stamping->last - STAMPING_ROOM; /* the oldest stay unknown */
}

/* What a received message's control data says; zero where it does not. */
struct control {
    int64_t realtime_ns;
    bool is_sent; /* of a message that was sent: when it came to where `info` says */
    uint32_t info;
    uint32_t key;
};

static struct control read_control(struct msghdr *message)
{
    struct control found = {0};

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPING) {
            struct scm_timestamping stamps;

            memcpy(&stamps, CMSG_DATA(c), sizeof stamps);
            found.realtime_ns = clock_to_ns(stamps.ts[0]);
        } else if ((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
                   (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
            struct sock_extended_err error;

            memcpy(&error, CMSG_DATA(c), sizeof error);
            found.is_sent = error.ee_origin == SO_EE_ORIGIN_TIMESTAMPING;
            found.info = error.ee_info;
            found.key = error.ee_data;
        }
    }
    return found;
}

static bool find_sent(struct stamping *stamping, uint32_t key, uint64_t *sequence)
{
    while (stamping->first < stamping->last) {
        const uint64_t at = stamping->first % STAMPING_ROOM;

        /* Time stamps come in order: those passed over have none. One from before the oldest is ignored. */
        if ((int32_t)(key - stamping->sent[at].key) < 0)
            return false;
        stamping->first++;
        *sequence = stamping->sent[at].sequence;
        if (stamping->sent[at].key == key)
            return true;
    }
    return false;
}

bool stamping_take(struct stamping *stamping, int socket, uint64_t *sequence, int64_t *scheduled_ns)
{
    const uint32_t where = stamping->departures ? SCM_TSTAMP_SND : SCM_TSTAMP_SCHED;
    _Alignas(struct cmsghdr) unsigned char control[CONTROL_BYTES];

    for (;;) {
        struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};

        if (recvmsg(socket, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return false;
        const struct control found = read_control(&message);

        if (found.is_sent && found.info == where && found.realtime_ns != 0 &&
            find_sent(stamping, found.key, sequence)) {
            *scheduled_ns = found.realtime_ns - stamping->realtime_offset_ns;
            return true;
        }
    }
}

ssize_t stamping_receive(struct stamping *stamping, int socket, void *buffer, size_t size, int flags,
                         struct peer *peer)
{
    _Alignas(struct cmsghdr) unsigned char control[CONTROL_BYTES];
    struct iovec into = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &into, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

    if (peer != NULL) {
        message.msg_name = &peer->address;
        message.msg_namelen = sizeof peer->address;
    }
    const ssize_t received = recvmsg(socket, &message, flags);

    stamping->kernel_ns = 0;
    if (received < 0)
        return received;
    if (peer != NULL)
        peer->size = message.msg_namelen;
    const struct control found = read_control(&message);

    if (found.realtime_ns != 0)
        stamping->kernel_ns = found.realtime_ns - stamping->realtime_offset_ns;
    return received;
}
