/* Starts threads and joins them. */
#include "threads.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "clock.h"
#include "cpulist.h"
#include "events.h"
#include "stop.h"

#define RETRY_NS (5 * NS_PER_MS)

struct start {
    pthread_t thread;
    void (*work)(void *argument);
    void *argument;
};

static void *begin(void *start)
{
    const struct start *own = start;

    own->work(own->argument);
    return NULL;
}

void threads_join(pthread_t thread)
{
    for (;;) {
        struct timespec retry = clock_from_ns(clock_read_ns(CLOCK_REALTIME) + RETRY_NS);

        if (stop_requested)
            pthread_kill(thread, SIGALRM);
        if (pthread_timedjoin_np(thread, NULL, &retry) == 0)
            return;
    }
}

void threads_run(void (*work)(void *argument), void *const *arguments, size_t count)
{
    struct start *starts = calloc(count, sizeof *starts);

    if (starts == NULL)
        fail("reserve memory for threads", NULL, ENOMEM);
    for (size_t i = 1; i < count; i++) {
        starts[i] = (struct start){.work = work, .argument = arguments[i]};
        const int error = pthread_create(&starts[i].thread, NULL, begin, &starts[i]);

        if (error != 0)
            fail("start a thread", NULL, error);
    }
    cpulist_remember();
    work(arguments[0]);
    cpulist_restore();
    for (size_t i = 1; i < count; i++)
        threads_join(starts[i].thread);
    free(starts);
}
