/* Maps what the harness wrote for a helper, and opens sockets in the namespaces that it names. */
#include "mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "events.h"

const char *mapped_file(const char *path, size_t *bytes)
{
    struct stat facts;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &facts) != 0)
        fail("read", path, errno);
    *bytes = (size_t)facts.st_size;
    const char *data = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);

    if (data == MAP_FAILED)
        fail("read", path, errno);
    close(fd);
    return data;
}

int mapped_socket(const char *netns, int family, int type, int protocol)
{
    const int fd = open(netns, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
        fail("enter the namespace", netns, errno);
    close(fd);
    const int sock = socket(family, type | SOCK_CLOEXEC, protocol);

    if (sock < 0)
        fail("open a socket in the namespace", netns, errno);
    return sock;
}
