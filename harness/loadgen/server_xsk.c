/* Serves datagrams over an AF_XDP socket: each is answered the way it came. */
#include <errno.h>
#include <stdlib.h>

#include "answer.h"
#include "events.h"
#include "relax.h"
#include "stop.h"

/* Takes and answers one request, if there is one. */
static void serve_one(struct server *server, unsigned char *message)
{
    struct xdp_path path;
    const ssize_t received = xsk_receive(server->xsk, message, XDP_PAYLOAD_MAX, &path);

    if (received < 0) {
        if (errno != EAGAIN)
            fail("receive by an AF_XDP socket", NULL, errno);
        relax();
        return;
    }
    const struct answer answer = answer_make(server, message, (size_t)received);

    if (answer.data == NULL)
        return;
    path = xdp_path_back(&path);
    if (xsk_send(server->xsk, answer.data, answer.bytes, &path) != 0)
        server->send_errors++;
}

void server_run_xsk(struct server *server)
{
    const struct channel channel = {server->socket, server->epoll, server->plan->style, &server->waits, NULL, NULL};
    unsigned char *message = malloc(XDP_PAYLOAD_MAX);

    if (message == NULL)
        fail("reserve memory for a message", NULL, ENOMEM);
    if (server->epoll >= 0)
        channel_watch(server->epoll, server->socket, 0);
    while (!stop_requested) {
        if (xsk_ready(server->xsk) || channel_wait(&channel))
            serve_one(server, message);
        else if (errno != EINTR)
            fail("wait for an AF_XDP socket", NULL, errno);
    }
    napi_ids_add(&server->napi_ids, server->socket);
    xsk_detach(server->xsk); /* who reads our result finds the interface as it was */
    free(message);
}
