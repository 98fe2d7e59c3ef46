/* The kernel's software time stamps of packets (SO_TIMESTAMPING), on the clock that everything else here uses. */
#ifndef POLLBENCH_STAMPING_H
#define POLLBENCH_STAMPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "channel.h"

#define STAMPING_ROOM 4096

/* One socket's sent messages whose time stamps have yet to come, oldest first. */
struct stamping {
    bool stream;
    bool departures; /* stamps are wanted of when messages leave, not of when they come to the packet scheduler */
    int64_t kernel_ns;          /* when what was received last came to the kernel's receive path; 0: unknown */
    int64_t realtime_offset_ns; /* CLOCK_REALTIME, which the kernel stamps with, minus CLOCK_MONOTONIC */
    uint32_t next_key;          /* datagrams, or bytes, sent so far */
    uint64_t first, last;       /* sent[first, last) are waited for, indices modulo STAMPING_ROOM */
    struct {
        uint32_t key; /* the kernel's number for it */
        uint64_t sequence;
    } sent[STAMPING_ROOM];
};

/* Turns time stamps on for a socket that has sent nothing yet. Ends the program where the kernel refuses. */
void stamping_begin(struct stamping *stamping, int socket, bool stream, bool departures);

/* CLOCK_REALTIME minus CLOCK_MONOTONIC. It changes only when somebody sets the clock. */
int64_t stamping_clock_offset(void);

/* Notes that the message with this sequence number has been sent. */
void stamping_sent(struct stamping *stamping, uint64_t sequence, size_t bytes);

/* Takes the next time stamp of a sent message: when it came to the packet scheduler, or departed. False: none is
 * there. */
bool stamping_take(struct stamping *stamping, int socket, uint64_t *sequence, int64_t *scheduled_ns);

/* recvfrom() that sets kernel_ns, for a stream to the last packet's. */
ssize_t stamping_receive(struct stamping *stamping, int socket, void *buffer, size_t size, int flags,
                         struct peer *peer);

#endif
