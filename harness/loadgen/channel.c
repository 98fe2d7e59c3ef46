/* Receives and sends messages in each wait style; this is the inside of the measuring loop. */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include "clock.h"
#include "events.h"
#include "relax.h"
#include "selecting.h"
#include "stamping.h"
#include "stop.h"
#include "udp_gro.h"

const char *const wait_names[] = {"blocking", "spin", "poll", "select", "epoll", "uring", NULL};

static void set_blocking(int socket, bool blocking)
{
    const int flags = fcntl(socket, F_GETFL);

    if (flags < 0 || fcntl(socket, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) != 0)
        fail("set the blocking mode of a socket", NULL, errno);
}

static void set_receive_timeout(int socket, int64_t timeout_ns)
{
    /* Rounded up: zero would mean for ever. */
    const int64_t us = (timeout_ns + 999) / 1000;
    const struct timeval timeout = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};

    if (setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0)
        fail("set a socket option", "SO_RCVTIMEO", errno);
}

int channel_make_epoll(enum wait_style style)
{
    if (style != WAIT_EPOLL)
        return -1;
    const int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (epoll < 0)
        fail("create an epoll instance", NULL, errno);
    return epoll;
}

void channel_prepare(int socket, enum wait_style style, int64_t timeout_ns)
{
    set_blocking(socket, style == WAIT_BLOCKING);
    if (style == WAIT_BLOCKING && timeout_ns != NO_TIMEOUT)
        set_receive_timeout(socket, timeout_ns);
}

void channel_watch(int epoll, int socket, uint32_t mark)
{
    struct epoll_event watched = {.events = EPOLLIN, .data.u32 = mark};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &watched) != 0)
        fail("watch a socket with epoll", NULL, errno);
}

static int poll_one(int socket, short events, int64_t timeout_ns)
{
    struct pollfd watched = {.fd = socket, .events = events};
    const struct timespec timeout = clock_from_ns(timeout_ns);

    return ppoll(&watched, 1, timeout_ns == NO_TIMEOUT ? NULL : &timeout, NULL);
}

static int select_one(int socket)
{
    struct pollfd watched = {.fd = socket, .events = POLLIN};

    return select_as_poll(&watched, 1, NULL);
}

bool channel_wait(const struct channel *channel)
{
    struct epoll_event event;
    int ready;

    if (channel->style == WAIT_POLL)
        ready = poll_one(channel->socket, POLLIN, NO_TIMEOUT);
    else if (channel->style == WAIT_SELECT)
        ready = select_one(channel->socket);
    else if (channel->style == WAIT_EPOLL)
        ready = epoll_wait(channel->epoll, &event, 1, -1);
    else
        return true;
    waits_count(channel->waits, ready);
    return ready > 0;
}

static ssize_t receive_once(const struct channel *channel, void *buffer, size_t size, struct peer *peer)
{
    if (!channel_wait(channel))
        return -1;
    if (channel->stamping != NULL)
        return stamping_receive(channel->stamping, channel->socket, buffer, size, 0, peer);
    if (channel->segment != NULL)
        return udp_gro_receive(channel->socket, buffer, size, peer, channel->segment);
    if (peer == NULL)
        return recv(channel->socket, buffer, size, 0);
    peer->size = sizeof peer->address;
    return recvfrom(channel->socket, buffer, size, 0, (struct sockaddr *)&peer->address, &peer->size);
}

ssize_t channel_receive(const struct channel *channel, void *buffer, size_t size, struct peer *peer)
{
    for (;;) {
        const ssize_t received = receive_once(channel, buffer, size, peer);

        if (received >= 0)
            return received;
        if (errno != EAGAIN && errno != EINTR)
            return -1;
        if (stop_requested) {
            errno = ECANCELED;
            return -1;
        }
        relax();
    }
}

static bool wait_for_room(int socket, int64_t timeout_ns)
{
    const int ready = poll_one(socket, POLLOUT, timeout_ns);

    if (stop_requested)
        errno = ECANCELED;
    else if (ready == 0)
        errno = ETIMEDOUT;
    else
        return ready > 0 || errno == EINTR;
    return false;
}

int channel_send(int socket, const void *buffer, size_t size, const struct peer *peer, int64_t timeout_ns)
{
    const unsigned char *rest = buffer;

    /* MSG_DONTWAIT in every style: a send seldom finds no room, and then must not outlast the timeout. */
    for (;;) {
        const ssize_t sent = peer == NULL ? send(socket, rest, size, MSG_DONTWAIT)
                                          : sendto(socket, rest, size, MSG_DONTWAIT,
                                                   (const struct sockaddr *)&peer->address, peer->size);

        if (sent >= 0) {
            rest += sent;
            size -= (size_t)sent;
            if (size == 0)
                return 0;
        } else if (errno == EAGAIN) {
            if (!wait_for_room(socket, timeout_ns))
                return -1;
        } else if (errno != EINTR) {
            return -1;
        } else if (stop_requested) {
            errno = ECANCELED;
            return -1;
        }
    }
}
