/* Names of hosts that one program knows, and nobody else on the host. */
#ifndef POLLBENCH_NAMES_H
#define POLLBENCH_NAMES_H

/* Has the lines of the file before those of /etc/hosts, for this process and all that it becomes or starts. room: a
 * directory, hidden while this is done. Nothing happens where there is no /etc/hosts. Ends the program on failure. */
void names_know(const char *file, const char *room);

#endif
