/* The client: connects, warms up, waits for "go", measures, waits for "finish", and reports. */
#include "client.h"

#include <errno.h>
#include <stdlib.h>

#include "client_options.h"
#include "client_report.h"
#include "clock.h"
#include "control.h"
#include "events.h"
#include "launch.h"
#include "samples_file.h"
#include "shift.h"
#include "stop.h"
#include "threads.h"

/* Time for all threads to be there when the schedule starts. */
#define START_NS (2 * NS_PER_MS)

static void announce_warm(const struct shift *shifts, size_t count)
{
    int64_t requests = 0;
    int64_t elapsed_ns = 0;

    for (size_t i = 0; i < count; i++) {
        requests += shifts[i].warm_requests;
        if (shifts[i].warm_ns > elapsed_ns)
            elapsed_ns = shifts[i].warm_ns;
    }
    event_begin("warm");
    event_int("requests", requests);
    event_int("elapsed_ns", elapsed_ns);
    event_end();
}

static void announce(const char *event)
{
    event_begin(event);
    event_end();
}

/* All threads begin together, once all are there. */
static void set_begin(struct shift *shifts, size_t count)
{
    const int64_t begin_ns = clock_now_ns() + (count > 1 ? START_NS : 0);

    for (size_t i = 0; i < count; i++)
        shifts[i].begin_ns = begin_ns;
}

int client_main(int argc, char **argv)
{
    const char *path = NULL;
    const struct load load = client_options_read(argc, argv, &path);
    const size_t count = (size_t)load.threads;
    const int file = samples_file_create(path);
    struct shift *shifts = calloc(count, sizeof *shifts);
    void **arguments = calloc(count, sizeof *arguments);
    struct worker **workers = calloc(count, sizeof *workers);
    int64_t settled = 0;

    if (shifts == NULL || arguments == NULL || workers == NULL)
        fail("reserve memory for threads", NULL, ENOMEM);
    launch_name("client");
    stop_on_sigterm();
    stop_on_stdin_eof();
    for (size_t i = 0; i < count; i++) {
        shifts[i].worker = workers[i] = worker_make(&load, (int64_t)i);
        arguments[i] = &shifts[i];
    }
    threads_run(shift_begin, arguments, count);
    announce("ready");
    threads_run(shift_warm_up, arguments, count);
    for (size_t i = 0; i < count; i++)
        shift_make_room(&shifts[i]);
    launch_lock_memory();
    announce_warm(shifts, count);
    control_wait("go");
    set_begin(shifts, count);
    threads_run(shift_measure, arguments, count);
    announce("done");
    control_wait("finish");
    xsk_detach(workers[0]->connections[0].xsk); /* who reads our result finds the interface as it was */
    samples_file_write(file, path, workers, count);
    for (size_t i = 0; i < count; i++)
        settled += shifts[i].settle_requests;
    client_report(&load, workers, settled);
    for (size_t i = 0; i < count; i++)
        worker_free(workers[i]);
    free(shifts);
    free(arguments);
    free(workers);
    return EXIT_SUCCESS;
}
