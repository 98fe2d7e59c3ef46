/* What a hog thread does while it is busy: compute, enter the kernel, or miss the cache. */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "events.h"
#include "hog.h"

#define LINE_BYTES 64
#define WORDS_PER_LINE (LINE_BYTES / sizeof(uint32_t))

/* About a microsecond each on a current CPU: long against the clock reading that follows, short against any
 * period. */
#define SPIN_STEPS 512
#define SYSCALL_STEPS 8
#define CACHE_STEPS 64

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

struct hog_work hog_work_make(enum hog_kind kind, size_t working_set, uint64_t seed)
{
    struct hog_work work = {.kind = kind, .state = seed};

    if (kind != HOG_CACHE)
        return work;
    work.line_count = working_set / LINE_BYTES;
    work.lines = aligned_alloc(LINE_BYTES, work.line_count * LINE_BYTES);
    if (work.lines == NULL)
        fail("reserve memory for the working set", NULL, ENOMEM);
    link_lines(&work);
    return work;
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
    }
}

void hog_work_free(struct hog_work *work)
{
    free(work->lines);
}
