/* Reads the CPU time and context switches of this process. */
#include "usage.h"

#include <sys/resource.h>

#include "clock.h"
#include "events.h"

static int64_t to_ns(struct timeval t)
{
    return (int64_t)t.tv_sec * NS_PER_S + (int64_t)t.tv_usec * 1000;
}

static struct usage read_usage(int who, clockid_t clock)
{
    struct rusage kernel;

    getrusage(who, &kernel); /* cannot fail with these arguments */
    return (struct usage){
        .cpu_ns = clock_read_ns(clock),
        .user_ns = to_ns(kernel.ru_utime),
        .system_ns = to_ns(kernel.ru_stime),
        .voluntary = kernel.ru_nvcsw,
        .involuntary = kernel.ru_nivcsw,
    };
}

struct usage usage_now(void)
{
    return read_usage(RUSAGE_SELF, CLOCK_PROCESS_CPUTIME_ID);
}

struct usage usage_thread(void)
{
    return read_usage(RUSAGE_THREAD, CLOCK_THREAD_CPUTIME_ID);
}

struct usage usage_plus(struct usage a, struct usage b)
{
    return usage_between((struct usage){-b.cpu_ns, -b.user_ns, -b.system_ns, -b.voluntary, -b.involuntary}, a);
}

struct usage usage_between(struct usage before, struct usage after)
{
    return (struct usage){
        .cpu_ns = after.cpu_ns - before.cpu_ns,
        .user_ns = after.user_ns - before.user_ns,
        .system_ns = after.system_ns - before.system_ns,
        .voluntary = after.voluntary - before.voluntary,
        .involuntary = after.involuntary - before.involuntary,
    };
}

void usage_event(struct usage usage)
{
    event_object("usage");
    usage_members(usage);
    event_object_end();
}

void usage_members(struct usage usage)
{
    event_int("cpu_ns", usage.cpu_ns);
    event_int("user_ns", usage.user_ns);
    event_int("system_ns", usage.system_ns);
    event_int("voluntary", usage.voluntary);
    event_int("involuntary", usage.involuntary);
}
