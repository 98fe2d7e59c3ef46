/* Makes AF_XDP sockets and moves datagrams through their rings. Nothing is allocated or locked while they move. */
#include "xsk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"
#include "xdp_program.h"
#include "xdp_ring.h"
#include "xdp_ways.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

#define FRAME_BYTES UINT64_C(2048)
/* As many for each direction as its rings hold, so that a ring is never full. */
#define FRAMES (2 * (uint64_t)XDP_RING_ENTRIES)
/* The kernel gives a queue back some time after the socket before us was closed. */
#define RELEASE_NS NS_PER_S

const char *const xsk_socket_names[] = {"kernel", "af_xdp", NULL};

struct xsk {
    int socket;
    struct xsk_plan plan;
    struct xdp_way way;
    struct xdp_program program;
    unsigned char *frames;
    struct xdp_ring fill, completion, receive, transmit;
    uint64_t spare[XDP_RING_ENTRIES]; /* frames to send from */
    uint32_t spares;
    bool polls;   /* a system call on it busy-polls */
    bool refused; /* the kernel would not send for now */
    int64_t received, sent;
    int64_t strange; /* what the program let through and is no datagram for us */
};

static void refuse(bool wrong, const char *option, const char *why)
{
    if (wrong)
        fail_usage(option, why);
}

void xsk_check(const struct xsk_plan *plan, enum protocol protocol, enum wait_style style,
               const struct framing *framing, bool alone)
{
    const struct xsk_plan untouched = XSK_PLAN_DEFAULT;

    if (!xsk_wanted(plan)) {
        refuse(plan->zero_copy, "--xdp-zero-copy", "goes with --socket af_xdp");
        refuse(plan->need_wakeup != untouched.need_wakeup, "--xdp-need-wakeup", "goes with --socket af_xdp");
        refuse(plan->queue != untouched.queue, "--xdp-queue", "goes with --socket af_xdp");
        return;
    }
    refuse(protocol != PROTOCOL_UDP, "--socket", "af_xdp goes with --protocol udp");
    refuse(style == WAIT_BLOCKING || style == WAIT_URING, "--wait",
           "an AF_XDP socket has no blocking receive; want one of: spin poll select epoll");
    refuse(framing->request.high > XDP_PAYLOAD_MAX || framing->response.high > XDP_PAYLOAD_MAX, "--size",
           "with --socket af_xdp at most 1472 bytes, which one frame holds");
    refuse(!alone, "--socket", "af_xdp is one thread with one socket, and goes without --phases and --udp-gro");
}

static void set(int socket, int option, const void *value, socklen_t size, const char *name)
{
    if (setsockopt(socket, SOL_XDP, option, value, size) != 0)
        fail("set up an AF_XDP socket", name, errno);
}

