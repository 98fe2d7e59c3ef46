/* The wire mode: when requests and their answers passed a client's devices, of programs that tell nothing. */
#ifndef POLLBENCH_WIRE_H
#define POLLBENCH_WIRE_H

int wire_main(int argc, char **argv);

#endif
