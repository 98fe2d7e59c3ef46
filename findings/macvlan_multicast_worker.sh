#!/usr/bin/env bash
# EXPECTED: a busy-polling receiver of multicast on a macvlan gets its datagrams as those for its own address: by the poll itself.
# REALITY: macvlan hands every multicast and broadcast to a kernel worker (macvlan_process_broadcast), with one macvlan and one
#   member as well: the poll takes the packet off the device, and the datagram arrives when the worker is scheduled. All that
#   is looked at says otherwise: the socket has the NAPI's id, and BusyPollRxPackets counts the packet as polled.
# WHERE: market data, PTP and discovery in containers with a macvlan network: the receiver's own CPU, priority and polling are
#   tuned, and a worker without any decides; it also drops, where 1,000 packets wait (bcqueuelen).
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 1; }; T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
get() { apt-get -qq -o APT::Sandbox::User=root download ethtool 2>/dev/null; }; get || { apt-get -qq update; get; }
dpkg -x ethtool_*.deb x; export PATH="$PATH:$T/x/sbin:$T/x/usr/sbin"
echo "$(uname -r), $(ip -V), ethtool $(dpkg-deb -f ethtool_*.deb Version)"
unshare --net --mount bash -euo pipefail <<'IN'
mount -t tmpfs run /run; ip netns add far; ip netns add box                  # all of it ends with this shell
mkdir t; mount -t tracefs t t; trace=t/instances/macvlan$$; mkdir $trace
trap 'echo 0 >$trace/events/enable; rmdir $trace' EXIT
echo 1 >$trace/events/workqueue/workqueue_execute_start/enable
ip link add v0 type veth peer name v0 netns far
for at in "" "ip netns exec far"; do $at ethtool -K v0 tso off gro on; $at ip link set v0 addrgenmode none up; done
ip -n far address add 10.78.0.1/24 dev v0
ip link add link v0 name m0 netns box type macvlan mode bridge
ip -n box link set m0 addrgenmode none up; ip -n box address add 10.78.0.2/24 dev m0; ip -n box route add 224.0.0.0/4 dev m0
until ip link show v0 | grep -q "state UP" && ip -n far link show v0 | grep -q "state UP"; do sleep 0.1; done
cat >receive.py <<'PY'
import os, socket, subprocess, sys

COUNT, GROUP = 400, "239.9.9.9"
SEND = f"""
import socket, sys, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.78.0.1"))
for _ in range({COUNT}):
    time.sleep(0.001)
    sender.sendto(b"x", (sys.argv[1], 9000))"""
cpus = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cpus[-1]})
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("", 9000))
receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton("10.78.0.2"))
receiver.setsockopt(socket.SOL_SOCKET, 46, 20_000)          # SO_BUSY_POLL, in us
address = GROUP if sys.argv[1] == "group" else "10.78.0.2"
with subprocess.Popen(["taskset", "-c", str(cpus[0]), "nsenter", "--net=/run/netns/far", sys.executable, "-c", SEND, address]):
    ids = {receiver.recv(64) and receiver.getsockopt(socket.SOL_SOCKET, 56) > 0 for _ in range(COUNT)}
sys.exit(0 if ids == {True} else "no NAPI id")
PY
polled() { awk '/^TcpExt/ { for (i = 1; i <= NF; i++) { if (name[i] == "BusyPollRxPackets") print $i; name[i] = $i } }' /proc/net/netstat; }
look() {
    local before; before=$(polled); : >$trace/trace
    ip netns exec box python3 receive.py "$1"
    works=$(grep -c macvlan_process_broadcast $trace/trace || true)
    echo "$2: 400 datagrams with a NAPI id, $(($(polled) - before)) busy-polled, $works runs of the worker"
    [ "$(polled)" -gt "$before" ] || { echo "behaviour changed: none polled"; exit 1; }
}
look own "to its own address"; [ "$works" -le 40 ] || { echo "behaviour changed"; exit 1; }
look group "to its group"; [ "$works" -ge 100 ] || { echo "behaviour changed"; exit 1; }
IN
echo "as described"
