/* Datagrams that the kernel hands over several at once (UDP_GRO), as QUIC servers take them. */
#ifndef POLLBENCH_UDP_GRO_H
#define POLLBENCH_UDP_GRO_H

#include <stddef.h>
#include <sys/types.h>

#include "channel.h"

/* What a receive may bring at most: as much as one datagram could hold. */
#define UDP_GRO_ROOM 65535

/* Switches it on; ends the program where the kernel refuses. */
void udp_gro_enable(int socket);
/* Receives what is there: datagrams of *segment bytes each, of which the last may be shorter. Returns as recvmsg(). */
ssize_t udp_gro_receive(int socket, void *buffer, size_t size, struct peer *peer, size_t *segment);

#endif
