/* From a whole request to its reply: what every serving loop does between receiving and sending. */
#ifndef POLLBENCH_ANSWER_H
#define POLLBENCH_ANSWER_H

#include "server.h"

/* A reply; no data: the request was malformed. It is in the request's own memory or in server->reply. */
struct answer {
    const void *data;
    size_t bytes;
};

/* How long a TCP request is of which `have` bytes are there; 0: not known yet. More than the plan's longest request:
 * it is malformed. */
size_t answer_request_bytes(const struct server *server, const unsigned char *request, size_t have);

/* Counts the request, works for it, and makes its reply. */
struct answer answer_make(struct server *server, unsigned char *request, size_t bytes);
/* The reply has been handed to the kernel. */
void answer_sent(struct server *server, int socket, const struct answer *answer);

/* Answers all whole requests of a TCP connection in `buffer`, of which *have bytes are filled, and moves what is
 * left to its front. False: the connection is of no more use. */
bool answer_stream(struct server *server, int socket, unsigned char *buffer, size_t *have, int64_t patience_ns);

/* Room for one connection's requests. */
size_t answer_buffer_bytes(const struct server *server);

#endif
