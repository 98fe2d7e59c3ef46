/* Replies that the kernel sends from our own memory (MSG_ZEROCOPY), and its word of when it has done with each. */
#ifndef POLLBENCH_ZEROCOPY_H
#define POLLBENCH_ZEROCOPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Replies that may be on their way at once, over all connections of a thread. */
#define ZEROCOPY_SLOTS 32

/* The memory of one reply. Busy: the kernel has not yet said that it has done with the call `id` of the socket. */
struct zerocopy_slot {
    unsigned char *memory;
    int socket;
    uint32_t id;
    bool busy;
};

struct zerocopy {
    struct zerocopy_slot slots[ZEROCOPY_SLOTS];
    size_t at;         /* the slot in use */
    uint32_t *next_id; /* by descriptor: the number of the next call, as the kernel counts them */
    size_t sockets;

    /* Calls, those whose completion came, and those of them whose bytes the kernel copied all the same. */
    int64_t sends, completed, copied;
};

struct zerocopy *zerocopy_make(size_t reply_bytes);
void zerocopy_free(struct zerocopy *zerocopy);
/* Switches it on for a connection; ends the program where the kernel has none. */
void zerocopy_begin(struct zerocopy *zerocopy, int socket);
/* The connection is about to be closed: takes what was said of it, and waits for no more. */
void zerocopy_end(struct zerocopy *zerocopy, int socket);

/* Memory for the next reply. Waits for the kernel to have done with what was there; a connection that holds it for
 * too long is shut down. */
unsigned char *zerocopy_room(struct zerocopy *zerocopy);
/* Sends bytes of that memory. As channel_send(). */
int zerocopy_send(struct zerocopy *zerocopy, int socket, const void *data, size_t bytes, int64_t timeout_ns);
/* Takes the completions that are there: unread they wake whoever waits on the socket, again and again. */
void zerocopy_take(struct zerocopy *zerocopy, int socket);

#endif
