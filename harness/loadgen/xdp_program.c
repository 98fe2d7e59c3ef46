/* Assembles, loads and attaches the XDP program through bpf(2) itself: it is too small for a compiler or a library. */
#include "xdp_program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "events.h"
#include "xdp_frame.h"

#define QUEUES_MAX 1024
#define INSTRUCTIONS_MAX 48
/* Where things lie in a frame. */
#define AT_ETHERTYPE 12
#define AT_IP_FIRST 14
#define AT_FRAGMENT 20
#define AT_PROTOCOL 23
#define AT_PORT 36
#define IP_FIRST_BYTE 0x45 /* version 4, no options */
#define FRAGMENT_BITS 0x3fff

enum { R0, R1, R2, R3, R4, R5 };

/* A program under way. Jumps to the end are completed when the end is known. */
struct assembly {
    struct bpf_insn code[INSTRUCTIONS_MAX];
    int16_t count;
};

static void emit(struct assembly *a, int code, int target, int source, int offset, int32_t value)
{
    a->code[a->count++] = (struct bpf_insn){
        .code = (uint8_t)code,
        .dst_reg = (uint8_t)(target & 15),
        .src_reg = (uint8_t)(source & 15),
        .off = (int16_t)offset,
        .imm = value,
    };
}

static void load(struct assembly *a, int bytes, int target, int source, int offset)
{
    emit(a, BPF_LDX | BPF_MEM | bytes, target, source, offset, 0);
}

static void set(struct assembly *a, int target, int32_t value)
{
    emit(a, BPF_ALU64 | BPF_MOV | BPF_K, target, 0, 0, value);
}

/* To the end unless the frame has this value there. */
static void require(struct assembly *a, int bytes, int offset, int32_t value)
{
    load(a, bytes, R5, R2, offset);
    emit(a, BPF_JMP | BPF_JNE | BPF_K, R5, 0, 0, value);
}

static void finish(struct assembly *a)
{
    for (int16_t i = 0; i < a->count; i++) {
        const int kind = a->code[i].code;

        if (kind == (BPF_JMP | BPF_JNE | BPF_K) || kind == (BPF_JMP | BPF_JGT | BPF_X))
            a->code[i].off = (int16_t)(a->count - i - 1);
    }
    set(a, R0, XDP_PASS);
    emit(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static struct assembly assemble(int map, uint16_t port)
{
    struct assembly a = {0};

    load(&a, BPF_W, R2, R1, offsetof(struct xdp_md, data));
    load(&a, BPF_W, R3, R1, offsetof(struct xdp_md, data_end));
    emit(&a, BPF_ALU64 | BPF_MOV | BPF_X, R4, R2, 0, 0);
    emit(&a, BPF_ALU64 | BPF_ADD | BPF_K, R4, 0, 0, XDP_HEAD_BYTES);
    emit(&a, BPF_JMP | BPF_JGT | BPF_X, R4, R3, 0, 0);
    require(&a, BPF_H, AT_ETHERTYPE, htons(ETHERTYPE_IP));
    require(&a, BPF_B, AT_IP_FIRST, IP_FIRST_BYTE);
    require(&a, BPF_B, AT_PROTOCOL, IPPROTO_UDP);
    require(&a, BPF_H, AT_PORT, port);
    load(&a, BPF_H, R5, R2, AT_FRAGMENT);
    emit(&a, BPF_ALU64 | BPF_AND | BPF_K, R5, 0, 0, htons(FRAGMENT_BITS));
    emit(&a, BPF_JMP | BPF_JNE | BPF_K, R5, 0, 0, 0);
    load(&a, BPF_W, R2, R1, offsetof(struct xdp_md, rx_queue_index));
    emit(&a, BPF_LD | BPF_DW | BPF_IMM, R1, BPF_PSEUDO_MAP_FD, 0, map);
    emit(&a, 0, 0, 0, 0, 0); /* the upper half of the address */
    set(&a, R3, XDP_PASS);   /* where the queue has no socket */
    emit(&a, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map);
    emit(&a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    finish(&a);
    return a;
}

static int bpf(int command, union bpf_attr *attributes)
{
    return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static int make_map(void)
{
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.map_type = BPF_MAP_TYPE_XSKMAP;
    attributes.key_size = attributes.value_size = sizeof(uint32_t);
    attributes.max_entries = QUEUES_MAX;
    const int map = bpf(BPF_MAP_CREATE, &attributes);

    if (map < 0)
        fail("create a map of AF_XDP sockets", NULL, errno);
    return map;
}

static int load_program(int map, uint16_t port)
{
    const struct assembly a = assemble(map, port);
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_XDP;
    attributes.expected_attach_type = BPF_XDP;
    attributes.insns = (uint64_t)(uintptr_t)a.code;
    attributes.insn_cnt = (uint32_t)a.count;
    attributes.license = (uint64_t)(uintptr_t) "GPL";
    const int program = bpf(BPF_PROG_LOAD, &attributes);

    if (program < 0)
        fail("load the XDP program", NULL, errno);
    return program;
}

static void add_socket(int map, int64_t queue, int socket)
{
    const uint32_t key = (uint32_t)queue, value = (uint32_t)socket;
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.map_fd = (uint32_t)map;
    attributes.key = (uint64_t)(uintptr_t)&key;
    attributes.value = (uint64_t)(uintptr_t)&value;
    if (bpf(BPF_MAP_UPDATE_ELEM, &attributes) != 0)
        fail("put the AF_XDP socket into its map", NULL, errno);
}

static int link_to(int interface, int program, uint32_t flags)
{
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.link_create.prog_fd = (uint32_t)program;
    attributes.link_create.target_ifindex = (uint32_t)interface;
    attributes.link_create.attach_type = BPF_XDP;
    attributes.link_create.flags = flags;
    return bpf(BPF_LINK_CREATE, &attributes);
}

struct xdp_program xdp_program_attach(int interface, const char *name, int64_t queue, int socket, uint16_t port)
{
    struct xdp_program made = {.map = make_map()};

    made.program = load_program(made.map, port);
    add_socket(made.map, queue, socket);
    made.link = link_to(interface, made.program, XDP_FLAGS_DRV_MODE);
    made.native = made.link >= 0;
    if (made.link < 0 && errno != EBUSY && errno != EEXIST)
        made.link = link_to(interface, made.program, XDP_FLAGS_SKB_MODE);
    if (made.link < 0)
        fail("put the XDP program on an interface", name, errno);
    return made;
}

void xdp_program_detach(struct xdp_program *program)
{
    close(program->link);
    close(program->program);
    close(program->map);
}
