/* Reads a CPU list and sets and reads back the affinity of this process. */
#include "cpulist.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "events.h"
#include "options.h"

/* The largest NR_CPUS a kernel can be built with; glibc's cpu_set_t alone stops at 1024. */
#define CPU_LIMIT 8192

union cpu_mask {
    cpu_set_t set;
    unsigned char bytes[CPU_LIMIT / 8];
};

/* Calls add(number, context) for every CPU in the order written. False: this is no list. */
static bool read_list(const char *text, void (*add)(size_t cpu, void *context), void *context)
{
    for (;;) {
        int64_t first;
        int64_t last;

        if (!options_read_number(&text, 0, CPU_LIMIT - 1, &first))
            return false;
        last = first;
        if (*text == '-') {
            text++;
            if (!options_read_number(&text, first, CPU_LIMIT - 1, &last))
                return false;
        }
        for (int64_t cpu = first; cpu <= last; cpu++)
            add((size_t)cpu, context);
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
}

static void add_to_mask(size_t cpu, void *mask)
{
    CPU_SET_S(cpu, sizeof(union cpu_mask), &((union cpu_mask *)mask)->set);
}

static void read_back(union cpu_mask *mask)
{
    CPU_ZERO_S(sizeof *mask, &mask->set);
    if (sched_getaffinity(0, sizeof *mask, &mask->set) != 0)
        fail("read the CPU affinity", NULL, errno);
}

static void confine(const union cpu_mask *wanted, const char *list)
{
    union cpu_mask found;

    if (sched_setaffinity(0, sizeof *wanted, &wanted->set) != 0)
        fail("set the CPU affinity", list, errno);
    /* The kernel drops CPUs it does not have, or that a cgroup forbids, without a word. */
    read_back(&found);
    if (!CPU_EQUAL_S(sizeof found, &wanted->set, &found.set))
        fail_saying("set the CPU affinity", list, "some of these CPUs are not available to this process");
}

void cpulist_apply(const char *list)
{
    union cpu_mask wanted = {.bytes = {0}};

    if (!read_list(list, add_to_mask, &wanted))
        fail_usage("--cpus", "want CPU numbers and ranges, like 0-3,8");
    confine(&wanted, list);
}

/* Counts the CPUs of a list and finds the one at a place. */
struct search {
    size_t count, place, found;
};

static void count_cpu(size_t cpu, void *context)
{
    struct search *search = context;

    if (search->count++ == search->place)
        search->found = cpu;
}

void cpulist_check(const char *list)
{
    struct search search = {0};

    if (!read_list(list, count_cpu, &search))
        fail_usage("--thread-cpus", "want CPU numbers and ranges, like 0-3,8");
}

/* Of this thread. Whoever was not pinned has nothing to restore, and may have been moved by a control group. */
static _Thread_local bool pinned;

void cpulist_pin(const char *list, size_t thread)
{
    struct search search = {0};
    union cpu_mask wanted = {.bytes = {0}};

    (void)read_list(list, count_cpu, &search);
    search = (struct search){.place = thread % search.count};
    (void)read_list(list, count_cpu, &search);
    add_to_mask(search.found, &wanted);
    confine(&wanted, list);
    pinned = true;
}

static union cpu_mask remembered;

void cpulist_remember(void)
{
    read_back(&remembered);
}

void cpulist_restore(void)
{
    if (pinned)
        confine(&remembered, "of the launch");
    pinned = false;
}

void cpulist_event(const char *key)
{
    static int64_t cpus[CPU_LIMIT];
    union cpu_mask mask;
    size_t count = 0;

    read_back(&mask);
    for (size_t cpu = 0; cpu < CPU_LIMIT; cpu++)
        if (CPU_ISSET_S(cpu, sizeof mask, &mask.set))
            cpus[count++] = (int64_t)cpu;
    event_ints(key, cpus, count);
}
