/* The measured requests: memory that is ready before the measurement, and the file it becomes. */
#ifndef POLLBENCH_SAMPLES_H
#define POLLBENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#define SAMPLE_LOST INT64_C(-1)

/* One request, as it stands in the file (little endian). */
struct sample {
    int64_t send_ns; /* since the start of the measurement */
    int64_t rtt_ns;  /* SAMPLE_LOST: no reply within the timeout */
};

struct samples {
    struct sample *records;
    size_t count, capacity;
    int64_t start_ns, start_realtime_ns; /* CLOCK_MONOTONIC and CLOCK_REALTIME when send_ns was 0 */
};

/* The pace of the warm-up, from which the number of requests to come is estimated. */
struct pace {
    int64_t requests, elapsed_ns;
    int64_t fastest_ns; /* the shortest round trip; INT64_MAX if no request was answered */
};

/* Room for a measurement of `duration_ns` at a good deal more than this pace, resident before it is used. */
struct samples samples_allocate(struct pace pace, int64_t duration_ns);
/* Creates the file at once, so that a bad path is known before anything is measured. */
int samples_create(const char *path);
void samples_write(const struct samples *samples, int file, const char *path);

/* How long the client took from one reply to the next request: how late a closed loop is. */
struct turnaround {
    int64_t p99_ns, max_ns;
};

struct turnaround samples_turnaround(const struct samples *samples);

#endif
