/* Serves TCP connections one after the other, for the styles that wait on a single socket. */
#include <errno.h>
#include <stdlib.h>

#include "events.h"
#include "server.h"
#include "stop.h"

/* Until the client closes, breaks, or stops taking its replies. */
static void serve(struct server *server, const struct channel *channel, unsigned char *message)
{
    size_t have = 0;

    while (!stop_requested) {
        const ssize_t received =
            channel_receive(channel, message + have, server->size - have, NO_DEADLINE, NULL);

        if (received <= 0)
            return;
        have += (size_t)received;
        if (have < server->size)
            continue;
        server_count(server, have);
        have = 0;
        if (channel_send(channel->socket, message, server->size, NULL, NO_DEADLINE) != 0) {
            server->send_errors++;
            return;
        }
    }
}

void server_run_serial(struct server *server)
{
    unsigned char *message = malloc(server->size);

    if (message == NULL)
        fail("reserve memory for a message", NULL, ENOMEM);
    while (!stop_requested) {
        const int accepted = server_accept(server, 0);

        if (accepted < 0)
            continue;
        const struct channel channel = channel_make(accepted, server->epoll, server->style, NO_DEADLINE);

        serve(server, &channel, message);
        server_close(server, accepted);
    }
    free(message);
}
