/* The client mode: requests in a closed or an open loop, measured between two commands on standard input. */
#ifndef POLLBENCH_CLIENT_H
#define POLLBENCH_CLIENT_H

int client_main(int argc, char **argv);

#endif
