#!/usr/bin/env bash
# EXPECTED: with busy polling in epoll (EPIOCSPARAMS, 20 ms) each epoll_wait polls for up to 20 ms before it sleeps, as each blocking
#   recv with SO_BUSY_POLL does: that is the price of an idle server, and why the packet after a pause is still polled.
# REALITY: a poll that ends without a packet makes the instance forget its NAPI. The next epoll_wait, and all after it, sleep at
#   once, until a packet has come by interrupt. EPIOCGPARAMS and SO_INCOMING_NAPI_ID read as before. recv polls in every call.
# WHERE: event loops that wake up for timers, or wait with a short timeout: after one gap between packets longer than the busy-poll
#   time they no longer poll, however often they call epoll_wait; a benchmark of an idle epoll server shows no CPU used.
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
import fcntl, os, select, socket, struct, subprocess, sys, time

SET, BUSY_POLL, POLL_US, WAITS = 0x40088A01, 46, 20_000, 5
SEND = """import socket, sys; sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for line in sys.stdin: sender.sendto(b"x", ("10.78.0.2", 9000))"""
receiver, events = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), select.epoll()
receiver.bind(("10.78.0.2", 9000))
events.register(receiver, select.EPOLLIN)
fcntl.ioctl(events.fileno(), SET, struct.pack("=IHBB", POLL_US, 8, 0, 0))
receiver.setsockopt(socket.SOL_SOCKET, BUSY_POLL, POLL_US)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 0, 100_000))
far = subprocess.Popen(["ip", "netns", "exec", "far", sys.executable, "-c", SEND], stdin=subprocess.PIPE)
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))  # a poll ends as soon as anybody else wants its CPU


def recv():
    try:
        receiver.recv(64)
    except BlockingIOError:                                 # after 0.1 s
        pass


def used(wait):
    before = time.thread_time()
    wait()
    return round(1e3 * (time.thread_time() - before), 1)


for label, wait in (("epoll_wait", lambda: events.poll(0.1)), ("recv", recv), ("epoll_wait", lambda: events.poll(0.1))):
    far.stdin.write(b"\n"), far.stdin.flush(), events.poll(5), receiver.recv(64)
    first, *others = [used(wait) for _ in range(WAITS)]
    print(f"{label}: CPU ms of the first wait after a packet {first}, of the next ones {others}", flush=True)
    if first < 10 or (max(others) > 2 if label == "epoll_wait" else min(others) < 10):
        sys.exit("behaviour changed")
far.stdin.close(), far.wait()
PY
IN
echo "as described"
