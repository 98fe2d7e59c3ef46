/* Options of sockets, and the busy polling of epoll instances: from the command line, to the kernel, read back. */
#ifndef POLLBENCH_SOCKOPTS_H
#define POLLBENCH_SOCKOPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

#define SOCKOPT_UNSET INT64_C(-1)

/* What was asked for; SOCKOPT_UNSET leaves the kernel's value alone. */
struct sockopts {
    int64_t busy_poll; /* microseconds */
    int64_t prefer;
    int64_t budget;            /* packets */
    int64_t receive_buffer, send_buffer; /* bytes, as the kernel counts and tells them */
    int64_t incoming_cpu;      /* SO_INCOMING_CPU */
    int64_t rcvlowat;          /* bytes */
    int64_t max_pacing;        /* bytes a second */
    int64_t nodelay, quickack; /* of TCP sockets */
    const char *epoll_text;    /* "USECS,BUDGET,PREFER", or NULL */
};

#define SOCKOPTS_DEFAULT                                                                              \
    {SOCKOPT_UNSET, SOCKOPT_UNSET, SOCKOPT_UNSET, SOCKOPT_UNSET, SOCKOPT_UNSET, SOCKOPT_UNSET,        \
     SOCKOPT_UNSET, SOCKOPT_UNSET, SOCKOPT_UNSET, SOCKOPT_UNSET, NULL}

/* The rows of a mode's option table that fill a struct sockopts. */
#define SOCKOPTS_TABLE(options)                                                                       \
    {.name = "--busy-poll", .number = &(options)->busy_poll, .low = 0, .high = INT32_MAX},            \
    {.name = "--prefer-busy-poll", .number = &(options)->prefer, .low = 0, .high = 1},                \
    {.name = "--busy-poll-budget", .number = &(options)->budget, .low = 0, .high = UINT16_MAX},       \
    {.name = "--receive-buffer", .number = &(options)->receive_buffer, .low = 8192, .high = 1 << 30}, \
    {.name = "--send-buffer", .number = &(options)->send_buffer, .low = 8192, .high = 1 << 30},       \
    {.name = "--incoming-cpu", .number = &(options)->incoming_cpu, .low = 0, .high = INT32_MAX},      \
    {.name = "--rcvlowat", .number = &(options)->rcvlowat, .low = 1, .high = INT32_MAX},              \
    {.name = "--max-pacing-rate", .number = &(options)->max_pacing, .low = 1, .high = INT32_MAX},     \
    {.name = "--nodelay", .number = &(options)->nodelay, .low = 0, .high = 1},                        \
    {.name = "--quickack", .number = &(options)->quickack, .low = 0, .high = 1},                      \
    {.name = "--epoll-busy-poll", .text = &(options)->epoll_text}

/* Set what was asked for, on a socket before it listens or connects, so that accepted sockets inherit it.
 * End the program where the kernel refuses. `epoll` may be -1: no epoll instance. */
void sockopts_apply(const struct sockopts *options, int socket);
/* Those of TCP sockets alone: of each connection, for not all of them are inherited. */
void sockopts_apply_tcp(const struct sockopts *options, int socket);
void sockopts_apply_epoll(const struct sockopts *options, int epoll);

/* What the kernel reports; SOCKOPT_UNSET: this kernel, or such a socket, has no such option. The budget is write-only,
 * and the kernel changes SO_INCOMING_CPU and TCP_QUICKACK with the packets that come, so they are not here. */
struct sockopts_found {
    int64_t busy_poll, prefer, receive_buffer, send_buffer, rcvlowat, max_pacing, nodelay;
};

struct sockopts_found sockopts_read(int socket);

/* Adds the members busy_poll, prefer_busy_poll, the buffers, rcvlowat, max_pacing_rate, nodelay and epoll to the event. */
void sockopts_event(struct sockopts_found found, int epoll);

/* The NAPI by which its last packet came; 0 or less: none. */
int64_t sockopts_napi_id(int socket);

/* The NAPI instances that fed some sockets: a small set of ids, with how many sockets each fed last. */
#define NAPI_IDS_MAX 64
struct napi_ids {
    int64_t ids[NAPI_IDS_MAX], sockets[NAPI_IDS_MAX];
    size_t count;
    int64_t unfed; /* sockets that no NAPI instance fed */
};

/* Counts this socket with the NAPI instance that last fed it: once for each socket. */
void napi_ids_add(struct napi_ids *set, int socket);
void napi_ids_merge(struct napi_ids *set, const struct napi_ids *other);
/* Adds the members napi_ids, napi_sockets (how many each fed) and sockets_without_napi to the event being written. */
void napi_ids_event(const struct napi_ids *set);

#endif
