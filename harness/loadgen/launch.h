/* How a process of an experiment starts: in which namespace, on which CPUs, under which scheduling policy. */
#ifndef POLLBENCH_LAUNCH_H
#define POLLBENCH_LAUNCH_H

/* Reads the launch options, applies them, and returns the index of the first word after them (the mode). */
int launch(int argc, char **argv);

/* Keeps what is in memory now from being paged out, where the host allows it. */
void launch_lock_memory(void);
/* Names the calling thread, for whoever looks at what runs: its first 15 bytes. Threads that it starts inherit it. */
void launch_name(const char *name);

/* Adds the members cpus, policy, priority and nice, as the kernel reports them, to the event being written. */
void launch_readback(void);

#endif
