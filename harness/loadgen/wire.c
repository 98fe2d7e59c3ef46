/* Notes of the packets between a client's node and one port when each passed, and what it takes to pair them. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "events.h"
#include "launch.h"
#include "options.h"
#include "stop.h"
#include "tap.h"

/* The headers of IP and TCP at their longest, as far as they are read. */
enum { SNAP_BYTES = 128, MOST_DEVICES = 64, CODE_ROOM = MOST_DEVICES + 32 };
enum { IP6_NEXT = 6, IP6_BYTES = 40, UDP_BYTES = 8, TCP_BYTES = 20 };
enum { TCP_SEQ = 4, TCP_ACK = 8, TCP_OFFSET = 12, TCP_FLAGS = 13, TCP_SYN = 2 };

/* As the harness reads it. */
struct record {
    uint64_t at_ns, flow;
    uint32_t seq, ack, payload; /* of TCP; of UDP 0, 0 and the bytes of the datagram */
    uint8_t outbound, opens, unused[2]; /* opens: a connection begins here */
};

_Static_assert(sizeof(struct record) == 32, "the harness has 32 bytes");

struct notes {
    struct record *records;
    size_t most, used;
    uint64_t beyond; /* packets for which there was no room */
    uint16_t port;
    bool tcp;
};

/* Packets of these devices with this port at either end; of a datagram in fragments the first one. The numbers at the
 * end of a jump are how many steps it goes over, where the test holds and where not. */
static unsigned short write_filter(struct sock_filter *code, const uint32_t *devices, size_t count, uint32_t protocol,
                                   uint32_t port)
{
    const uint32_t ancillary = (uint32_t)SKF_AD_OFF;
    const struct sock_filter refuse = BPF_STMT(BPF_RET | BPF_K, 0), take = BPF_STMT(BPF_RET | BPF_K, SNAP_BYTES);
    const struct sock_filter rest[] = {
        refuse,
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ancillary + SKF_AD_PROTOCOL),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 11),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct iphdr, protocol)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, protocol, 0, 8),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct iphdr, frag_off)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, IP_OFFMASK, 6, 0),
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 2, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
        take,
        refuse,
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 7),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP6_NEXT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, protocol, 0, 5),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, IP6_BYTES),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 2, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, IP6_BYTES + 2),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
        take,
        refuse,
    };

    code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ancillary + SKF_AD_IFINDEX);
    for (size_t i = 0; i < count; i++)
        code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, devices[i], (uint8_t)(count - i), 0);
    memcpy(code + 1 + count, rest, sizeof rest);
    return (unsigned short)(1 + count + sizeof rest / sizeof rest[0]);
}

static uint32_t word(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return ntohl(value);
}

