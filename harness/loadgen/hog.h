/* The hog mode: threads that load their CPUs to a declared share of the time. */
#ifndef POLLBENCH_HOG_H
#define POLLBENCH_HOG_H

#include <stddef.h>
#include <stdint.h>

enum hog_kind { HOG_SPIN, HOG_SYSCALL, HOG_CACHE, HOG_MEMORY, HOG_NETWORK, HOG_POLLER, HOG_PAUSE };

/* Where the packets of a network hog go, and who answers the first packet of a poller. */
struct hog_peer {
    const char *address;
    int64_t port, busy_poll; /* microseconds */
};

/* The work of one thread, done in portions of about a microsecond. */
struct hog_work {
    enum hog_kind kind;
    uint64_t state;        /* spin: of a random number generator */
    uint32_t *lines;       /* cache: one entry per cache line; a random cycle through all of them */
    unsigned char *memory; /* memory: copied from its one half to the other */
    size_t line_count, at, half;
    int socket; /* network, poller: a connected datagram socket, else -1 */
};

struct hog_work hog_work_make(enum hog_kind kind, size_t working_set, uint64_t seed, const struct hog_peer *peer);
void hog_work_portion(struct hog_work *work);
void hog_work_free(struct hog_work *work);

/* The two kinds that need a link. */
int hog_flow_open(enum hog_kind kind, const struct hog_peer *peer);
void hog_flow_portion(enum hog_kind kind, int socket);

int hog_main(int argc, char **argv);

#endif
