/* An AF_XDP socket that sends and receives UDP datagrams: rings, frames, and the XDP program that feeds it. */
#ifndef POLLBENCH_XSK_H
#define POLLBENCH_XSK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "channel.h"
#include "endpoint.h"
#include "message.h"
#include "options.h"
#include "xdp_frame.h"

/* What was asked for. */
struct xsk_plan {
    int64_t socket;      /* of xsk_socket_names */
    bool zero_copy;      /* the driver's own, else the kernel copies */
    int64_t need_wakeup; /* 1: the kernel says when it wants a system call */
    int64_t queue;       /* of the interface */
};

enum { XSK_SOCKET_KERNEL, XSK_SOCKET_AF_XDP };
extern const char *const xsk_socket_names[];

#define XSK_PLAN_DEFAULT {.need_wakeup = 1}
#define XSK_QUEUES_MAX 1023

/* The rows of a mode's option table that fill a struct xsk_plan. */
#define XSK_TABLE(plan)                                                                    \
    {.name = "--socket", .number = &(plan)->socket, .choices = xsk_socket_names},          \
    {.name = "--xdp-zero-copy", .flag = &(plan)->zero_copy},                               \
    {.name = "--xdp-need-wakeup", .number = &(plan)->need_wakeup, .low = 0, .high = 1},    \
    {.name = "--xdp-queue", .number = &(plan)->queue, .low = 0, .high = XSK_QUEUES_MAX}

static inline bool xsk_wanted(const struct xsk_plan *plan)
{
    return plan->socket == XSK_SOCKET_AF_XDP;
}

/* Ends the program where other options mean nothing beside an AF_XDP socket, or these nothing without one. */
void xsk_check(const struct xsk_plan *plan, enum protocol protocol, enum wait_style style,
               const struct framing *framing, bool alone);

struct xsk;

/* A server's socket, with the options set; *port is its port. A client's, for datagrams to and from `to` alone.
 * Both end the program where the kernel refuses. */
struct xsk *xsk_listen(const struct endpoint *at, const struct xsk_plan *plan, const struct sockopts *options,
                       int64_t *port);
struct xsk *xsk_connect(const struct endpoint *to, const struct xsk_plan *plan, const struct sockopts *options,
                        int64_t timeout_ns);
/* Takes the program off the interface, so that it is as it was; what was counted can still be told. NULL: nothing. */
void xsk_detach(struct xsk *xsk);
/* Closes a detached socket. */
void xsk_close(struct xsk *xsk);

int xsk_descriptor(const struct xsk *xsk);
/* Is there a frame to take, or a send that the kernel refused for now, so that nobody may sleep? */
bool xsk_ready(const struct xsk *xsk);
/* Takes one datagram and its way (NULL: not wanted), without waiting: where none is there, it makes the system call
 * that busy-polls, or that the kernel wants. -1 with errno: EAGAIN where there was none. */
ssize_t xsk_receive(struct xsk *xsk, void *buffer, size_t size, struct xdp_path *path);
/* Sends a datagram this way (NULL: to the client's peer). 0, or -1 with errno: EAGAIN while all frames are under
 * way, EMSGSIZE where it is larger than the interface takes. */
int xsk_send(struct xsk *xsk, const void *payload, size_t size, const struct xdp_path *path);

/* Adds the member xdp to the event being written: how the socket is bound and what passed it; null without one. */
void xsk_event(const struct xsk *xsk);

#endif
