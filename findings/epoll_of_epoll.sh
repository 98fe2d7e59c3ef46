#!/usr/bin/env bash
# EXPECTED: busy polling that is asked of an epoll instance (EPIOCSPARAMS) serves who waits for its events, by whichever way.
# REALITY: it serves epoll_wait on the very instance that holds the sockets. A wait for that instance, by poll(2) or in another epoll
#   instance, sleeps as if nothing were set, also where both have the parameters: all ioctls succeed and read back, no packet is polled.
# WHERE: event loops inside event loops, where a library hands out the epoll descriptor that stands for its own (sd_event_get_fd,
#   uv_backend_fd, wl_event_loop_get_fd) and its program waits for that: the parameters are set on either, or both, and do nothing.
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
import fcntl, os, select, socket, struct, subprocess, sys

COUNT, SET, GET, POLLING = 300, 0x40088A01, 0x80088A02, struct.pack("=IHBB", 20_000, 8, 0, 0)
SEND = f"""import socket, time; sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range({COUNT}): time.sleep(0.001); sender.sendto(b"x", ("10.78.0.2", 9000))"""
cpus = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cpus[-1]})


def polled():
    return int(dict(zip(*(line.split() for line in open("/proc/net/netstat") if line.startswith("TcpExt"))))["BusyPollRxPackets"])


receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("10.78.0.2", 9000))
inner, outer, classic = select.epoll(), select.epoll(), select.poll()
inner.register(receiver, select.EPOLLIN)
outer.register(inner, select.EPOLLIN)
classic.register(inner, select.POLLIN)
for instance in (inner, outer):
    fcntl.ioctl(instance.fileno(), SET, POLLING)
    if fcntl.ioctl(instance.fileno(), GET, bytes(8)) != POLLING:
        sys.exit("behaviour changed: the parameters do not read back")
for label, wait, polls in (
    ("epoll_wait on the instance", lambda: inner.poll(5), True), ("on one that holds it", lambda: outer.poll(5), False),
    ("poll of the instance", lambda: classic.poll(5000), False), ("epoll_wait on the instance", lambda: inner.poll(5), True),
):
    before = polled()
    with subprocess.Popen(["taskset", "-c", str(cpus[0]), "ip", "netns", "exec", "far", sys.executable, "-c", SEND]):
        for _ in range(COUNT):
            if not wait():
                sys.exit("no packet came")
            receiver.recv(64)
    print(f"{label}: {COUNT} datagrams, {polled() - before} busy-polled", flush=True)
    if (polled() > before) != polls:
        sys.exit("behaviour changed")
PY
IN
echo "as described"
