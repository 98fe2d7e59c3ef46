/* The links mode: changes the queueing disciplines of links at points in time that were decided before. */
#ifndef POLLBENCH_CHANGES_H
#define POLLBENCH_CHANGES_H

int changes_main(int argc, char **argv);

#endif
