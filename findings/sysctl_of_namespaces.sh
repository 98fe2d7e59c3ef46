#!/usr/bin/env bash
# EXPECTED: to set a sysctl in a new network namespace costs the same in the first as in the two thousandth: each has a table of
#   its own, and a path of four names is looked up in microseconds.
# REALITY: it takes longer the more namespaces have had one looked up before, and are still there: the first lookup of `net`
#   below /proc/sys walks the entries of all of them, for they have one parent and one name and so one place in the kernel's hash
#   of names. In the 2,000th it takes some fifty times what it takes in the first (with 5,000, 11 ms). Below a mount of proc
#   of one's own nothing has been looked up before, and it takes what it took in the first.
# WHERE: hosts and testbeds with thousands of namespaces (containers, Mininet, network emulators): setting disable_ipv6 or
#   ip_forward, which each does on its start, grows with the square of their number, and is sys time that no profile explains.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
echo "Linux $(uname -r), $(python3 --version), $(uname -m)"
cat >"$place/look.py" <<'PY'
import ctypes, os, platform, statistics, sys, time

NEWNET, NEWNS, COUNT, SOME = 0x40000000, 0x00020000, 2000, 100
UNSHARE, FSOPEN, FSCONFIG, FSMOUNT = {"x86_64": 272, "aarch64": 97}[platform.machine()], 430, 431, 432
libc = ctypes.CDLL(None, use_errno=True)


def call(*arguments):
    got = libc.syscall(*arguments)
    if got < 0:
        sys.exit(f"system call {arguments[0]}: {os.strerror(ctypes.get_errno())} (root, and Linux 5.8, are needed)")
    return got


def own_proc():
    """A proc that is mounted nowhere else: a descriptor of its root."""
    made = call(FSOPEN, b"proc", 0)
    call(FSCONFIG, made, 6, None, None, 0)
    return call(FSMOUNT, made, 0, 0)


def lookup_us(root):
    begun = time.perf_counter()
    os.close(os.open("sys/net/ipv4/ip_forward", os.O_RDONLY, dir_fd=root))
    return 1e6 * (time.perf_counter() - begun)


kept, shared, took, apart = [], own_proc(), [], []
for number in range(COUNT):
    call(UNSHARE, NEWNET)
    kept.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
    took.append(lookup_us(shared))
    if number % (COUNT // SOME) == 0:
        fresh = own_proc()
        apart.append(lookup_us(fresh))
        os.close(fresh)
first, last = (statistics.median(part) for part in (took[:SOME], took[-SOME:]))
print(f"of {COUNT} namespaces: a sysctl of the first {SOME} {first:.0f} us, of the last {SOME} {last:.0f} us (medians)")
print(f"below a proc of its own: {statistics.median(apart[:SOME // 4]):.0f} us in the first, {statistics.median(apart[-SOME // 4:]):.0f} us in the last")
if last < 5 * first or statistics.median(apart[-SOME // 4:]) > last / 5:
    sys.exit("behaviour changed: it does not grow with the number of namespaces, or a proc of one's own does not help")
PY
python3 "$place/look.py"
