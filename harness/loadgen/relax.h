/* Tells the CPU that this is a spin-wait: its sibling thread, or another virtual CPU, may have the time. */
#ifndef POLLBENCH_RELAX_H
#define POLLBENCH_RELAX_H

/* Where virtual CPUs take turns on one thread, a spinner without it keeps its turn until the next timer. */
static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#endif
