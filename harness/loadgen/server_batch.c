/* Serves datagrams several at a time: one recvmmsg() takes what is there, one sendmmsg() answers it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "events.h"
#include "relax.h"
#include "stop.h"

/* As where they are sent one by one. */
#define SEND_PATIENCE_NS INT64_C(1000000000)

/* Room for the datagrams of one call, and for their replies. */
struct batch {
    size_t count, request_bytes, reply_bytes;
    struct mmsghdr *in, *out;
    struct iovec *in_pieces, *out_pieces;
    struct peer *peers;
    unsigned char *requests, *replies;
};

static struct batch make_batch(const struct server *server)
{
    const size_t count = (size_t)server->plan->batch;
    struct batch made = {
        .count = count,
        .request_bytes = answer_buffer_bytes(server),
        .reply_bytes = (size_t)server->plan->framing.response.high,
        .in = calloc(count, sizeof *made.in),
        .out = calloc(count, sizeof *made.out),
        .in_pieces = calloc(count, sizeof *made.in_pieces),
        .out_pieces = calloc(count, sizeof *made.out_pieces),
        .peers = calloc(count, sizeof *made.peers),
    };

    made.requests = calloc(count, made.request_bytes);
    made.replies = calloc(count, made.reply_bytes);
    if (made.in == NULL || made.out == NULL || made.in_pieces == NULL || made.out_pieces == NULL ||
        made.peers == NULL || made.requests == NULL || made.replies == NULL)
        fail("reserve memory for a batch of messages", NULL, ENOMEM);
    for (size_t i = 0; i < count; i++) {
        made.in_pieces[i] = (struct iovec){made.requests + i * made.request_bytes, made.request_bytes};
        made.in[i].msg_hdr = (struct msghdr){.msg_name = &made.peers[i].address,
                                             .msg_namelen = sizeof made.peers[i].address,
                                             .msg_iov = &made.in_pieces[i], .msg_iovlen = 1};
    }
    return made;
}

static void free_batch(struct batch *batch)
{
    free(batch->in);
    free(batch->out);
    free(batch->in_pieces);
    free(batch->out_pieces);
    free(batch->peers);
    free(batch->requests);
    free(batch->replies);
}

/* Waits for datagrams and takes as many as are there; 0 when asked to stop. */
static size_t receive(const struct channel *channel, struct batch *batch)
{
    while (!stop_requested) {
        const int received = channel_wait(channel) ? recvmmsg(channel->socket, batch->in, (unsigned int)batch->count,
                                                              MSG_WAITFORONE, NULL)
                                                   : -1;

        if (received > 0)
            return (size_t)received;
        if (received < 0 && errno != EAGAIN && errno != EINTR)
            fail("receive datagrams", NULL, errno);
        relax();
    }
    return 0;
}

/* Makes the replies to the first `received` datagrams; returns how many there are to send. */
static size_t answer_all(struct server *server, struct batch *batch, size_t received)
{
    size_t count = 0;

    for (size_t i = 0; i < received; i++) {
        struct msghdr *in = &batch->in[i].msg_hdr;
        const struct answer answer = answer_make(server, in->msg_iov->iov_base, batch->in[i].msg_len);
        const void *data = answer.data;

        if (answer.data == server->reply && answer.data != NULL)
            data = memcpy(batch->replies + i * batch->reply_bytes, answer.data, answer.bytes);
        if (data != NULL) {
            batch->out_pieces[count] = (struct iovec){(void *)(uintptr_t)data, answer.bytes};
            batch->out[count].msg_hdr = (struct msghdr){.msg_name = in->msg_name, .msg_namelen = in->msg_namelen,
                                                        .msg_iov = &batch->out_pieces[count], .msg_iovlen = 1};
            count++;
        }
    }
    return count;
}

/* What the socket has no room for is sent by itself, which waits for it. */
static void send_all(struct server *server, struct batch *batch, size_t count)
{
    for (size_t at = 0; at < count;) {
        const int sent = sendmmsg(server->socket, batch->out + at, (unsigned int)(count - at), MSG_DONTWAIT);

        if (sent > 0) {
            server->batched.send_calls++;
            server->batched.sent += sent;
            at += (size_t)sent;
            continue;
        }
        const struct msghdr *one = &batch->out[at++].msg_hdr;
        struct peer peer = {.size = one->msg_namelen};

        memcpy(&peer.address, one->msg_name, one->msg_namelen);
        if (channel_send(server->socket, one->msg_iov->iov_base, one->msg_iov->iov_len, &peer, SEND_PATIENCE_NS) != 0)
            server->send_errors++;
    }
}

void server_run_batched(struct server *server)
{
    const struct channel channel = {server->socket, server->epoll, server->plan->style, &server->waits, NULL, NULL};
    struct batch batch = make_batch(server);

    channel_prepare(server->socket, server->plan->style, NO_TIMEOUT);
    if (server->epoll >= 0)
        channel_watch(server->epoll, server->socket, 0);
    for (size_t received; (received = receive(&channel, &batch)) > 0;) {
        server->batched.receive_calls++;
        server->batched.received += (int64_t)received;
        if ((int64_t)received > server->batched.most)
            server->batched.most = (int64_t)received;
        send_all(server, &batch, answer_all(server, &batch, received));
        for (size_t i = 0; i < received; i++)
            batch.in[i].msg_hdr.msg_namelen = sizeof batch.peers[i].address;
    }
    napi_ids_add(&server->napi_ids, server->socket);
    free_batch(&batch);
}
