/* The pages mode: the kernel's trace pages as records of one size. */
#ifndef POLLBENCH_PAGES_H
#define POLLBENCH_PAGES_H

int pages_main(int argc, char **argv);

#endif
