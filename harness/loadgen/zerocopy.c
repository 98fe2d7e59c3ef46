/* Sends with MSG_ZEROCOPY and reads its completions from the sockets' error queues. */
#include "zerocopy.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* It needs struct timespec, and does not say so. */
#include <linux/errqueue.h>

#include "clock.h"
#include "events.h"
#include "stop.h"

/* Older headers lack these; the numbers are the kernel's. */
#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif
#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif
#ifndef SO_EE_ORIGIN_ZEROCOPY
#define SO_EE_ORIGIN_ZEROCOPY 5
#endif
#ifndef SO_EE_CODE_ZEROCOPY_COPIED
#define SO_EE_CODE_ZEROCOPY_COPIED 1
#endif

#define PAGE_BYTES 4096u
#define CONTROL_BYTES 256
#define PATIENCE_NS INT64_C(1000000000)
#define LOOK_MS 20

struct zerocopy *zerocopy_make(size_t reply_bytes)
{
    const size_t room = (reply_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    struct zerocopy *made = calloc(1, sizeof *made);

    if (made == NULL)
        fail("reserve memory for replies", NULL, ENOMEM);
    for (size_t i = 0; i < ZEROCOPY_SLOTS; i++) {
        made->slots[i].memory = aligned_alloc(PAGE_BYTES, room);
        if (made->slots[i].memory == NULL)
            fail("reserve memory for replies", NULL, ENOMEM);
        memset(made->slots[i].memory, 0, room);
    }
    return made;
}

void zerocopy_free(struct zerocopy *zerocopy)
{
    if (zerocopy == NULL)
        return;
    for (size_t i = 0; i < ZEROCOPY_SLOTS; i++)
        free(zerocopy->slots[i].memory);
    free(zerocopy->next_id);
    free(zerocopy);
}

void zerocopy_begin(struct zerocopy *zerocopy, int socket)
{
    const size_t needed = (size_t)socket + 1;
    const int on = 1;

    if (setsockopt(socket, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) != 0)
        fail("set a socket option", "SO_ZEROCOPY", errno);
    if (zerocopy->sockets < needed) {
        zerocopy->next_id = realloc(zerocopy->next_id, 2 * needed * sizeof *zerocopy->next_id);
        if (zerocopy->next_id == NULL)
            fail("reserve memory for connections", NULL, ENOMEM);
        zerocopy->sockets = 2 * needed;
    }
    zerocopy->next_id[socket] = 0;
}

/* Calls `low` to `high` of the socket are complete; the numbers may have gone round. */
static void completed(struct zerocopy *zerocopy, int socket, uint32_t low, uint32_t high, bool copied)
{
    const uint32_t more = high - low;

    zerocopy->completed += (int64_t)more + 1;
    zerocopy->copied += copied ? (int64_t)more + 1 : 0;
    for (size_t i = 0; i < ZEROCOPY_SLOTS; i++) {
        struct zerocopy_slot *slot = &zerocopy->slots[i];

        if (slot->busy && slot->socket == socket && slot->id - low <= more)
            slot->busy = false;
    }
}

void zerocopy_take(struct zerocopy *zerocopy, int socket)
{
    for (;;) {
        _Alignas(struct cmsghdr) unsigned char control[CONTROL_BYTES];
        struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};

        if (recvmsg(socket, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
            struct sock_extended_err error;

            if (!(c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) &&
                !(c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR))
                continue;
            memcpy(&error, CMSG_DATA(c), sizeof error);
            if (error.ee_origin == SO_EE_ORIGIN_ZEROCOPY && error.ee_errno == 0)
                completed(zerocopy, socket, error.ee_info, error.ee_data,
                          (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0);
        }
    }
}

/* A completion, or the time of one look, whichever comes first. `events`: what else is waited for. */
static void wait_for(struct zerocopy *zerocopy, int socket, short events)
{
    struct pollfd watched = {.fd = socket, .events = events};

    zerocopy_take(zerocopy, socket);
    (void)poll(&watched, 1, LOOK_MS);
    zerocopy_take(zerocopy, socket);
}

void zerocopy_end(struct zerocopy *zerocopy, int socket)
{
    zerocopy_take(zerocopy, socket);
    for (size_t i = 0; i < ZEROCOPY_SLOTS; i++)
        if (zerocopy->slots[i].socket == socket)
            zerocopy->slots[i].busy = false;
}

unsigned char *zerocopy_room(struct zerocopy *zerocopy)
{
    struct zerocopy_slot *slot = &zerocopy->slots[zerocopy->at = (zerocopy->at + 1) % ZEROCOPY_SLOTS];
    const int64_t until_ns = clock_now_ns() + PATIENCE_NS;

    if (slot->busy)
        zerocopy_take(zerocopy, slot->socket);
    while (slot->busy && !stop_requested) {
        if (clock_now_ns() > until_ns) {
            (void)shutdown(slot->socket, SHUT_RDWR);
            slot->busy = false;
        } else {
            wait_for(zerocopy, slot->socket, 0);
        }
    }
    slot->busy = false;
    return slot->memory;
}

int zerocopy_send(struct zerocopy *zerocopy, int socket, const void *data, size_t bytes, int64_t timeout_ns)
{
    struct zerocopy_slot *slot = &zerocopy->slots[zerocopy->at];
    const unsigned char *rest = data;
    const int64_t until_ns = timeout_ns > INT64_MAX / 2 ? INT64_MAX : clock_now_ns() + timeout_ns;

    while (bytes > 0) {
        const ssize_t sent = send(socket, rest, bytes, MSG_ZEROCOPY | MSG_DONTWAIT);

        if (sent >= 0) {
            slot->socket = socket;
            slot->id = zerocopy->next_id[socket]++;
            slot->busy = true;
            zerocopy->sends++;
            rest += sent;
            bytes -= (size_t)sent;
            continue;
        }
        /* ENOBUFS: as many completions are unread as the kernel keeps for a socket. */
        if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
            return -1;
        if (stop_requested || clock_now_ns() > until_ns) {
            errno = stop_requested ? ECANCELED : ETIMEDOUT;
            return -1;
        }
        wait_for(zerocopy, socket, errno == ENOBUFS ? 0 : POLLOUT);
    }
    return 0;
}
