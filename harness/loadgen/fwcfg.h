/* What the command line of a guest's QEMU has for it. */
#ifndef POLLBENCH_FWCFG_H
#define POLLBENCH_FWCFG_H

/* Writes a file of QEMU's -fw_cfg option, by its name, to standard output. */
int fwcfg_main(int argc, char **argv);

#endif