static uint16_t half(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint64_t mixed(uint64_t sum, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        sum = (sum ^ data[i]) * UINT64_C(1099511628211); /* FNV-1a */
    return sum;
}

/* Names a connection by both its addresses and the client's port, whichever way the packet goes. */
static uint64_t flow_of(const uint8_t *addresses, size_t each, bool outbound, const uint8_t *ports)
{
    uint64_t sum = UINT64_C(14695981039346656037);

    sum = mixed(sum, addresses + (outbound ? 0 : each), each);
    sum = mixed(sum, addresses + (outbound ? each : 0), each);
    return mixed(sum, ports + (outbound ? 0 : 2), 2);
}

static void keep(const struct tap_packet *packet, void *where)
{
    struct notes *notes = where;
    const uint8_t *ip = packet->data;
    const bool six = ip[0] >> 4 == 6;
    const size_t head = six ? IP6_BYTES : (size_t)(ip[0] & 15) * 4, each = six ? 16 : 4;
    const size_t own = notes->tcp ? TCP_BYTES : UDP_BYTES;
    const uint8_t *in = ip + head;

    /* The port at the far end is the server's; the client may have the same. */
    if (packet->kept < head + own || half(in + (packet->outbound ? 2 : 0)) != notes->port)
        return;
    /* Packets that the device will cut into segments may be too long for IP's own field, which is 0 then. */
    const uint32_t told = six ? half(ip + 4) : half(ip + 2);
    const uint32_t length = told == 0 ? packet->length : told + (six ? IP6_BYTES : 0);
    const uint32_t heads = (uint32_t)head + (notes->tcp ? (uint32_t)(in[TCP_OFFSET] >> 4) * 4 : UDP_BYTES);
    const uint32_t payload = length > heads ? length - heads : 0;
    const bool opens = notes->tcp && packet->outbound && (in[TCP_FLAGS] & TCP_SYN) != 0;

    if (notes->tcp && payload == 0 && !opens)
        return;
    if (notes->used == notes->most) {
        notes->beyond++;
        return;
    }
    notes->records[notes->used++] = (struct record){
        .at_ns = packet->at_ns,
        .flow = flow_of(ip + (six ? 8 : 12), each, packet->outbound, in),
        .seq = notes->tcp ? word(in + TCP_SEQ) : 0,
        .ack = notes->tcp ? word(in + TCP_ACK) : 0,
        .payload = payload,
        .outbound = packet->outbound,
        .opens = opens,
    };
}

static size_t read_devices(const char *text, uint32_t *devices)
{
    size_t count = 0;
    int64_t number;

    for (bool more = true; more; more = *text == ',', text += more) {
        if (count == MOST_DEVICES || !options_read_number(&text, 1, INT32_MAX, &number))
            fail_usage("--devices", "want numbers of devices, by commas");
        devices[count++] = (uint32_t)number;
    }
    if (*text != '\0')
        fail_usage("--devices", "want numbers of devices, by commas");
    return count;
}

static void write_notes(const char *path, const struct notes *notes, uint64_t missed)
{
    FILE *out = fopen(path, "wb");
    const bool good = out != NULL && fwrite(notes->records, sizeof *notes->records, notes->used, out) == notes->used;

    if (!good || fclose(out) != 0)
        fail("write what passed", path, errno);
    event_begin("result");
    event_int("packets", (int64_t)notes->used);
    event_int("beyond", (int64_t)notes->beyond);
    event_int("missed", (int64_t)missed);
    event_object("readback");
    launch_readback();
    event_object_end();
    event_end();
}

int wire_main(int argc, char **argv)
{
    static const char *const protocols[] = {"udp", "tcp", NULL};
    const char *netns = NULL, *listed = NULL, *path = NULL;
    int64_t tcp = 0, port = 0, most = 0;
    struct option_spec options[] = {
        {.name = "--in", .text = &netns, .required = true},
        {.name = "--devices", .text = &listed, .required = true},
        {.name = "--protocol", .number = &tcp, .choices = protocols, .required = true},
        {.name = "--port", .number = &port, .low = 1, .high = UINT16_MAX, .required = true},
        {.name = "--records", .text = &path, .required = true},
        {.name = "--most", .number = &most, .low = 1, .high = INT32_MAX, .required = true},
    };
    uint32_t devices[MOST_DEVICES];
    struct sock_filter code[CODE_ROOM];

    if (options_parse(options, OPTION_COUNT(options), argc, argv) < argc)
        fail_usage("wire", "takes options only");
    const size_t count = read_devices(listed, devices);
    const uint32_t protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP;
    struct notes notes = {
        .records = malloc((size_t)most * sizeof *notes.records), /* memory comes with the packets */
        .most = (size_t)most,
        .port = (uint16_t)port,
        .tcp = tcp != 0,
    };

    if (notes.records == NULL)
        fail("reserve memory for what passes", NULL, ENOMEM);
    stop_on_sigterm();
    launch_name("wire");
    struct tap tap = tap_open(&(struct tap_choice){
        .netns = netns,
        .name = "the client's devices",
        .ifindex = count == 1 ? devices[0] : 0,
        .type = SOCK_DGRAM,
        .filter = {write_filter(code, devices, count, protocol, (uint32_t)port), code},
        .blocks = TAP_MOST_BLOCKS,
    });
    event_begin("ready");
    event_end();
    while (!stop_requested) {
        (void)poll(&(struct pollfd){.fd = tap.sock, .events = POLLIN}, 1, -1);
        tap_drain(&tap, keep, &notes);
    }
    tap_settle();
    tap_drain(&tap, keep, &notes);
    write_notes(path, &notes, tap_close(&tap));
    free(notes.records);
    return EXIT_SUCCESS;
}
