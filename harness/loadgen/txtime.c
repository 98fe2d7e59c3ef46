/* Sends with departure times, and compares those with when the packets left. */
#include "txtime.h"

#include <errno.h>
#include <linux/net_tstamp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "events.h"
#include "quantiles.h"
#include "worker.h"

/* Older libc headers lack it; the number is the kernel's. */
#ifndef SO_TXTIME
#define SO_TXTIME 61
#define SCM_TXTIME SO_TXTIME
#endif

void txtime_enable(int socket)
{
    /* fq counts by this clock, and it takes no privilege. */
    const struct sock_txtime how = {.clockid = CLOCK_MONOTONIC};

    if (setsockopt(socket, SOL_SOCKET, SO_TXTIME, &how, sizeof how) != 0)
        fail("set a socket option", "SO_TXTIME", errno);
}

ssize_t txtime_send(int socket, const void *data, size_t size, int64_t departs_ns)
{
    _Alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(sizeof(uint64_t))] = {0};
    struct iovec from = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &from, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *time = CMSG_FIRSTHDR(&message);
    const uint64_t departs = (uint64_t)departs_ns;

    time->cmsg_level = SOL_SOCKET;
    time->cmsg_type = SCM_TXTIME;
    time->cmsg_len = CMSG_LEN(sizeof departs);
    memcpy(CMSG_DATA(time), &departs, sizeof departs);
    return sendmsg(socket, &message, MSG_DONTWAIT);
}

void txtime_event(const struct worker *worker)
{
    const size_t room = worker->last - worker->first + 1;
    int64_t *off = malloc(room * sizeof *off);
    size_t known = 0;
    int64_t early = 0;

    if (off == NULL)
        fail("reserve memory for departure times", NULL, ENOMEM);
    for (size_t i = worker->first; i < worker->last; i++) {
        const int64_t left_ns = worker->samples.stamps[i].scheduled_ns;

        if (left_ns == 0)
            continue;
        off[known] = left_ns - worker->samples.records[i].sent_ns - worker->load->txtime_ns;
        early += off[known++] < 0;
    }
    const struct quantiles found = quantiles_of(off, known, INT64_MAX);

    event_object("txtime");
    event_int("known", (int64_t)known);
    event_int("early", early);
    event_int("p50_ns", found.p50_ns);
    event_int("p99_ns", found.p99_ns);
    event_object_end();
    free(off);
}
