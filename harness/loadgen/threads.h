/* Threads that work side by side and end when asked to stop; where there is only one, it is the main thread. */
#ifndef POLLBENCH_THREADS_H
#define POLLBENCH_THREADS_H

#include <pthread.h>
#include <stddef.h>

/* Runs work(arguments[i]) in a thread each, the first in the main thread, and returns when all have. With one
 * there is no second thread, which would make every system call count references on the shared file table. */
void threads_run(void (*work)(void *argument), void *const *arguments, size_t count);

/* Waits for a thread. Once the program is to stop, wakes it over and over, since it may be about to sleep. */
void threads_join(pthread_t thread);

#endif
