/* Sends requests in as many pieces as the socket takes, and puts replies together from the pieces it gives. */
#include "connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "txtime.h"

/* A connection that is still being made has no room either, so sending waits for both in the same way. */
static bool no_room(void)
{
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS;
}

/* An AF_XDP socket sends a datagram or nothing. */
static ssize_t send_some(const struct connection *connection, const void *data, size_t size)
{
    if (connection->departs_ns != 0)
        return txtime_send(connection->socket, data, size, connection->departs_ns);
    if (connection->xsk == NULL)
        return send(connection->socket, data, size, MSG_DONTWAIT);
    return xsk_send(connection->xsk, data, size, NULL) == 0 ? (ssize_t)size : -1;
}

int connection_send(struct connection *connection, const struct traffic *traffic, size_t size)
{
    const ssize_t sent = send_some(connection, traffic->request, size);

    if (sent == (ssize_t)size)
        return 0;
    if (sent < 0 && !no_room())
        return -1;
    connection->size = (uint32_t)size;
    connection->unsent = (uint32_t)(sent < 0 ? size : size - (size_t)sent);
    connection->prefix_bytes = traffic->prefix;
    memcpy(connection->prefix, traffic->request, traffic->prefix);
    return 0;
}

int connection_resume(struct connection *connection, struct traffic *traffic)
{
    /* The buffer may have served other requests since; past their prefixes all requests are alike. */
    memcpy(traffic->request, connection->prefix, connection->prefix_bytes);
    const ssize_t sent =
        send_some(connection, traffic->request + (connection->size - connection->unsent), connection->unsent);

    if (sent >= 0)
        connection->unsent -= (uint32_t)sent;
    return sent < 0 && !no_room() ? -1 : 0;
}

/* False: more bytes are needed before the reply's length is known. */
static bool take_head(struct connection *connection, size_t wanted, const unsigned char **data, size_t *size)
{
    const size_t missing = wanted - connection->have;
    const size_t taken = missing < *size ? missing : *size;

    memcpy(connection->head + connection->have, *data, taken);
    connection->have += taken;
    *data += taken;
    *size -= taken;
    return connection->have == wanted;
}

struct arrived connection_take(struct connection *connection, const struct traffic_plan *plan,
                               const unsigned char **data, size_t *size)
{
    const size_t head_bytes = traffic_head_bytes(plan);

    if (connection->have < head_bytes) {
        if (!take_head(connection, head_bytes, data, size))
            return (struct arrived){0};
        const struct reply begun = traffic_reply(plan, connection->head);

        if (begun.bytes < head_bytes)
            return (struct arrived){.malformed = true};
        connection->left = begun.bytes - head_bytes;
    }
    const size_t taken = connection->left < *size ? connection->left : *size;

    connection->left -= taken;
    *data += taken;
    *size -= taken;
    if (connection->left > 0)
        return (struct arrived){0};
    connection->have = 0;
    return (struct arrived){.complete = true, .reply = traffic_reply(plan, connection->head)};
}
