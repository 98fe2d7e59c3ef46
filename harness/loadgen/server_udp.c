/* Serves datagrams: each is answered to where it came from. */
#include <errno.h>
#include <stdlib.h>

#include "answer.h"
#include "events.h"
#include "stop.h"

/* A full socket buffer drains at the pace of the link; past this the reply is dropped, as a datagram may be. */
#define SEND_PATIENCE_NS INT64_C(1000000000)

void server_run_udp(struct server *server)
{
    const struct channel channel = {server->socket, server->epoll, server->plan->style, server->stamping};
    const size_t room = answer_buffer_bytes(server);
    unsigned char *message = malloc(room);
    struct peer peer;

    if (message == NULL)
        fail("reserve memory for a message", NULL, ENOMEM);
    channel_prepare(server->socket, server->plan->style, NO_TIMEOUT);
    if (server->epoll >= 0)
        channel_watch(server->epoll, server->socket, 0);
    if (server->stamping != NULL)
        stamping_begin(server->stamping, server->socket, false);
    while (!stop_requested) {
        const ssize_t received = channel_receive(&channel, message, room, &peer);

        if (received < 0) {
            if (stop_requested)
                break;
            fail("receive a datagram", NULL, errno);
        }
        const struct answer answer = answer_make(server, message, (size_t)received);

        if (answer.data == NULL)
            continue;
        if (channel_send(server->socket, answer.data, answer.bytes, &peer, SEND_PATIENCE_NS) != 0)
            server->send_errors++;
        else
            answer_sent(server, server->socket, &answer);
    }
    napi_ids_add(&server->napi_ids, server->socket);
    free(message);
}
