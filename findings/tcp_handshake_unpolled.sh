#!/usr/bin/env bash
# EXPECTED: a TCP socket with SO_BUSY_POLL polls wherever it would block for a packet: for the handshake as for data.
# REALITY: connect() waits for the SYN-ACK, and accept() for the next client, asleep: 300 connections are nearly as many sleeps and no polled
#   packet at either, with the option set on the client's socket or on the listener. The recv right after polls what has not come yet.
# WHERE: a connection for each request (health checks, HTTP without keep-alive, databases without a pool): the handshake, one of the
#   two round trips of each request, pays interrupt and wake-up as before, and the counter of polled packets looks well all the same.
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
# The far end is on another CPU, as another machine is: else the sender's own CPU answers before connect() waits.
ip netns exec far sh -c 'echo 1 > /sys/class/net/v0/queues/rx-0/rps_cpus'
until ip link show v0 | grep -q "state UP" && ip -n far link show v0 | grep -q "state UP"; do sleep 0.1; done
python3 - <<'PY'
import os, resource, socket, subprocess, sys, time

COUNT, BUSY_POLL, POLL_US, seen = 300, 46, 20_000, {}
# The far end waits before it sends or calls, so that whoever receives or accepts has begun to wait.
SERVE = f"""import socket, time; listener = socket.create_server(("10.78.0.1", 9000))
for _ in range({COUNT}): one = listener.accept()[0]; one.recv(1); time.sleep(0.002); one.send(b"x"); one.recv(1)"""
CALL = f"""import socket, time
for _ in range({COUNT}): time.sleep(0.002); one = socket.create_connection(("10.78.0.2", 9000)); time.sleep(0.002); one.send(b"x"); one.recv(1)"""
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
def far(code):
    return subprocess.Popen(["taskset", "-c", "0", "ip", "netns", "exec", "far", sys.executable, "-c", code])
def counts():
    polled = dict(zip(*(line.split() for line in open("/proc/net/netstat") if line.startswith("TcpExt"))))["BusyPollRxPackets"]
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw, int(polled)
def wait(label, call):
    before, result = counts(), call()
    seen[label] = [old + now - was for old, now, was in zip(seen.get(label, (0, 0)), counts(), before)]
    return result
with far(SERVE):
    time.sleep(1)
    for _ in range(COUNT):
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, BUSY_POLL, POLL_US)
            wait("connect", lambda: one.connect(("10.78.0.1", 9000)))
            one.send(b"x"), wait("recv after connect", lambda: one.recv(1))
listener = socket.create_server(("10.78.0.2", 9000))
listener.setsockopt(socket.SOL_SOCKET, BUSY_POLL, POLL_US)
with far(CALL):
    for _ in range(COUNT):
        with wait("accept", lambda: listener.accept()[0]) as one:
            wait("recv after accept", lambda: one.recv(1)), one.send(b"x")
for label, (sleeps, packets) in seen.items():
    print(f"{label}, {COUNT} times: {sleeps} sleeps, {packets} packets busy-polled")
    if packets < COUNT / 4 if label.startswith("recv") else packets or sleeps < COUNT / 2:
        sys.exit("behaviour changed")
PY
IN
echo "as described"
