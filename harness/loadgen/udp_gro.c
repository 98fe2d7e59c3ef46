/* Datagrams that the kernel hands over several at once (UDP_GRO). */
#include "udp_gro.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "events.h"

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

void udp_gro_enable(int socket)
{
    const int on = 1;

    if (setsockopt(socket, SOL_UDP, UDP_GRO, &on, sizeof on) != 0)
        fail("set a socket option", "UDP_GRO", errno);
}

ssize_t udp_gro_receive(int socket, void *buffer, size_t size, struct peer *peer, size_t *segment)
{
    _Alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int))];
    struct iovec room = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {
        .msg_name = &peer->address,
        .msg_namelen = sizeof peer->address,
        .msg_iov = &room,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    const ssize_t received = recvmsg(socket, &message, 0);

    if (received < 0)
        return received;
    peer->size = message.msg_namelen;
    *segment = (size_t)received;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        int bytes = 0;

        if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
            continue;
        memcpy(&bytes, CMSG_DATA(c), sizeof bytes);
        if (bytes > 0)
            *segment = (size_t)bytes;
    }
    return received;
}
