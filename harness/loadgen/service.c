/* Calibrated CPU work. A loop counted beforehand, not one that watches the clock: time in which the scheduler ran
 * something else must not count as work done. */
#include "service.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "events.h"
#include "options.h"
#include "stop.h"

#define ROUNDS 201
#define ROUND_ITERATIONS 50000
#define CHECK_NS 100000
#define SERVICE_MAX_NS (10 * NS_PER_S)

static const char *const kind_names[] = {"none", "fixed", "exp", "bimodal", "clock"};

/* A chain of dependent steps: a wider CPU does not run it any faster. */
static void work(int64_t iterations)
{
    uint64_t state = (uint64_t)iterations;

    for (int64_t i = 0; i < iterations; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        __asm__ volatile("" : "+r"(state)); /* the result is wanted, as far as the compiler knows */
    }
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The median CPU time of so many iterations: calibrating must not count what others ran meanwhile either. */
static int64_t time_of(int64_t iterations)
{
    int64_t rounds[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) {
        const int64_t start = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);

        work(iterations);
        rounds[i] = clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    }
    qsort(rounds, ROUNDS, sizeof rounds[0], compare);
    return rounds[ROUNDS / 2];
}

static int64_t iterations_for(const struct service *service, double ns)
{
    return (int64_t)(ns * service->iterations_per_ns);
}

static void calibrate(struct service *service)
{
    (void)time_of(ROUND_ITERATIONS / 10); /* a CPU that was idle clocks up first */
    service->iterations_per_ns = ROUND_ITERATIONS / (double)time_of(ROUND_ITERATIONS);
    service->check_ns = time_of(iterations_for(service, CHECK_NS));
}

static bool read_ns(const char **text, int64_t *ns)
{
    return options_read_number(text, 0, SERVICE_MAX_NS, ns);
}

static bool read_bimodal(const char *text, struct service *service)
{
    char *end;

    if (!read_ns(&text, &service->ns) || *text++ != ':' || !read_ns(&text, &service->ns2) || *text++ != ':')
        return false;
    service->p = strtod(text, &end);
    return end != text && *end == '\0' && service->p >= 0 && service->p <= 1;
}

static bool read_service(const char *text, struct service *service)
{
    if (strncmp(text, "bimodal:", 8) == 0) {
        service->kind = SERVICE_BIMODAL;
        return read_bimodal(text + 8, service);
    }
    if (strncmp(text, "exp:", 4) == 0)
        service->kind = SERVICE_EXP;
    else if (strncmp(text, "clock:", 6) == 0)
        service->kind = SERVICE_CLOCK;
    else if (strncmp(text, "fixed:", 6) == 0)
        service->kind = SERVICE_FIXED;
    else
        return false;
    text = strchr(text, ':') + 1;
    return read_ns(&text, &service->ns) && *text == '\0';
}

static bool read_stall(const char *text, struct service *service)
{
    return read_ns(&text, &service->stall_ns) && *text++ == ':' && read_ns(&text, &service->stall_period_ns) &&
           *text == '\0' && service->stall_ns < service->stall_period_ns;
}

struct service service_read(const char *service, const char *stall)
{
    struct service result = {.kind = SERVICE_NONE};

    if (service != NULL && !read_service(service, &result))
        fail_usage("--service", "want fixed:NS, exp:NS, clock:NS or bimodal:NS1:NS2:P, NS at most 10 s");
    if (stall != NULL && !read_stall(stall, &result))
        fail_usage("--stall", "want NS:PERIOD_NS, NS below the period");
    if (result.kind != SERVICE_NONE && result.kind != SERVICE_CLOCK)
        calibrate(&result);
    return result;
}

/* Exact on the clock, where counted work is as exact as the CPU's speed is steady: a sibling thread that spins, or
 * a guest's neighbour, changes that by some percent. Time off the CPU counts as work here. */
static void work_by_the_clock(int64_t ns)
{
    const int64_t end = clock_now_ns() + ns;

    while (clock_now_ns() < end)
        continue;
}

int64_t service_work(const struct service *service, struct rng *rng)
{
    double ns = (double)service->ns;

    if (service->kind == SERVICE_NONE)
        return 0;
    if (service->kind == SERVICE_CLOCK) {
        work_by_the_clock(service->ns);
        return service->ns;
    }
    if (service->kind == SERVICE_EXP)
        ns = rng_exponential(rng, ns);
    else if (service->kind == SERVICE_BIMODAL && rng_uniform(rng) <= service->p)
        ns = (double)service->ns2;
    work(iterations_for(service, ns));
    return (int64_t)ns;
}

void service_stall(const struct service *service)
{
    if (service->stall_ns == 0)
        return;
    while (clock_now_ns() % service->stall_period_ns < service->stall_ns && !stop_requested)
        continue;
}

void service_event(const struct service *service, int64_t requested_ns)
{
    if (service->kind == SERVICE_NONE) {
        event_null("service");
        return;
    }
    event_object("service");
    event_text("kind", kind_names[service->kind]);
    event_int("ns", service->ns);
    event_int("ns2", service->ns2);
    event_real("p", service->p);
    event_real("iterations_per_us", service->iterations_per_ns * 1000);
    event_int("check_100us_ns", service->check_ns);
    event_int("requested_ns", requested_ns);
    event_object_end();
}
