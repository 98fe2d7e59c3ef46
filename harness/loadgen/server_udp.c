/* Serves datagrams: each is answered to where it came from. */
#include <errno.h>
#include <stdlib.h>

#include "answer.h"
#include "events.h"
#include "stop.h"
#include "udp_gro.h"

/* A full socket buffer drains at the pace of the link; past this the reply is dropped, as a datagram may be. */
#define SEND_PATIENCE_NS INT64_C(1000000000)

static void answer_one(struct server *server, unsigned char *message, size_t bytes, const struct peer *peer)
{
    const struct answer answer = answer_make(server, message, bytes);

    if (answer.data == NULL)
        return;
    if (channel_send(server->socket, answer.data, answer.bytes, peer, SEND_PATIENCE_NS) != 0)
        server->send_errors++;
    else
        answer_sent(server, server->socket, &answer);
}

void server_run_udp(struct server *server)
{
    size_t segment = 0;
    size_t *several = server->plan->udp_gro ? &segment : NULL;
    const struct channel channel = {server->socket,  server->epoll,    server->plan->style,
                                    &server->waits, server->stamping, several};
    const size_t room = several != NULL ? UDP_GRO_ROOM : answer_buffer_bytes(server);
    unsigned char *message = malloc(room);
    struct peer peer;

    if (message == NULL)
        fail("reserve memory for a message", NULL, ENOMEM);
    channel_prepare(server->socket, server->plan->style, NO_TIMEOUT);
    if (server->epoll >= 0)
        channel_watch(server->epoll, server->socket, 0);
    if (server->stamping != NULL)
        stamping_begin(server->stamping, server->socket, false, false);
    while (!stop_requested) {
        const ssize_t received = channel_receive(&channel, message, room, &peer);

        if (received < 0) {
            if (stop_requested)
                break;
            fail("receive a datagram", NULL, errno);
        }
        const size_t bytes = (size_t)received, length = several != NULL && segment > 0 ? segment : bytes;
        size_t at = 0;

        do {
            const size_t left = bytes - at;

            answer_one(server, message + at, left < length ? left : length, &peer);
            at += length;
        } while (at < bytes);
    }
    napi_ids_add(&server->napi_ids, server->socket);
    free(message);
}
