/* What this process or a thread of it has cost: CPU time and context switches. */
#ifndef POLLBENCH_USAGE_H
#define POLLBENCH_USAGE_H

#include <stdint.h>

struct usage {
    int64_t cpu_ns; /* exact; the split below is sampled by the kernel's tick */
    int64_t user_ns, system_ns;
    int64_t voluntary, involuntary; /* context switches */
};

/* Since the process began. */
struct usage usage_now(void);
/* Of the calling thread, since it began. */
struct usage usage_thread(void);
struct usage usage_plus(struct usage a, struct usage b);
struct usage usage_between(struct usage before, struct usage after);
/* Adds a "usage" member to the event being written. */
void usage_event(struct usage usage);
/* Adds its members alone. */
void usage_members(struct usage usage);

#endif
