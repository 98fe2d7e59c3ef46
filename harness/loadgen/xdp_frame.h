/* UDP over IPv4 in Ethernet frames, as an AF_XDP socket sends and receives them: no kernel adds a header here. */
#ifndef POLLBENCH_XDP_FRAME_H
#define POLLBENCH_XDP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XDP_MAC_BYTES 6
#define XDP_HEAD_BYTES 42 /* Ethernet 14, IPv4 without options 20, UDP 8 */
#define XDP_PACKET_HEAD_BYTES 28 /* those that count against an MTU */
/* The largest payload of a datagram that one frame of Ethernet's 1500 bytes holds. */
#define XDP_PAYLOAD_MAX 1472

/* Where a frame comes from and goes to; addresses and ports as they lie in the frame. */
struct xdp_path {
    uint8_t source_mac[XDP_MAC_BYTES], target_mac[XDP_MAC_BYTES];
    uint32_t source, target;
    uint16_t source_port, target_port;
};

/* A frame's datagram: its payload, within the frame, and *path. NULL: it holds no whole datagram. The UDP checksum is
 * not looked at: what comes from this host's own stack by a virtual link has none yet. */
const unsigned char *xdp_frame_read(const unsigned char *frame, size_t bytes, struct xdp_path *path, size_t *size);
/* Writes headers with their checksums, and the payload, of at most XDP_PAYLOAD_MAX bytes. Returns the frame's bytes. */
size_t xdp_frame_write(unsigned char *frame, const struct xdp_path *path, const void *payload, size_t size);
/* The way back. */
struct xdp_path xdp_path_back(const struct xdp_path *path);

#endif
