/* Serves datagrams: each goes back to where it came from. */
#include <errno.h>
#include <stdlib.h>

#include "events.h"
#include "server.h"
#include "stop.h"

/* A full socket buffer drains at the pace of the link; past this the reply is dropped, as a datagram may be. */
#define SEND_PATIENCE_NS INT64_C(1000000000)

void server_run_udp(struct server *server)
{
    const struct channel channel = channel_make(server->socket, server->epoll, server->style, NO_DEADLINE);
    unsigned char *message = malloc(server->size);
    struct peer peer;

    if (message == NULL)
        fail("reserve memory for a message", NULL, ENOMEM);
    while (!stop_requested) {
        const ssize_t received = channel_receive(&channel, message, server->size, NO_DEADLINE, &peer);

        if (received < 0) {
            if (stop_requested)
                break;
            fail("receive a datagram", NULL, errno);
        }
        server_count(server, (size_t)received);
        if (channel_send(server->socket, message, (size_t)received, &peer, SEND_PATIENCE_NS) != 0)
            server->send_errors++;
    }
    napi_ids_add(&server->napi_ids, server->socket);
    free(message);
}
