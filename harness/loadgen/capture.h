/* The capture mode: the last packets of links, as pcapng files. */
#ifndef POLLBENCH_CAPTURE_H
#define POLLBENCH_CAPTURE_H

int capture_main(int argc, char **argv);

#endif
