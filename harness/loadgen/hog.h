/* The hog mode: threads that load their CPUs to a declared share of the time. */
#ifndef POLLBENCH_HOG_H
#define POLLBENCH_HOG_H

#include <stddef.h>
#include <stdint.h>

enum hog_kind { HOG_SPIN, HOG_SYSCALL, HOG_CACHE };

/* The work of one thread, done in portions of about a microsecond. */
struct hog_work {
    enum hog_kind kind;
    uint64_t state;  /* spin: of a random number generator */
    uint32_t *lines; /* cache: one entry per cache line; a random cycle through all of them */
    size_t line_count, at;
};

struct hog_work hog_work_make(enum hog_kind kind, size_t working_set, uint64_t seed);
void hog_work_portion(struct hog_work *work);
void hog_work_free(struct hog_work *work);

int hog_main(int argc, char **argv);

#endif
