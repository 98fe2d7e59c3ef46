#!/usr/bin/env bash
# EXPECTED: shaping what comes in, by redirecting the ingress to an IFB device, delays packets and is otherwise not seen by sockets.
# REALITY: a packet that went through an IFB has no NAPI id: where it is kept, sending writes the number of the CPU. From the first
#   such packet on a new UDP socket, and any TCP connection, has the SO_INCOMING_NAPI_ID 0, and SO_BUSY_POLL, which reads back as set,
#   polls nothing at all.
# WHERE: download limits of hosts and routers (SQM, wondershaper), and emulated links that are shaped where they are received: what is
#   measured is that busy polling gains nothing over a slow link, and it is the shaper's doing.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 1; }
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
get() { apt-get -qq -o APT::Sandbox::User=root download ethtool 2>/dev/null; }; get || { apt-get -qq update; get; }
dpkg -x ethtool_*.deb x; export PATH="$PATH:$T/x/sbin:$T/x/usr/sbin"
echo "$(uname -r), $(tc -V), ethtool $(dpkg-deb -f ethtool_*.deb Version)"
unshare --net --mount bash -euo pipefail <<'IN'
mount -t tmpfs run /run; ip netns add far                   # all of it ends with this shell
ip link add v0 type veth peer name v0 netns far
for at in "" "ip netns exec far"; do $at ethtool -K v0 tso off gro on; $at ip link set v0 addrgenmode none up; done
ip address add 10.78.0.2/24 dev v0; ip -n far address add 10.78.0.1/24 dev v0
ip link add ifb0 type ifb; ip link set ifb0 up
until ip link show v0 | grep -q "state UP" && ip -n far link show v0 | grep -q "state UP"; do sleep 0.1; done
cat >look.py <<'PY'
import os, socket, subprocess, sys

COUNT, BUSY_POLL, NAPI_ID, BY_IFB = 300, 46, 56, "parent ffff: protocol ip prio 1 u32 match u32 0 0 action mirred egress redirect dev ifb0"
SEND = f"""import socket, time; sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range({COUNT}): time.sleep(0.001); sender.sendto(b"x", ("10.78.0.2", 9000))"""
cpus = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cpus[-1]})


def polled():
    return int(dict(zip(*(line.split() for line in open("/proc/net/netstat") if line.startswith("TcpExt"))))["BusyPollRxPackets"])


def look(label):
    """Does each packet of a new socket say by which NAPI it came, and were any of them busy-polled?"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("10.78.0.2", 9000))
        receiver.setsockopt(socket.SOL_SOCKET, BUSY_POLL, 20_000)
        before, with_id = polled(), 0
        with subprocess.Popen(["taskset", "-c", str(cpus[0]), "ip", "netns", "exec", "far", sys.executable, "-c", SEND]):
            for _ in range(COUNT):
                receiver.recv(64)
                with_id += receiver.getsockopt(socket.SOL_SOCKET, NAPI_ID) > 0
    print(f"{label}: {with_id} of {COUNT} with a NAPI id, {polled() - before} busy-polled", flush=True)
    return with_id, polled() > before


seen = [look("directly")]
subprocess.run(f"tc qdisc add dev v0 ingress; tc filter add dev v0 {BY_IFB}", shell=True, check=True)
seen.append(look("through the IFB"))
subprocess.run("tc qdisc del dev v0 ingress", shell=True, check=True)
seen.append(look("directly again"))
sys.exit(0 if seen == [(COUNT, True), (0, False), (COUNT, True)] else "behaviour changed")
PY
python3 look.py
IN
echo "as described"
