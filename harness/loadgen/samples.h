/* The requests of one thread: memory that is ready before the measurement. */
#ifndef POLLBENCH_SAMPLES_H
#define POLLBENCH_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAMPLE_LOST INT64_C(-1)
#define SAMPLE_PENDING INT64_MIN /* latency_ns of a request that waits for its reply */

/* One request, 32 bytes. It goes into the record when it is sent, so nothing sent can be forgotten. */
struct sample {
    int64_t intended_ns; /* CLOCK_MONOTONIC */
    int64_t latency_ns;  /* reply - intended; SAMPLE_LOST: none within the timeout */
    int64_t sent_ns;     /* CLOCK_MONOTONIC */
    uint32_t connection;
    uint32_t unused;
};

/* With phases, or the server's own with times: the stamps between sending and reply, CLOCK_MONOTONIC; 0: unknown. */
struct stamps {
    int64_t scheduled_ns; /* request: client's packet scheduler; of departure times, when it left */
    int64_t server_kernel_ns, server_received_ns, server_sent_ns; /* server: kernel, recv(), send() */
    int64_t server_scheduled_ns;                              /* reply: server's packet scheduler */
    int64_t kernel_ns;                                        /* reply: client's kernel */
    int64_t server_tid;
};

struct samples {
    struct sample *records;
    struct stamps *stamps; /* runs parallel to `records`; NULL without either */
    size_t count, capacity;
};

/* Room for so many requests, resident before it is used: 32 bytes for each (88 with stamps), so that 60 s at
 * 500,000 requests/s take 960 MB. Ends the program where that is more than half of the free memory. */
struct samples samples_allocate(double capacity, bool stamped);
/* How many requests fit into half of the free memory. */
double samples_affordable(bool stamped);
void samples_free(struct samples *samples);

#endif
