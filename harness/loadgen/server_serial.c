/* Serves TCP connections one after the other, for the style that waits on a single socket. */
#include <errno.h>
#include <stdlib.h>

#include "answer.h"
#include "events.h"
#include "stop.h"

/* Until the client closes, breaks, or stops taking its replies. */
static void serve(struct server *server, const struct channel *channel, unsigned char *buffer)
{
    const size_t room = answer_buffer_bytes(server);
    size_t have = 0;

    while (!stop_requested) {
        const ssize_t received = channel_receive(channel, buffer + have, room - have, NULL);

        if (received <= 0)
            return;
        have += (size_t)received;
        if (!answer_stream(server, channel->socket, buffer, &have, NO_TIMEOUT))
            return;
    }
}

void server_run_serial(struct server *server)
{
    unsigned char *buffer = malloc(answer_buffer_bytes(server));

    if (buffer == NULL)
        fail("reserve memory for a message", NULL, ENOMEM);
    while (!stop_requested) {
        const int accepted = server_accept(server, 0);

        if (accepted < 0)
            continue;
        const struct channel channel = {accepted, -1, server->plan->style, &server->waits, server->stamping, NULL};

        serve(server, &channel, buffer);
        server_close(server, accepted);
    }
    free(buffer);
}
