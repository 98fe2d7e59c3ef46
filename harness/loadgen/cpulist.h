/* CPU lists as people write them ("0-3,8"), and the CPU affinity of this process. */
#ifndef POLLBENCH_CPULIST_H
#define POLLBENCH_CPULIST_H

#include <stddef.h>

/* Confines this process to exactly these CPUs, or ends the program. */
void cpulist_apply(const char *list);
/* Ends the program with a usage error for --thread-cpus if this is no list. */
void cpulist_check(const char *list);
/* Confines the calling thread to the CPU at the thread's place in the list, which is gone through in turn. */
void cpulist_pin(const char *list, size_t thread);
/* The main thread does a share of the work, and then gets back the CPUs it was launched on. */
void cpulist_remember(void);
void cpulist_restore(void);
/* Adds the CPUs this process may run on, as the kernel reports them, to the event being written. */
void cpulist_event(const char *key);

#endif
