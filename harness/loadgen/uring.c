/* Sets up an io_uring, registers its NAPI busy polling, and moves requests and completions. */
#include "uring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "events.h"

#define ENTRIES 4096

/* Older headers lack these; the numbers are the kernel's. */
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1u << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1u << 13)
#endif
#define REGISTER_NAPI 27u    /* IORING_REGISTER_NAPI, Linux 6.9 */
#define REGISTER_BUFFERS 22u /* IORING_REGISTER_PBUF_RING, Linux 5.19 */

/* struct io_uring_napi */
struct napi_busy_poll {
    uint32_t usecs;
    uint8_t prefer;
    uint8_t operation;
    uint8_t pad[2];
    uint32_t parameter; /* to register: 0 dynamic, 1 static (Linux 6.13); to add: the id of a NAPI */
    uint32_t reserved;
};

_Static_assert(sizeof(struct napi_busy_poll) == 16, "as the kernel has it");

/* struct io_uring_buf_reg */
struct buffer_ring {
    uint64_t address;
    uint32_t entries;
    uint16_t group, flags;
    uint64_t reserved[3];
};

_Static_assert(sizeof(struct buffer_ring) == 40 && sizeof(struct uring_buffer) == 16, "as the kernel has them");

enum { OPERATION_REGISTER, OPERATION_ADD_ID };

const char *const uring_tracking_names[] = {"dynamic", "static", NULL};

static _Noreturn void refuse(const char *attempted)
{
    char got[224];

    snprintf(got, sizeof got,
             "%s; it needs Linux 6.9 or newer (6.13 to name NAPIs to it) with CONFIG_IO_URING and CONFIG_NET_RX_BUSY_POLL, and sysctl "
             "kernel.io_uring_disabled at 0",
             strerror(errno));
    fail_saying(attempted, "io_uring", got);
}

static void *map(int fd, size_t size, off_t offset)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

    if (memory == MAP_FAILED)
        refuse("map the rings");
    return memory;
}

static int register_napi(const struct uring *ring, struct napi_busy_poll napi)
{
    return (int)syscall(SYS_io_uring_register, ring->fd, REGISTER_NAPI, &napi, 1);
}

static void poll_napis(struct uring *ring, const struct sockopts *options, enum uring_tracking tracking)
{
    if (options->busy_poll == SOCKOPT_UNSET || options->busy_poll == 0)
        return;
    if (register_napi(ring, (struct napi_busy_poll){.usecs = (uint32_t)options->busy_poll,
                                                    .prefer = options->prefer == 1,
                                                    .operation = OPERATION_REGISTER,
                                                    .parameter = tracking}) != 0)
        refuse("register NAPI busy polling");
    ring->follows = tracking == URING_STATIC;
}

bool uring_follow(const struct uring *ring, int socket)
{
    const int64_t id = ring->follows ? sockopts_napi_id(socket) : 0;

    if (id <= 0)
        return !ring->follows;
    /* Sockets that share a NAPI name it more than once. */
    if (register_napi(ring, (struct napi_busy_poll){.operation = OPERATION_ADD_ID, .parameter = (uint32_t)id}) != 0 &&
        errno != EEXIST)
        refuse("name a NAPI");
    return true;
}

struct uring uring_make(const struct sockopts *options, enum uring_tracking tracking)
{
    /* Completions are made when we ask for them, not by interrupting us. */
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    struct uring ring = {.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &p)};

    if (ring.fd < 0)
        refuse("set up io_uring");
    unsigned char *sq = map(ring.fd, p.sq_off.array + p.sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING);
    unsigned char *cq =
        map(ring.fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);

    ring.sqes = map(ring.fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    ring.sq_head = (unsigned int *)(sq + p.sq_off.head);
    ring.sq_tail = (unsigned int *)(sq + p.sq_off.tail);
    ring.sq_mask = p.sq_entries - 1;
    ring.sq_entries = p.sq_entries;
    ring.cq_head = (unsigned int *)(cq + p.cq_off.head);
    ring.cq_tail = (unsigned int *)(cq + p.cq_off.tail);
    ring.cq_mask = p.cq_entries - 1;
    ring.cqes = (const struct io_uring_cqe *)(cq + p.cq_off.cqes);
    /* The kernel's indirection is not used: place i of the ring is always entry i. */
    for (unsigned int i = 0; i < p.sq_entries; i++)
        ((unsigned int *)(sq + p.sq_off.array))[i] = i;
    poll_napis(&ring, options, tracking);
    return ring;
}

static int enter(struct uring *ring, unsigned int wait_for)
{
    const long done = syscall(SYS_io_uring_enter, ring->fd, ring->unsubmitted, wait_for,
                              IORING_ENTER_GETEVENTS, NULL, 0);

    if (done >= 0) {
        ring->unsubmitted -= (unsigned int)done;
        return 0;
    }
    if (errno != EINTR && errno != EAGAIN && errno != EBUSY)
        fail("wait for completions", "io_uring", errno);
    return -1;
}

void uring_make_room(struct uring *ring)
{
    while (ring->unsubmitted + URING_ROOM > ring->sq_entries)
        (void)enter(ring, 0);
}

struct io_uring_sqe *uring_request(struct uring *ring)
{
    const unsigned int tail = *ring->sq_tail;
    struct io_uring_sqe *entry = &ring->sqes[tail & ring->sq_mask];

    memset(entry, 0, sizeof *entry);
    /* The kernel looks at it only when we enter. */
    atomic_store_explicit((_Atomic unsigned int *)ring->sq_tail, tail + 1, memory_order_release);
    ring->unsubmitted++;
    return entry;
}

int uring_wait(struct uring *ring)
{
    return enter(ring, 1);
}

void uring_provide(const struct uring *ring, const struct uring_buffer *buffers, uint32_t count, uint16_t group)
{
    const struct buffer_ring wanted = {
        .address = (uint64_t)(uintptr_t)buffers, .entries = count, .group = group};

    if (syscall(SYS_io_uring_register, ring->fd, REGISTER_BUFFERS, &wanted, 1) != 0)
        refuse("provide buffers");
}

bool uring_completion(struct uring *ring, uint64_t *user_data, int *result, uint32_t *flags)
{
    const unsigned int head = *ring->cq_head;

    if (head == atomic_load_explicit((_Atomic unsigned int *)ring->cq_tail, memory_order_acquire))
        return false;
    *user_data = ring->cqes[head & ring->cq_mask].user_data;
    *result = ring->cqes[head & ring->cq_mask].res;
    *flags = ring->cqes[head & ring->cq_mask].flags;
    atomic_store_explicit((_Atomic unsigned int *)ring->cq_head, head + 1, memory_order_release);
    return true;
}
