/* One socket and the style in which its user waits for messages. */
#ifndef POLLBENCH_CHANNEL_H
#define POLLBENCH_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum wait_style { WAIT_BLOCKING, WAIT_SPIN, WAIT_POLL, WAIT_EPOLL };
extern const char *const wait_names[];

#define NO_DEADLINE INT64_MAX

struct channel {
    int socket;
    int epoll; /* -1 unless the style is epoll */
    enum wait_style style;
    int64_t timeout_ns; /* how long one wait may take; NO_DEADLINE: for ever */
};

/* The sender's address, for sockets that are not connected. */
struct peer {
    struct sockaddr_storage address;
    socklen_t size;
};

/* An epoll instance that watches nothing yet, or -1 for the other styles. */
int channel_make_epoll(enum wait_style style);
/* Sets the socket up for this style, and `epoll` to watch it if there is one. */
struct channel channel_make(int socket, int epoll, enum wait_style style, int64_t timeout_ns);

/* Waits for bytes and takes them; fills *peer unless it is NULL. Returns their number (0: TCP's end of
 * stream), or -1 with errno: ETIMEDOUT past `deadline_ns` (CLOCK_MONOTONIC), ECANCELED when asked to stop. */
ssize_t channel_receive(const struct channel *channel, void *buffer, size_t size, int64_t deadline_ns,
                        struct peer *peer);

/* Sends all bytes, to *peer unless it is NULL. Returns 0, or -1 with errno as above. Should the socket be
 * full, waits for room at most `timeout_ns`. */
int channel_send(int socket, const void *buffer, size_t size, const struct peer *peer, int64_t timeout_ns);

#endif
