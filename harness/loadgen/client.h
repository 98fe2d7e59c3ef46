/* The client mode: a closed loop of requests, measured between two commands on standard input. */
#ifndef POLLBENCH_CLIENT_H
#define POLLBENCH_CLIENT_H

int client_main(int argc, char **argv);

#endif
