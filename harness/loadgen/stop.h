/* How a running mode learns that it must end: SIGTERM, or the end of its standard input. */
#ifndef POLLBENCH_STOP_H
#define POLLBENCH_STOP_H

#include <stdatomic.h>

/* Nonzero once the program must end. Loops read it; signal handlers write it. */
extern atomic_int stop_requested;

/* SIGTERM asks to stop, and SIGPIPE no longer kills. */
void stop_on_sigterm(void);
/* The end of standard input asks to stop as well, noticed without reading it in any loop. */
void stop_on_stdin_eof(void);

#endif
