/* Applies the launch options to this process and ties its life to its parent's. */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cpulist.h"
#include "events.h"
#include "options.h"

#define UNSET INT64_MIN
#define PRIORITY_MAX 99
/* Also root is refused in a group of version 1 without a share, which a new one has not: CONFIG_RT_GROUP_SCHED. */
#define NO_REAL_TIME \
    "Operation not permitted; it needs CAP_SYS_NICE and, in a control group of the cpu controller, " \
    "a real-time share (cpu.rt_runtime_us)"

static const char *const policy_names[] = {"other", "batch", "idle", "fifo", "rr", NULL};
static const int policies[] = {SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_FIFO, SCHED_RR};

static bool is_realtime(int64_t policy)
{
    return policy != UNSET && (policies[policy] == SCHED_FIFO || policies[policy] == SCHED_RR);
}

/* A killed harness must not leave us behind, nor must its Ctrl-C reach us: the harness decides the order in
 * which things end. The kernel sends the death signal when the thread that started us ends. */
static void tie_to_parent(int64_t declared)
{
    /* Only who started us knows its pid for sure: by now our parent may already be somebody else. */
    const pid_t parent = declared == UNSET ? getppid() : (pid_t)declared;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        fail("ask to die with the parent", NULL, errno);
    if (getppid() != parent) /* it died before we asked */
        _exit(1);
    /* A session leader already leads its group, and may not be asked to. */
    if (setpgid(0, 0) != 0 && getpgrp() != getpid())
        fail("lead a process group", NULL, errno);
    signal(SIGINT, SIG_IGN);
}

/* Before anything is started, so that whatever descends from us is in the group too, wherever it goes. */
static void enter_cgroup(const char *procs)
{
    const int fd = open(procs, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "0", 1) != 1) /* 0: whoever writes */
        fail("enter the control group", procs, errno);
    close(fd);
}

static void enter_namespace(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
        fail("enter the network namespace", path, errno);
    close(fd);
}

static void set_policy(int64_t policy, int64_t priority)
{
    const struct sched_param parameters = {.sched_priority = (int)priority};

    if (sched_setscheduler(0, policies[policy], &parameters) == 0)
        return;
    if (errno == EPERM && is_realtime(policy))
        fail_saying("set the scheduling policy", policy_names[policy], NO_REAL_TIME);
    fail("set the scheduling policy", policy_names[policy], errno);
}

static void set_nice(int64_t nice_level)
{
    if (setpriority(PRIO_PROCESS, 0, (int)nice_level) != 0)
        fail("set the nice level", NULL, errno);
}

int launch(int argc, char **argv)
{
    const char *cgroup = NULL;
    const char *netns = NULL;
    const char *cpus = NULL;
    int64_t policy = UNSET;
    int64_t priority = 0;
    int64_t nice_level = UNSET;
    int64_t parent = UNSET;
    struct option_spec table[] = {
        {.name = "--parent", .number = &parent, .low = 1, .high = INT32_MAX},
        {.name = "--cgroup", .text = &cgroup},
        {.name = "--netns", .text = &netns},
        {.name = "--cpus", .text = &cpus},
        {.name = "--policy", .number = &policy, .choices = policy_names},
        {.name = "--priority", .number = &priority, .low = 0, .high = PRIORITY_MAX},
        {.name = "--nice", .number = &nice_level, .low = -20, .high = 19},
    };
    const int mode = options_parse(table, OPTION_COUNT(table), argc, argv);

    if (is_realtime(policy) != (priority > 0))
        fail_usage("--priority", "goes with --policy fifo or rr, from 1 to 99");
    tie_to_parent(parent);
    if (cgroup != NULL)
        enter_cgroup(cgroup);
    if (netns != NULL)
        enter_namespace(netns);
    if (nice_level != UNSET)
        set_nice(nice_level);
    if (policy != UNSET)
        set_policy(policy, priority);
    if (cpus != NULL)
        cpulist_apply(cpus);
    return mode;
}

void launch_lock_memory(void)
{
#ifndef __SANITIZE_ADDRESS__ /* the sanitizer reserves terabytes that must not be made resident */
    /* Best effort: without the privilege a page fault may still disturb a measurement, which is no failure. */
    (void)mlockall(MCL_CURRENT);
#endif
}

void launch_name(const char *name)
{
    (void)prctl(PR_SET_NAME, name);
}

static const char *policy_name(int policy)
{
    for (size_t i = 0; policy_names[i] != NULL; i++)
        if (policies[i] == policy)
            return policy_names[i];
    return "unknown";
}

void launch_readback(void)
{
    struct sched_param parameters = {0};

    sched_getparam(0, &parameters);
    cpulist_event("cpus");
    event_text("policy", policy_name(sched_getscheduler(0)));
    event_int("priority", parameters.sched_priority);
    event_int("nice", getpriority(PRIO_PROCESS, 0));
}
