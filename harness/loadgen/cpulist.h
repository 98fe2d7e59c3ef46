/* CPU lists as people write them ("0-3,8"), and the CPU affinity of this process. */
#ifndef POLLBENCH_CPULIST_H
#define POLLBENCH_CPULIST_H

/* Confines this process to exactly these CPUs, or ends the program. */
void cpulist_apply(const char *list);
/* Adds the CPUs this process may run on, as the kernel reports them, to the event being written. */
void cpulist_event(const char *key);

#endif
