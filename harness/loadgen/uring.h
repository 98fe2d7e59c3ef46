/* As much of io_uring as a server needs, by bare system calls: no library has to be there. */
#ifndef POLLBENCH_URING_H
#define POLLBENCH_URING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>

#include "sockopts.h"

struct uring {
    int fd;
    unsigned int *sq_head, *sq_tail, *cq_head, *cq_tail;
    unsigned int sq_mask, cq_mask, sq_entries;
    struct io_uring_sqe *sqes;
    const struct io_uring_cqe *cqes;
    unsigned int unsubmitted;
    bool follows; /* NAPIs have to be named to it */
};

/* How it knows which NAPIs to poll: those of the sockets that it waits for, or those that are named to it. */
enum uring_tracking { URING_DYNAMIC, URING_STATIC };
extern const char *const uring_tracking_names[];

/* A ring of the calling thread, which alone may use it; it busy-polls as the socket options say. Ends the program,
 * naming what the kernel needs, where it has no io_uring or none that busy-polls. */
struct uring uring_make(const struct sockopts *options, enum uring_tracking tracking);
/* Names it the NAPI of a socket that has received, where it has to be told. False: the socket knows of none yet. */
bool uring_follow(const struct uring *ring, int socket);

/* Makes room for so many requests, by submitting what is there. Not to be called between linked requests. */
#define URING_ROOM 4
void uring_make_room(struct uring *ring);
/* A cleared entry for a request, submitted with the next wait. */
struct io_uring_sqe *uring_request(struct uring *ring);
/* Submits, and waits until something is complete. Returns 0, or -1 with errno EINTR. */
int uring_wait(struct uring *ring);
/* Takes the next completion. False: there is none. */
bool uring_completion(struct uring *ring, uint64_t *user_data, int *result, uint32_t *flags);

/* A buffer that receives may take, in a ring of them: struct io_uring_buf of the kernel, whose first has the tail. */
struct uring_buffer {
    uint64_t address;
    uint32_t bytes;
    uint16_t id, tail;
};

/* Has receives of this group take their buffers from that ring, of a power of two. Ends the program, naming what the
 * kernel needs. */
void uring_provide(const struct uring *ring, const struct uring_buffer *buffers, uint32_t count, uint16_t group);

#endif
