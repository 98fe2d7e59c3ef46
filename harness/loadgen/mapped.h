/* What the harness hands a helper to read: a file mapped whole, and namespaces by their paths in it. */
#ifndef POLLBENCH_MAPPED_H
#define POLLBENCH_MAPPED_H

#include <stddef.h>

#define PATH_BYTES 256

/* The content of a file, for the life of the process. Ends the program where it cannot be read. */
const char *mapped_file(const char *path, size_t *bytes);
/* A socket of another namespace: it stays there when the thread moves on. Ends the program where there is none. */
int mapped_socket(const char *netns, int family, int type, int protocol);

#endif
