#!/usr/bin/env bash
# EXPECTED: SO_BUSY_POLL is a property of the socket: whoever blocks on it until data comes polls its NAPI.
# REALITY: of TCP, recv (read, recvmsg) does. splice(2) from the same socket sleeps, and so does the same recv once the socket is in
#   a BPF sockmap, without any program attached: both then wait in code that has no polling. SO_BUSY_POLL and SO_INCOMING_NAPI_ID
#   read as before.
# WHERE: relays that splice in a thread for each direction (as pv does from its standard input), and service meshes that put
#   connections in a sockmap to short-cut local ones: the option reads back as set, and the program sleeps for every request.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 1; }; T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
get() { apt-get -qq -o APT::Sandbox::User=root download ethtool 2>/dev/null; }; get || { apt-get -qq update; get; }
dpkg -x ethtool_*.deb x; export PATH="$PATH:$T/x/sbin:$T/x/usr/sbin"
echo "$(uname -r), ethtool $(dpkg-deb -f ethtool_*.deb Version), $(python3 --version)"
unshare --net --mount bash -euo pipefail <<'IN'
mount -t tmpfs run /run; ip netns add far                   # all of it ends with this shell
ip link add v0 type veth peer name v0 netns far
for at in "" "ip netns exec far"; do $at ethtool -K v0 tso off gro on; $at ip link set v0 up; done
ip address add 10.78.0.2/24 dev v0; ip -n far address add 10.78.0.1/24 dev v0
until ip link show v0 | grep -q "state UP" && ip -n far link show v0 | grep -q "state UP"; do sleep 0.1; done
python3 - <<'PY'
import ctypes, os, platform, socket, struct, subprocess, sys

COUNT, BUSY_POLL, NAPI_ID, POLL_US, CREATE, UPDATE, SOCKMAP = 300, 46, 56, 20_000, 0, 2, 15
SEND = f"""import socket, time; sender = socket.create_connection(("10.78.0.2", 9000))
[(time.sleep(0.001), sender.send(b"x")) for _ in range({COUNT})]; sender.recv(1)"""
BPF, libc = {"x86_64": 321, "aarch64": 280}[platform.machine()], ctypes.CDLL(None, use_errno=True)
(ends, into), cpus = os.pipe(), sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, cpus[-1:])


def to_sockmap(sock):
    words = (ctypes.c_uint32 * 2)(0, sock.fileno())         # the key, and the value
    there = libc.syscall(BPF, CREATE, struct.pack("IIII", SOCKMAP, 4, 4, 1), 16)
    update = struct.pack("I4xQQQ", there, ctypes.addressof(words), ctypes.addressof(words) + 4, 0)
    if there < 0 or libc.syscall(BPF, UPDATE, update, len(update)):
        sys.exit(f"a sockmap: {os.strerror(ctypes.get_errno())}")


def polled():
    return int(dict(zip(*(line.split() for line in open("/proc/net/netstat") if line.startswith("TcpExt"))))["BusyPollRxPackets"])


listener = socket.create_server(("10.78.0.2", 9000))
for label, polls in (("recv", True), ("splice", False), ("recv of a socket in a sockmap", False), ("recv", True)):
    with subprocess.Popen(["taskset", "-c", str(cpus[0]), "ip", "netns", "exec", "far", sys.executable, "-c", SEND]):
        taken, sock = 0, listener.accept()[0]
        sock.setsockopt(socket.SOL_SOCKET, BUSY_POLL, POLL_US)
        if "sockmap" in label:
            to_sockmap(sock)
        before = polled()
        while taken < COUNT:
            taken += len(os.read(ends, os.splice(sock.fileno(), into, 64)) if label == "splice" else sock.recv(64))
        came, (option, napi) = polled() - before, (sock.getsockopt(socket.SOL_SOCKET, name) for name in (BUSY_POLL, NAPI_ID))
        del sock
    print(f"{label}: SO_BUSY_POLL {option}, has a NAPI id: {napi > 0}, {came} packets busy-polled")
    if (option, napi > 0, came > 0) != (POLL_US, True, polls):
        sys.exit("behaviour changed")
PY
IN
echo "as described"
