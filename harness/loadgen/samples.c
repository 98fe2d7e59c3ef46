/* Holds the requests of one thread in resident memory. */
#include "samples.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "events.h"

_Static_assert(sizeof(struct sample) == 32, "the memory bound is documented");

static size_t bytes_each(bool stamped)
{
    return sizeof(struct sample) + (stamped ? sizeof(struct stamps) : 0);
}

double samples_affordable(bool stamped)
{
    const double bytes = (double)sysconf(_SC_AVPHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);

    return bytes / 2 / (double)bytes_each(stamped);
}

static void *resident(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (memory == MAP_FAILED)
        fail("reserve memory for samples", NULL, errno);
    (void)mlock(memory, bytes); /* best effort, as in launch_lock_memory */
    return memory;
}

struct samples samples_allocate(double capacity, bool stamped)
{
    struct samples samples = {.capacity = (size_t)capacity};

    if (capacity > samples_affordable(stamped)) {
        char wanted[64];

        snprintf(wanted, sizeof wanted, "%.0f requests, %zu bytes each", capacity, bytes_each(stamped));
        fail_saying("reserve memory for samples", wanted, "more than half of the free memory");
    }
    samples.records = resident(samples.capacity * sizeof(struct sample));
    if (stamped)
        samples.stamps = resident(samples.capacity * sizeof(struct stamps));
    return samples;
}

void samples_free(struct samples *samples)
{
    munmap(samples->records, samples->capacity * sizeof(struct sample));
    if (samples->stamps != NULL)
        munmap(samples->stamps, samples->capacity * sizeof(struct stamps));
    *samples = (struct samples){0};
}
