/* select() with the manners of ppoll(): fills the sets anew for every wait, as select() demands. */
#include "selecting.h"

#include <errno.h>
#include <sys/select.h>

#include "events.h"

static int fill(const struct pollfd *polled, size_t count, fd_set *read, fd_set *write)
{
    int highest = -1;

    FD_ZERO(read);
    FD_ZERO(write);
    for (size_t i = 0; i < count; i++) {
        const int descriptor = polled[i].fd;

        if (descriptor < 0)
            continue;
        if (descriptor >= FD_SETSIZE)
            fail("wait with select", "it knows descriptors below 1024 only", EINVAL);
        if (polled[i].events & POLLIN)
            FD_SET(descriptor, read);
        if (polled[i].events & POLLOUT)
            FD_SET(descriptor, write);
        highest = descriptor > highest ? descriptor : highest;
    }
    return highest;
}

int select_as_poll(struct pollfd *polled, size_t count, const struct timespec *timeout)
{
    fd_set read, write;
    const int highest = fill(polled, count, &read, &write);
    const int found = pselect(highest + 1, &read, &write, NULL, timeout, NULL);
    int ready = 0;

    if (found < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        polled[i].revents = 0;
        if (polled[i].fd < 0)
            continue;
        if (FD_ISSET(polled[i].fd, &read))
            polled[i].revents |= POLLIN;
        if (FD_ISSET(polled[i].fd, &write))
            polled[i].revents |= POLLOUT;
        ready += polled[i].revents != 0;
    }
    return ready;
}
