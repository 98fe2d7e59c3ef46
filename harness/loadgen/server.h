/* The server mode: answers every message until SIGTERM. */
#ifndef POLLBENCH_SERVER_H
#define POLLBENCH_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "endpoint.h"
#include "message.h"
#include "rng.h"
#include "service.h"
#include "sockopts.h"
#include "stamping.h"
#include "uring.h"
#include "usage.h"
#include "xsk.h"
#include "zerocopy.h"

/* What all serving threads have in common. */
struct server_plan {
    struct endpoint at;
    struct sockopts sockopts;
    struct xsk_plan xsk;
    enum wait_style style;
    int64_t tracking; /* of uring_tracking_names */
    bool udp_gro;
    bool multishot; /* --wait uring, TCP: a receive goes on until told otherwise */
    bool zerocopy; /* TCP: replies are sent from where they were made */
    bool by_napi;  /* TCP, --wait epoll: each NAPI's connections are one thread's */
    int64_t batch; /* UDP: datagrams of one system call at most; 0: one by one */
    struct framing framing;
    struct service service;
    int64_t threads;
    const char *thread_cpus; /* NULL: not pinned beyond the launch option */
    uint64_t seed;
};

/* What calls that take and send several datagrams did. */
struct batched {
    int64_t receive_calls, received, most, send_calls, sent;
};

/* Receives asked for, what they brought, and after how many the kernel said that more will come unasked. */
struct multishot {
    int64_t armed, receives, more;
};

/* What a serving thread has, and what it has seen. */
struct server {
    const struct server_plan *plan;
    int64_t index, tid;
    int socket; /* UDP: the socket; TCP: the listener */
    int epoll;  /* -1 unless the style is epoll */
    int inbox[2]; /* with by_napi: a pipe for connections that other threads accepted */
    struct uring uring; /* --wait uring */
    struct xsk *xsk;    /* --socket af_xdp, else NULL: `socket` is its descriptor */
    struct rng rng;
    unsigned char *reply;      /* sized messages are answered from here */
    struct zerocopy *zerocopy; /* with --zerocopy, else NULL; `reply` is then memory of its own */
    struct stamping *stamping; /* with phases, else NULL */
    uint64_t stamped;          /* with phases: the reply whose time stamp came last, and the stamp */
    int64_t stamped_ns;

    int64_t requests, bytes, connections, service_ns;
    int64_t send_errors; /* replies the kernel refused to send */
    int64_t malformed;   /* not a request of ours */
    struct waits waits;
    struct batched batched;     /* with --batch */
    struct multishot multishot; /* with --multishot */
    struct napi_ids napi_ids;
    struct sockopts_found options; /* as read back from the last accepted socket, or else from `socket` */
    struct usage usage;
};

/* Each returns once asked to stop. */
void server_run_udp(struct server *server);
/* UDP, several datagrams of one call. */
void server_run_batched(struct server *server);
/* TCP, one connection at a time: the style that waits on a single socket. */
void server_run_serial(struct server *server);
/* TCP, any number of connections at once, spinning over them, or over poll or epoll. */
void server_run_multiplexed(struct server *server);
/* UDP over an AF_XDP socket. */
void server_run_xsk(struct server *server);
/* UDP and TCP over io_uring. */
void server_run_uring(struct server *server);
/* TCP over io_uring, by receives that go on. */
void server_run_multishot(struct server *server);

/* Accepts one connection with `flags` of accept4(); -1 if there was none after all. */
int server_accept(struct server *server, int flags);
/* Sets up and counts a connection that was accepted. */
void server_welcome(struct server *server, int socket);
/* With by_napi, the thread that is to serve a connection that `server` accepted. */
struct server *server_of(struct server *server, int socket);
/* Notes what a connection can still tell, and closes it. */
void server_close(struct server *server, int socket);

/* The result event, over all threads. */
void server_report(const struct server *servers, const struct server_plan *plan);

int server_main(int argc, char **argv);

#endif
