/* Asks the kernel for interfaces, free ports and neighbours. ARP stays the kernel's: our program passes it on. */
#include "xdp_ways.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"

/* Nobody listens there: what is sent to it makes the kernel look its neighbour up, and no more. */
#define DISCARD_PORT 9
#define LOOK_NS NS_PER_MS
/* As long as a NIC may negotiate. */
#define LINK_NS (10 * NS_PER_S)

static struct sockaddr_in ipv4_of(const struct endpoint *endpoint)
{
    struct sockaddr_in address;

    if (endpoint->address.ss_family != AF_INET)
        fail_saying("use an AF_XDP socket", endpoint->text, "frames are made over IPv4 only");
    memcpy(&address, &endpoint->address, sizeof address);
    return address;
}

static int datagram_socket(void)
{
    const int made = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (made < 0)
        fail("create a socket", "udp", errno);
    return made;
}

static struct sockaddr_in own_end(int socket)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
    } own = {0};
    socklen_t size = sizeof own;

    if (getsockname(socket, &own.any, &size) != 0)
        fail("read the bound port", NULL, errno);
    return own.v4;
}

static bool has_address(const struct ifaddrs *one, struct in_addr wanted)
{
    struct sockaddr_in address;

    if (one->ifa_addr == NULL || one->ifa_addr->sa_family != AF_INET)
        return false;
    memcpy(&address, one->ifa_addr, sizeof address);
    return address.sin_addr.s_addr == wanted.s_addr;
}

static void find_interface(struct xdp_way *way, struct in_addr own, const char *text)
{
    struct ifaddrs *all;

    if (getifaddrs(&all) != 0)
        fail("list the addresses of interfaces", NULL, errno);
    for (const struct ifaddrs *one = all; one != NULL && way->interface == 0; one = one->ifa_next) {
        if (!has_address(one, own))
            continue;
        strncpy(way->name, one->ifa_name, sizeof way->name - 1);
        way->interface = (int)if_nametoindex(way->name);
    }
    freeifaddrs(all);
    if (way->interface == 0)
        fail_saying("find the interface of an AF_XDP socket", text, "no interface here has this address");
}

static struct xdp_way way_of(int socket, const char *text)
{
    const struct sockaddr_in own = own_end(socket);
    struct xdp_way way = {.path = {.source = own.sin_addr.s_addr, .source_port = own.sin_port}};
    struct ifreq asked = {0};

    find_interface(&way, own.sin_addr, text);
    memcpy(asked.ifr_name, way.name, sizeof asked.ifr_name);
    if (ioctl(socket, SIOCGIFHWADDR, &asked) != 0)
        fail("read the link-layer address of an interface", way.name, errno);
    if (asked.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        fail_saying("use an AF_XDP socket", way.name, "frames are made for Ethernet only");
    memcpy(way.path.source_mac, asked.ifr_hwaddr.sa_data, XDP_MAC_BYTES);
    if (ioctl(socket, SIOCGIFMTU, &asked) != 0)
        fail("read the MTU of an interface", way.name, errno);
    way.mtu = (size_t)asked.ifr_mtu;
    return way;
}

struct xdp_way xdp_way_at(const struct endpoint *at)
{
    const struct sockaddr_in address = ipv4_of(at);
    /* The kernel chooses a port that no socket has; only our program is to know of it, so the socket goes again. */
    const int probe = datagram_socket();

    if (bind(probe, (const struct sockaddr *)&address, sizeof address) != 0)
        fail("bind", at->text, errno);
    const struct xdp_way way = way_of(probe, at->text);

    close(probe);
    return way;
}

static bool neighbour(int socket, struct xdp_way *way, const struct sockaddr_in *to)
{
    struct arpreq asked = {0};

    memcpy(&asked.arp_pa, to, sizeof *to);
    memcpy(asked.arp_dev, way->name, sizeof asked.arp_dev);
    if (ioctl(socket, SIOCGARP, &asked) != 0 || (asked.arp_flags & ATF_COM) == 0)
        return false;
    memcpy(way->path.target_mac, asked.arp_ha.sa_data, XDP_MAC_BYTES);
    return true;
}

static void find_neighbour(int socket, struct xdp_way *way, const struct endpoint *endpoint, int64_t timeout_ns)
{
    const struct timespec pause = clock_from_ns(LOOK_NS);
    const int64_t end_ns = clock_now_ns() + timeout_ns;
    const struct sockaddr_in to = ipv4_of(endpoint);
    struct sockaddr_in discard = to;
    const int asking = datagram_socket();

    discard.sin_port = htons(DISCARD_PORT);
    while (!neighbour(socket, way, &to)) {
        if (clock_now_ns() > end_ns)
            fail_saying("find the neighbour of an AF_XDP socket", endpoint->text,
                        "no answer to ARP: it must be on the same link, without a router between");
        (void)sendto(asking, "", 0, 0, (const struct sockaddr *)&discard, sizeof discard);
        nanosleep(&pause, NULL);
    }
    close(asking);
}

struct xdp_way xdp_way_to(const struct endpoint *to, int64_t timeout_ns)
{
    const struct sockaddr_in address = ipv4_of(to);
    const int probe = datagram_socket();

    if (connect(probe, (const struct sockaddr *)&address, sizeof address) != 0)
        fail("connect", to->text, errno);
    struct xdp_way way = way_of(probe, to->text);

    way.path.target = address.sin_addr.s_addr;
    way.path.target_port = address.sin_port;
    find_neighbour(probe, &way, to, timeout_ns);
    close(probe);
    return way;
}

void xdp_way_await_link(const struct xdp_way *way)
{
    const struct timespec pause = clock_from_ns(LOOK_NS);
    const int64_t end_ns = clock_now_ns() + LINK_NS;
    const int socket = datagram_socket();
    struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
    struct ifreq asked = {.ifr_data = (char *)&link};

    memcpy(asked.ifr_name, way->name, sizeof asked.ifr_name);
    while (ioctl(socket, SIOCETHTOOL, &asked) == 0 && link.data == 0) {
        if (clock_now_ns() > end_ns)
            fail_saying("use an AF_XDP socket", way->name, "the link has not come up again since it has the program");
        nanosleep(&pause, NULL);
    }
    close(socket);
}