static void make_frames(struct xsk *xsk)
{
    struct xdp_umem_reg region = {.len = FRAMES * FRAME_BYTES, .chunk_size = (uint32_t)FRAME_BYTES};

    xsk->frames = mmap(NULL, region.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (xsk->frames == MAP_FAILED)
        fail("reserve memory for frames", NULL, errno);
    region.addr = (uint64_t)(uintptr_t)xsk->frames;
    set(xsk->socket, XDP_UMEM_REG, &region, sizeof region, "XDP_UMEM_REG");
}

static void make_rings(struct xsk *xsk)
{
    const int entries = XDP_RING_ENTRIES;
    struct xdp_mmap_offsets offsets;
    socklen_t size = sizeof offsets;

    set(xsk->socket, XDP_UMEM_FILL_RING, &entries, sizeof entries, "XDP_UMEM_FILL_RING");
    set(xsk->socket, XDP_UMEM_COMPLETION_RING, &entries, sizeof entries, "XDP_UMEM_COMPLETION_RING");
    set(xsk->socket, XDP_RX_RING, &entries, sizeof entries, "XDP_RX_RING");
    set(xsk->socket, XDP_TX_RING, &entries, sizeof entries, "XDP_TX_RING");
    if (getsockopt(xsk->socket, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) != 0 || size != sizeof offsets)
        fail("read where the rings of an AF_XDP socket are", "XDP_MMAP_OFFSETS", errno);
    xsk->fill = xdp_ring_map(xsk->socket, &offsets.fr, sizeof(uint64_t), (int64_t)XDP_UMEM_PGOFF_FILL_RING);
    xsk->completion =
        xdp_ring_map(xsk->socket, &offsets.cr, sizeof(uint64_t), (int64_t)XDP_UMEM_PGOFF_COMPLETION_RING);
    xsk->receive = xdp_ring_map(xsk->socket, &offsets.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
    xsk->transmit = xdp_ring_map(xsk->socket, &offsets.tx, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING);
}

static void hand_out_frames(struct xsk *xsk)
{
    for (uint64_t i = 0; i < XDP_RING_ENTRIES; i++) {
        xdp_ring_put(&xsk->fill, i * FRAME_BYTES);
        xsk->spare[i] = (XDP_RING_ENTRIES + i) * FRAME_BYTES;
    }
    xsk->spares = XDP_RING_ENTRIES;
}

static void bind_to_queue(const struct xsk *xsk)
{
    const struct sockaddr_xdp address = {
        .sxdp_family = AF_XDP,
        .sxdp_flags = (uint16_t)((xsk->plan.zero_copy ? XDP_ZEROCOPY : XDP_COPY) |
                                 (xsk->plan.need_wakeup ? XDP_USE_NEED_WAKEUP : 0)),
        .sxdp_ifindex = (uint32_t)xsk->way.interface,
        .sxdp_queue_id = (uint32_t)xsk->plan.queue,
    };

    const struct timespec pause = clock_from_ns(NS_PER_MS);
    const int64_t end_ns = clock_now_ns() + RELEASE_NS;
    int bound;

    while ((bound = bind(xsk->socket, (const struct sockaddr *)&address, sizeof address)) != 0 && errno == EBUSY &&
           clock_now_ns() < end_ns)
        nanosleep(&pause, NULL);
    if (bound != 0)
        fail(xsk->plan.zero_copy ? "bind an AF_XDP socket with zero copy, which the driver must know"
                                 : "bind an AF_XDP socket in copy mode",
             xsk->way.name, errno);
}

static struct xsk *make(const struct xdp_way *way, const struct xsk_plan *plan, const struct sockopts *options)
{
    struct xsk *xsk = calloc(1, sizeof *xsk);

    if (xsk == NULL)
        fail("reserve memory for an AF_XDP socket", NULL, ENOMEM);
    xsk->plan = *plan;
    xsk->way = *way;
    xsk->socket = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (xsk->socket < 0)
        fail("create a socket", "af_xdp", errno);
    sockopts_apply(options, xsk->socket);
    make_frames(xsk);
    make_rings(xsk);
    hand_out_frames(xsk);
    bind_to_queue(xsk);
    xsk->program = xdp_program_attach(way->interface, way->name, plan->queue, xsk->socket, way->path.source_port);
    xdp_way_await_link(way);
    xsk->polls = sockopts_read(xsk->socket).busy_poll > 0;
    return xsk;
}

struct xsk *xsk_listen(const struct endpoint *at, const struct xsk_plan *plan, const struct sockopts *options,
                       int64_t *port)
{
    const struct xdp_way way = xdp_way_at(at);

    *port = ntohs(way.path.source_port);
    return make(&way, plan, options);
}

struct xsk *xsk_connect(const struct endpoint *to, const struct xsk_plan *plan, const struct sockopts *options,
                        int64_t timeout_ns)
{
    const struct xdp_way way = xdp_way_to(to, timeout_ns);

    return make(&way, plan, options);
}

void xsk_detach(struct xsk *xsk)
{
    if (xsk != NULL)
        xdp_program_detach(&xsk->program);
}

void xsk_close(struct xsk *xsk)
{
    xdp_ring_unmap(&xsk->fill);
    xdp_ring_unmap(&xsk->completion);
    xdp_ring_unmap(&xsk->receive);
    xdp_ring_unmap(&xsk->transmit);
    close(xsk->socket);
    munmap(xsk->frames, FRAMES * FRAME_BYTES);
    free(xsk);
}

int xsk_descriptor(const struct xsk *xsk)
{
    return xsk->socket;
}

bool xsk_ready(const struct xsk *xsk)
{
    return xsk->refused || xdp_ring_filled(&xsk->receive);
}

/* Refusals that pass: the kernel looks at the rings again at the next call. */
static bool passes(int error)
{
    return error == EAGAIN || error == EBUSY || error == ENOBUFS || error == EINTR;
}

/* Has the kernel send what was written. A socket that busy-polls has the driver's work done by this call, too. */
static int push(struct xsk *xsk)
{
    const bool call = xsk->polls || !xsk->plan.need_wakeup || xdp_ring_wants_call(&xsk->transmit);
    const ssize_t done = call ? sendto(xsk->socket, NULL, 0, MSG_DONTWAIT, NULL, 0) : 0;

    if (done < 0 && !passes(errno))
        return -1;
    xsk->refused = done < 0;
    return 0;
}

/* False, with errno: the socket is of no more use. */
static bool call_kernel(struct xsk *xsk)
{
    const bool unsent = xdp_ring_pending(&xsk->transmit) > 0 && xdp_ring_wants_call(&xsk->transmit);

    if ((xsk->refused || unsent) && push(xsk) != 0)
        return false;
    if (!xsk->polls && !xdp_ring_wants_call(&xsk->fill))
        return true;
    return recvfrom(xsk->socket, NULL, 0, MSG_DONTWAIT, NULL, NULL) >= 0 || passes(errno);
}

/* The client's socket has one peer; what others send to its port is not for it. */
static bool is_for_us(const struct xsk *xsk, const struct xdp_path *path)
{
    const struct xdp_path *own = &xsk->way.path;

    return path->target == own->source && path->target_port == own->source_port &&
           (own->target_port == 0 || (path->source == own->target && path->source_port == own->target_port));
}

ssize_t xsk_receive(struct xsk *xsk, void *buffer, size_t size, struct xdp_path *path)
{
    if (!xdp_ring_filled(&xsk->receive)) {
        if (!call_kernel(xsk))
            return -1;
        if (!xdp_ring_filled(&xsk->receive)) {
            errno = EAGAIN;
            return -1;
        }
    }
    const struct xdp_desc frame = ((const struct xdp_desc *)xsk->receive.entries)[xdp_ring_slot(&xsk->receive)];
    struct xdp_path from;
    size_t bytes = 0;
    const unsigned char *payload = xdp_frame_read(xsk->frames + frame.addr, frame.len, &from, &bytes);
    const bool ours = payload != NULL && bytes <= size && is_for_us(xsk, &from);

    if (ours)
        memcpy(buffer, payload, bytes);
    xdp_ring_taken(&xsk->receive);
    xdp_ring_put(&xsk->fill, frame.addr - frame.addr % FRAME_BYTES);
    if (!ours) {
        xsk->strange++;
        errno = EAGAIN;
        return -1;
    }
    xsk->received++;
    if (path != NULL)
        *path = from;
    return (ssize_t)bytes;
}

static void take_back_frames(struct xsk *xsk)
{
    while (xdp_ring_filled(&xsk->completion)) {
        xsk->spare[xsk->spares++] = ((const uint64_t *)xsk->completion.entries)[xdp_ring_slot(&xsk->completion)];
        xdp_ring_taken(&xsk->completion);
    }
}

int xsk_send(struct xsk *xsk, const void *payload, size_t size, const struct xdp_path *path)
{
    /* The link would drop it without a word; other sockets' datagrams are cut into fragments. */
    if (size + XDP_PACKET_HEAD_BYTES > xsk->way.mtu) {
        errno = EMSGSIZE;
        return -1;
    }
    take_back_frames(xsk);
    if (xsk->spares == 0) {
        (void)push(xsk);
        errno = EAGAIN;
        return -1;
    }
    const uint64_t address = xsk->spare[--xsk->spares];
    struct xdp_desc *frame = &((struct xdp_desc *)xsk->transmit.entries)[xdp_ring_slot(&xsk->transmit)];

    frame->addr = address;
    frame->len =
        (uint32_t)xdp_frame_write(xsk->frames + address, path != NULL ? path : &xsk->way.path, payload, size);
    frame->options = 0;
    xdp_ring_written(&xsk->transmit);
    xsk->sent++;
    return push(xsk);
}

static void event_statistics(const struct xsk *xsk)
{
    struct xdp_statistics statistics = {0};
    socklen_t size = sizeof statistics;

    if (getsockopt(xsk->socket, SOL_XDP, XDP_STATISTICS, &statistics, &size) != 0)
        fail("read what an AF_XDP socket counted", "XDP_STATISTICS", errno);
    event_int("dropped", (int64_t)(statistics.rx_dropped + statistics.rx_ring_full));
    event_int("fill_ring_empty", (int64_t)statistics.rx_fill_ring_empty_descs);
    event_int("invalid", (int64_t)(statistics.rx_invalid_descs + statistics.tx_invalid_descs));
}

void xsk_event(const struct xsk *xsk)
{
    struct xdp_options options = {0};
    socklen_t size = sizeof options;

    if (xsk == NULL) {
        event_null("xdp");
        return;
    }
    if (getsockopt(xsk->socket, SOL_XDP, XDP_OPTIONS, &options, &size) != 0)
        fail("read the mode of an AF_XDP socket", "XDP_OPTIONS", errno);
    event_object("xdp");
    event_text("interface", xsk->way.name);
    event_int("queue", xsk->plan.queue);
    event_text("mode", (options.flags & XDP_OPTIONS_ZEROCOPY) != 0 ? "zero-copy" : "copy");
    event_text("program", xsk->program.native ? "native" : "generic");
    event_bool("need_wakeup", xsk->plan.need_wakeup != 0);
    event_int("received", xsk->received);
    event_int("sent", xsk->sent);
    event_int("unsent", xdp_ring_pending(&xsk->transmit));
    event_int("strange", xsk->strange);
    event_statistics(xsk);
    event_object_end();
}
