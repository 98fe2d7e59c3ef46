/* What a hog thread does while it is busy: compute, enter the kernel, miss the cache, or move memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "events.h"
#include "hog.h"
#include "relax.h"

#define LINE_BYTES 64
#define WORDS_PER_LINE (LINE_BYTES / sizeof(uint32_t))

/* About a microsecond each on a current CPU: long against the clock reading that follows, short against any
 * period. */
#define SPIN_STEPS 512
#define SYSCALL_STEPS 8
#define PAUSE_STEPS 16
#define CACHE_STEPS 64
#define COPY_BYTES 8192

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One cycle through all lines in random order (Sattolo's shuffle), so that no prefetcher can guess the next
 * and no line is left out. */
static void link_lines(struct hog_work *work)
{
    for (size_t i = 0; i < work->line_count; i++)
        work->lines[i * WORDS_PER_LINE] = (uint32_t)i;
    for (size_t i = work->line_count - 1; i > 0; i--) {
        uint32_t *here = &work->lines[i * WORDS_PER_LINE];
        uint32_t *other = &work->lines[next_random(&work->state) % i * WORDS_PER_LINE];
        const uint32_t swapped = *here;

        *here = *other;
        *other = swapped;
    }
}

static void *reserve(size_t bytes)
{
    void *memory = aligned_alloc(LINE_BYTES, bytes / LINE_BYTES * LINE_BYTES);

    if (memory == NULL)
        fail("reserve memory for the working set", NULL, ENOMEM);
    return memory;
}

struct hog_work hog_work_make(enum hog_kind kind, size_t working_set, uint64_t seed, const struct hog_peer *peer)
{
    struct hog_work work = {.kind = kind, .state = seed, .socket = -1};

    if (kind == HOG_CACHE) {
        work.line_count = working_set / LINE_BYTES;
        work.lines = reserve(working_set);
        link_lines(&work);
    } else if (kind == HOG_MEMORY) {
        work.half = working_set / 2 / LINE_BYTES * LINE_BYTES;
        work.memory = reserve(2 * work.half);
        memset(work.memory, 1, 2 * work.half); /* pages of zeros would all be the same one */
    } else if (kind == HOG_NETWORK || kind == HOG_POLLER) {
        work.socket = hog_flow_open(kind, peer);
    }
    return work;
}

/* One step of a copy of the one half to the other, over and over. */
static void copy_on(struct hog_work *work)
{
    const size_t left = work->half - work->at;
    const size_t bytes = left < COPY_BYTES ? left : COPY_BYTES;

    memcpy(work->memory + work->half + work->at, work->memory + work->at, bytes);
    __asm__ volatile("" : : "r"(work->memory) : "memory"); /* keeps the optimiser from skipping the work */
    work->at = bytes == left ? 0 : work->at + bytes;
}

void hog_work_portion(struct hog_work *work)
{
    switch (work->kind) {
    case HOG_SPIN:
        for (int i = 0; i < SPIN_STEPS; i++) {
            next_random(&work->state);
            __asm__ volatile("" : "+r"(work->state)); /* keeps the optimiser from skipping the work */
        }
        break;
    case HOG_SYSCALL:
        for (int i = 0; i < SYSCALL_STEPS; i++)
            (void)syscall(SYS_getppid); /* nothing is cheaper that still enters the kernel */
        break;
    case HOG_CACHE:
        for (int i = 0; i < CACHE_STEPS; i++) {
            uint32_t *line = &work->lines[work->at * WORDS_PER_LINE];

            line[1]++; /* a write, so that the line is owned and has to be written back */
            work->at = line[0];
        }
        break;
    case HOG_MEMORY:
        copy_on(work);
        break;
    case HOG_PAUSE:
        for (int i = 0; i < PAUSE_STEPS; i++)
            relax();
        break;
    case HOG_NETWORK:
    case HOG_POLLER:
        hog_flow_portion(work->kind, work->socket);
        break;
    }
}

void hog_work_free(struct hog_work *work)
{
    if (work->socket >= 0)
        close(work->socket);
    free(work->memory);
    free(work->lines);
}
