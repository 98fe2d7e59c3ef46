/* Reads a file that QEMU was given by -fw_cfg, through its ports (docs/specs/fw_cfg of QEMU): the CPU that asks has the
 * answer with the very instruction. Disks and sockets answer in real time, which a guest in model time must not notice. */
#include "fwcfg.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"

#ifdef __x86_64__
#include <sys/io.h>

enum { SELECTOR = 0x510, DATA = 0x511, PORTS = 2 };
enum { SIGNATURE = 0x0000, DIRECTORY = 0x0019 };
enum { SIZE_AT = 0, KEY_AT = 4, NAME_AT = 8, ENTRY_BYTES = 64, CHUNK_BYTES = 4096 };

/* Not insb(): the C library does not tell the compiler that it writes to memory. */
static void take(unsigned char *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = inb(DATA);
}

static uint32_t big_endian(const unsigned char *bytes, size_t count)
{
    uint32_t value = 0;

    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* The size of the file, which is read next; fails when there is none of this name. */
static uint32_t select_file(const char *name)
{
    unsigned char entry[ENTRY_BYTES];

    outw(SIGNATURE, SELECTOR);
    take(entry, 4);
    if (memcmp(entry, "QEMU", 4) != 0)
        fail_saying("ask for a file of fw_cfg", name, "this is no guest of QEMU");
    outw(DIRECTORY, SELECTOR);
    take(entry, 4);
    for (uint32_t left = big_endian(entry, 4); left > 0; left--) {
        take(entry, ENTRY_BYTES);
        if (strncmp((const char *)entry + NAME_AT, name, ENTRY_BYTES - NAME_AT) == 0) {
            outw((unsigned short)big_endian(entry + KEY_AT, 2), SELECTOR);
            return big_endian(entry + SIZE_AT, 4);
        }
    }
    fail("ask for a file of fw_cfg", name, ENOENT);
}

int fwcfg_main(int argc, char **argv)
{
    unsigned char chunk[CHUNK_BYTES];

    if (argc != 1)
        fail_usage("fwcfg", "want the name of a file");
    if (ioperm(SELECTOR, PORTS, 1) != 0)
        fail("open the ports of fw_cfg", argv[0], errno);
    /* Started before the file is there: it says that it is ready, and waits until its input ends. */
    fputc('\n', stdout);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    for (uint32_t left = select_file(argv[0]); left > 0;) {
        const uint32_t count = left < CHUNK_BYTES ? left : CHUNK_BYTES;

        take(chunk, count);
        if (fwrite(chunk, 1, count, stdout) != count)
            fail("write a file of fw_cfg", argv[0], errno);
        left -= count;
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#else

int fwcfg_main(int argc, char **argv)
{
    (void)argc;
    fail("open the ports of fw_cfg", argv[0], ENOSYS);
}

#endif
