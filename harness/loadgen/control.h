/* The harness's commands on standard input: one word per line. */
#ifndef POLLBENCH_CONTROL_H
#define POLLBENCH_CONTROL_H

/* Waits for this line. Ends the program at the end of input, when asked to stop, or on any other line. */
void control_wait(const char *word);
/* Ends the program saying that it was asked to stop while it did this. */
_Noreturn void control_stopped(const char *attempted);

#endif
