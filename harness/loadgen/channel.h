/* One socket and the style in which its user waits for messages. */
#ifndef POLLBENCH_CHANNEL_H
#define POLLBENCH_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum wait_style { WAIT_BLOCKING, WAIT_SPIN, WAIT_POLL, WAIT_SELECT, WAIT_EPOLL, WAIT_URING };
extern const char *const wait_names[];

#define NO_TIMEOUT INT64_MAX

/* Returns of poll(), select() and epoll_wait(), and how many of them named nothing. */
struct waits {
    int64_t returns, empty;
};

static inline void waits_count(struct waits *waits, int ready)
{
    waits->returns++;
    waits->empty += ready <= 0;
}

/* What a server waits on where it waits on one socket. */
struct channel {
    int socket;
    int epoll; /* -1 unless the style is epoll */
    enum wait_style style;
    struct waits *waits;
    struct stamping *stamping; /* NULL: no time stamps are taken */
    size_t *segment;           /* NULL: a receive brings one datagram; else the length of each that it brought */
};

/* The sender's address, for sockets that are not connected. */
struct peer {
    struct sockaddr_storage address;
    socklen_t size;
};

/* An epoll instance that watches nothing yet, or -1 for the other styles. */
int channel_make_epoll(enum wait_style style);
/* Sets the socket's blocking mode and receive timeout (NO_TIMEOUT: none) for this style. */
void channel_prepare(int socket, enum wait_style style, int64_t timeout_ns);
/* Has the epoll instance watch the socket for input; `mark` comes back as the event's data.u32. */
void channel_watch(int epoll, int socket, uint32_t mark);

/* Waits, and counts it, in the styles that ask for readiness first. True: worth trying to receive; false, with errno: interrupted. */
bool channel_wait(const struct channel *channel);

/* Waits for bytes and takes them; fills *peer unless it is NULL. Returns their number (0: TCP's end of stream),
 * or -1 with errno: ECANCELED when asked to stop. */
ssize_t channel_receive(const struct channel *channel, void *buffer, size_t size, struct peer *peer);

/* Sends all bytes, to *peer unless it is NULL. Returns 0, or -1 with errno: ECANCELED as above, ETIMEDOUT if the
 * socket was full and had no room within `timeout_ns`. */
int channel_send(int socket, const void *buffer, size_t size, const struct peer *peer, int64_t timeout_ns);

#endif
