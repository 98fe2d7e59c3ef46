/* Hogs of the network path: one sends packets whose receive softirqs run on its own CPU, one busy-polls a NAPI. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "endpoint.h"
#include "events.h"
#include "hog.h"
#include "stop.h"

#define DATAGRAM_BYTES 64
#define SEND_STEPS 4
/* The first datagrams may be lost while neighbours are being looked up. */
#define FIRST_REPLY_TRIES 10
#define FIRST_REPLY_MS 100

/* A socket knows the NAPI that it would poll only from its first packet. */
static void await_first_reply(int socket, const struct endpoint *to)
{
    unsigned char message[DATAGRAM_BYTES] = {0};
    struct pollfd ready = {.fd = socket, .events = POLLIN};

    for (int tries = 0; tries < FIRST_REPLY_TRIES && !stop_requested; tries++) {
        (void)send(socket, message, sizeof message, MSG_DONTWAIT);
        if (poll(&ready, 1, FIRST_REPLY_MS) == 1 && recv(socket, message, sizeof message, MSG_DONTWAIT) > 0)
            return;
    }
    fail("get a first reply", to->text, ETIMEDOUT);
}

int hog_flow_open(enum hog_kind kind, const struct hog_peer *peer)
{
    struct sockopts options = SOCKOPTS_DEFAULT;

    if (peer->address == NULL || peer->port == 0)
        fail_usage("hog", "kinds network and poller need --connect and --port");
    if (kind == HOG_POLLER)
        options.busy_poll = peer->busy_poll;
    const struct endpoint to = endpoint_resolve(PROTOCOL_UDP, peer->address, peer->port);
    const int socket = endpoint_connect(&to, &options, NS_PER_S);

    if (kind == HOG_POLLER)
        await_first_reply(socket, &to);
    return socket;
}

/* Whether a datagram went out, or found the port closed, does not matter: its softirqs were the point. */
void hog_flow_portion(enum hog_kind kind, int socket)
{
    unsigned char message[DATAGRAM_BYTES] = {0};

    if (kind == HOG_POLLER) {
        /* Without waiting, a receive on a busy-poll socket makes one pass over the NAPI. */
        (void)recv(socket, message, sizeof message, MSG_DONTWAIT);
        return;
    }
    for (int i = 0; i < SEND_STEPS; i++)
        (void)send(socket, message, sizeof message, MSG_DONTWAIT);
}
