/* Reads and writes Ethernet frames that hold one UDP datagram each. */
#include "xdp_frame.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <string.h>

#define ETHERNET_BYTES sizeof(struct ether_header)
#define IP_BYTES sizeof(struct iphdr)
#define UDP_BYTES sizeof(struct udphdr)
#define FRAGMENT_BITS 0x3fff /* more fragments, and the offset */
#define HOPS 64

_Static_assert(ETHERNET_BYTES + IP_BYTES + UDP_BYTES == XDP_HEAD_BYTES, "headers lie in frames without gaps");

/* Adds up 16-bit words as the Internet checksum does; the sum is folded at the end. */
static uint64_t add_words(uint64_t sum, const void *data, size_t bytes)
{
    const unsigned char *from = data;
    uint16_t word;

    for (; bytes >= sizeof word; bytes -= sizeof word, from += sizeof word) {
        memcpy(&word, from, sizeof word);
        sum += word;
    }
    if (bytes > 0) {
        word = 0;
        memcpy(&word, from, bytes);
        sum += word;
    }
    return sum;
}

static uint16_t folded(uint64_t sum)
{
    while (sum > UINT16_MAX)
        sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)~sum;
}

static uint16_t udp_checksum(const struct iphdr *ip, const struct udphdr *udp, const void *payload, size_t size)
{
    uint64_t sum = add_words(0, &ip->saddr, 2 * sizeof ip->saddr);

    sum += htons(IPPROTO_UDP);
    sum += udp->len;
    sum = add_words(sum, udp, UDP_BYTES);
    const uint16_t checksum = folded(add_words(sum, payload, size));

    return checksum == 0 ? UINT16_MAX : checksum; /* 0 would say that there is none */
}

const unsigned char *xdp_frame_read(const unsigned char *frame, size_t bytes, struct xdp_path *path, size_t *size)
{
    struct ether_header ethernet;
    struct iphdr ip;
    struct udphdr udp;

    if (bytes < XDP_HEAD_BYTES)
        return NULL;
    memcpy(&ethernet, frame, ETHERNET_BYTES);
    memcpy(&ip, frame + ETHERNET_BYTES, IP_BYTES);
    memcpy(&udp, frame + ETHERNET_BYTES + IP_BYTES, UDP_BYTES);
    /* Short frames are padded on the wire, so the headers' lengths count, not the frame's. */
    const size_t packet = ntohs(ip.tot_len), datagram = ntohs(udp.len);

    if (ethernet.ether_type != htons(ETHERTYPE_IP) || ip.version != 4 || ip.ihl != IP_BYTES / 4 ||
        ip.protocol != IPPROTO_UDP || (ip.frag_off & htons(FRAGMENT_BITS)) != 0 ||
        packet > bytes - ETHERNET_BYTES || datagram < UDP_BYTES || packet != IP_BYTES + datagram)
        return NULL;
    memcpy(path->source_mac, ethernet.ether_shost, XDP_MAC_BYTES);
    memcpy(path->target_mac, ethernet.ether_dhost, XDP_MAC_BYTES);
    path->source = ip.saddr;
    path->target = ip.daddr;
    path->source_port = udp.source;
    path->target_port = udp.dest;
    *size = datagram - UDP_BYTES;
    return frame + XDP_HEAD_BYTES;
}

size_t xdp_frame_write(unsigned char *frame, const struct xdp_path *path, const void *payload, size_t size)
{
    struct ether_header ethernet = {.ether_type = htons(ETHERTYPE_IP)};
    struct iphdr ip = {
        .version = 4,
        .ihl = IP_BYTES / 4,
        .tot_len = htons((uint16_t)(IP_BYTES + UDP_BYTES + size)),
        .frag_off = htons(IP_DF),
        .ttl = HOPS,
        .protocol = IPPROTO_UDP,
        .saddr = path->source,
        .daddr = path->target,
    };
    struct udphdr udp = {
        .source = path->source_port, .dest = path->target_port, .len = htons((uint16_t)(UDP_BYTES + size))};

    memcpy(ethernet.ether_shost, path->source_mac, XDP_MAC_BYTES);
    memcpy(ethernet.ether_dhost, path->target_mac, XDP_MAC_BYTES);
    ip.check = folded(add_words(0, &ip, IP_BYTES));
    udp.check = udp_checksum(&ip, &udp, payload, size);
    memcpy(frame, &ethernet, ETHERNET_BYTES);
    memcpy(frame + ETHERNET_BYTES, &ip, IP_BYTES);
    memcpy(frame + ETHERNET_BYTES + IP_BYTES, &udp, UDP_BYTES);
    memcpy(frame + XDP_HEAD_BYTES, payload, size);
    return XDP_HEAD_BYTES + size;
}

struct xdp_path xdp_path_back(const struct xdp_path *path)
{
    struct xdp_path back = {.source = path->target,
                            .target = path->source,
                            .source_port = path->target_port,
                            .target_port = path->source_port};

    memcpy(back.source_mac, path->target_mac, XDP_MAC_BYTES);
    memcpy(back.target_mac, path->source_mac, XDP_MAC_BYTES);
    return back;
}
