/* The client's command line. */
#ifndef POLLBENCH_CLIENT_OPTIONS_H
#define POLLBENCH_CLIENT_OPTIONS_H

#include "load.h"

/* Reads and checks it all; *samples is the path of the sample file. Ends the program on a bad command line. */
struct load client_options_read(int argc, char **argv, const char **samples);

#endif
