/* The server mode: answers every message with itself until SIGTERM. */
#ifndef POLLBENCH_SERVER_H
#define POLLBENCH_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "sockopts.h"

/* What a server has, and what it has seen; one per serving thread. */
struct server {
    int socket; /* UDP: the socket; TCP: the listener */
    int epoll;  /* -1 unless the style is epoll */
    enum wait_style style;
    size_t size; /* of a message */

    int64_t requests, bytes, connections;
    int64_t send_errors; /* replies the kernel refused to send */
    struct napi_ids napi_ids;
    struct sockopts_found options; /* as read back from the last accepted socket, or else from `socket` */
};

/* Each returns once asked to stop. */
void server_run_udp(struct server *server);
/* TCP, one connection at a time: the styles that wait on a single socket. */
void server_run_serial(struct server *server);
/* TCP, any number of connections at once, over poll or epoll. */
void server_run_multiplexed(struct server *server);

/* Accepts one connection with `flags` of accept4(); -1 if there was none after all. */
int server_accept(struct server *server, int flags);
/* Notes what a connection can still tell, and closes it. */
void server_close(struct server *server, int socket);
void server_count(struct server *server, size_t bytes);

int server_main(int argc, char **argv);

#endif
