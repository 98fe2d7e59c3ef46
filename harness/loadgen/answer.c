/* Reads requests and makes their replies. */
#include "answer.h"

#include <string.h>

#include "clock.h"

size_t answer_buffer_bytes(const struct server *server)
{
    return (size_t)server->plan->framing.request.high;
}

size_t answer_request_bytes(const struct server *server, const unsigned char *request, size_t have)
{
    const struct framing *framing = &server->plan->framing;
    struct message_header header;

    if (!framing->sized)
        return (size_t)framing->request.low;
    if (have < sizeof header)
        return 0;
    memcpy(&header, request, sizeof header);
    return header.request_bytes < sizeof header ? SIZE_MAX : header.request_bytes;
}

/* The server's time stamps go into the reply, right after the header. */
static void stamp(struct server *server, const struct message_stamps *stamps)
{
    memcpy(server->reply + sizeof(struct message_header), stamps, sizeof *stamps);
}

static void stamp_times(struct server *server, int64_t received_ns)
{
    const struct message_times times = {received_ns, clock_now_ns(), (uint32_t)server->tid, 0};

    memcpy(server->reply + sizeof(struct message_header), &times, sizeof times);
}

static struct answer make_sized(struct server *server, const unsigned char *request, size_t bytes,
                                struct message_stamps *stamps)
{
    const struct framing *framing = &server->plan->framing;
    struct message_header header = {0};

    if (bytes >= sizeof header)
        memcpy(&header, request, sizeof header);
    if (header.request_bytes != bytes || header.response_bytes < framing_head_bytes(framing) ||
        header.response_bytes > framing->response.high) {
        server->malformed++;
        return (struct answer){0};
    }
    memcpy(server->reply, &header, sizeof header);
    server->service_ns += service_work(&server->plan->service, &server->rng);
    if (framing->phases) {
        stamps->previous = server->stamped;
        stamps->previous_scheduled_ns = server->stamped_ns;
        stamps->sent_ns = clock_now_ns();
        stamp(server, stamps);
    } else if (framing->times) {
        stamp_times(server, stamps->received_ns);
    }
    return (struct answer){server->reply, header.response_bytes};
}

struct answer answer_make(struct server *server, unsigned char *request, size_t bytes)
{
    struct message_stamps stamps = {0};

    if (server->plan->framing.stamped) {
        stamps.received_ns = clock_now_ns();
        if (server->stamping != NULL)
            stamps.received_kernel_ns = server->stamping->kernel_ns;
    }
    service_stall(&server->plan->service);
    server->requests++;
    server->bytes += (int64_t)bytes;
    if (server->plan->framing.sized)
        return make_sized(server, request, bytes, &stamps);
    server->service_ns += service_work(&server->plan->service, &server->rng);
    return (struct answer){request, bytes};
}

void answer_sent(struct server *server, int socket, const struct answer *answer)
{
    if (server->stamping == NULL)
        return;
    uint64_t sequence;

    memcpy(&sequence, answer->data, sizeof sequence);
    stamping_sent(server->stamping, sequence, answer->bytes);
    while (stamping_take(server->stamping, socket, &server->stamped, &server->stamped_ns))
        continue;
}

static int send_reply(struct server *server, int socket, const struct answer *answer, int64_t patience_ns)
{
    if (server->zerocopy != NULL)
        return zerocopy_send(server->zerocopy, socket, answer->data, answer->bytes, patience_ns);
    return channel_send(socket, answer->data, answer->bytes, NULL, patience_ns);
}

bool answer_stream(struct server *server, int socket, unsigned char *buffer, size_t *have, int64_t patience_ns)
{
    size_t done = 0;

    for (;;) {
        const size_t bytes = answer_request_bytes(server, buffer + done, *have - done);

        if (bytes > answer_buffer_bytes(server)) {
            server->malformed++;
            return false;
        }
        if (bytes == 0 || bytes > *have - done)
            break;
        if (server->zerocopy != NULL)
            server->reply = zerocopy_room(server->zerocopy);
        const struct answer answer = answer_make(server, buffer + done, bytes);

        if (answer.data == NULL)
            return false;
        if (send_reply(server, socket, &answer, patience_ns) != 0) {
            server->send_errors++;
            return false;
        }
        answer_sent(server, socket, &answer);
        done += bytes;
    }
    *have -= done;
    if (done > 0 && *have > 0)
        memmove(buffer, buffer + done, *have);
    return true;
}
