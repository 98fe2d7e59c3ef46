#!/usr/bin/env bash
# EXPECTED: a BPF classifier with direct-action that writes the handle of a class, 1:20, to skb->tc_classid (a u32) selects this class.
# REALITY: the kernel keeps the lower 16 bits of what is written, and takes the major half from the filter's own "classid", which is
#   0 where none was given. 1:20 then becomes 0:20, there is no such class, and HTB sends the packet by its default class (unshaped
#   where there is none), without an error anywhere. With "classid 1:" on the filter, writing 7:20 selects 1:20.
# WHERE: per-cgroup or per-pod rates by tc-bpf: the program loads, its counters rise, `tc filter` shows it in use, and every packet
#   is in the default class.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 1; }; T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
echo "$(uname -r), $(tc -V), python $(python3 -c 'import platform; print(platform.python_version())')"
unshare --net --mount python3 - <<'PY'
import ctypes, os, platform, re, socket, struct, subprocess, sys

BPF, libc = {"x86_64": 321, "aarch64": 280}[platform.machine()], ctypes.CDLL(None, use_errno=True)
LOAD, PIN, SCHED_CLS, TC_CLASSID, STORE, STORE_32, RETURN_0, EXIT = 5, 6, 3, 4 * 18, 0xB4, 0x63, 0xB7, 0x95


def bpf(command, attributes):
    made = libc.syscall(BPF, command, ctypes.create_string_buffer(attributes, 128), 128)
    return made if made >= 0 else sys.exit(f"bpf({command}): {os.strerror(ctypes.get_errno())}")


def program(handle, path):
    """Pin a classifier that says of every packet: tc_classid = handle."""
    steps = ((STORE, 2, 0, handle), (STORE_32, 1 | 2 << 4, TC_CLASSID, 0), (RETURN_0, 0, 0, 0), (EXIT, 0, 0, 0))
    code = ctypes.create_string_buffer(b"".join(struct.pack("<BBhi", *step) for step in steps))
    licence, name = ctypes.create_string_buffer(b"GPL"), ctypes.create_string_buffer(path.encode())
    loaded = bpf(LOAD, struct.pack("IIQQ", SCHED_CLS, len(steps), ctypes.addressof(code), ctypes.addressof(licence)))
    bpf(PIN, struct.pack("QI", ctypes.addressof(name), loaded))


def run(commands):
    return subprocess.run(commands, shell=True, check=True, text=True, capture_output=True).stdout


def packets():
    return {name: int(count) for name, count in re.findall(r"htb (1:\d+).*?\n Sent \d+ bytes (\d+)", run("tc -s class show dev v0"))}


run("mkdir b; mount -t bpf bpf b; ip link add v0 type veth peer name v1; ip link set v0 addrgenmode none; ip link set v1 up; "
    "ip link set v0 up; ip address add 10.78.0.1/24 dev v0; ip neigh add 10.78.0.2 lladdr 02:00:00:00:00:02 dev v0; "
    "tc qdisc add dev v0 root handle 1: htb default 99; "
    "for c in 10 20 99; do tc class add dev v0 parent 1: classid 1:$c htb rate 100mbit; done")
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
CASES = ((0x10020, "", "1:99"), (0x20, "", "1:99"), (0x10020, "classid 1:", "1:20"), (0x70020, "classid 1:", "1:20"))
for number, (handle, given, expected) in enumerate(CASES):
    program(handle, f"b/p{number}")
    run(f"tc filter add dev v0 parent 1: protocol ip prio 1 bpf object-pinned b/p{number} direct-action {given}")
    before = packets()
    for _ in range(10):
        sender.sendto(b"x", ("10.78.0.2", 9))
    took = {name: count - before[name] for name, count in packets().items() if count != before[name]}
    run("tc filter del dev v0 parent 1: prio 1")
    print(f"tc_classid = {handle:#x}, filter {given or 'without a classid'}: {took}")
    if took != {expected: 10}:
        sys.exit(f"behaviour changed: not {expected}")
PY
echo "as described"
