/* The queues mode: how full the queueing disciplines of links are, over a time. */
#ifndef POLLBENCH_QUEUES_H
#define POLLBENCH_QUEUES_H

int queues_main(int argc, char **argv);

#endif
