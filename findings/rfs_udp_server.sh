#!/usr/bin/env bash
# EXPECTED: RFS steers received packets to the CPU on which their program reads, whatever the protocol: scaling.rst says that
#   recvmsg notes where a flow is read.
# REALITY: that is noted of sockets whose state is ESTABLISHED: TCP, and UDP sockets that called connect(). A UDP server's
#   socket, which answers many peers, is never noted, and none of its packets is steered, though all three settings read back.
# WHERE: DNS, QUIC, memcached over UDP, game servers: RFS is switched on by a guide to tuning, and does nothing for them; RPS does.
set -euo pipefail
[ "$(id -u)" = 0 ] && [ "$(nproc)" -ge 2 ] || { echo "needs root and two CPUs"; exit 1; }
TABLE=/proc/sys/net/core/rps_sock_flow_entries; WAS=$(cat $TABLE); A=rfs-a$$ B=rfs-b$$
trap 'echo $WAS >$TABLE; rm -f /dev/shm/rfs$$.*; ip netns del $A; ip netns del $B' EXIT
ip netns add $A; ip netns add $B
ip link add va netns $A type veth peer name vb netns $B
ip -n $A address add 10.77.0.1/24 dev va; ip -n $A link set va up
ip -n $B address add 10.77.0.2/24 dev vb; ip -n $B link set vb up
echo 1024 >$TABLE
ip netns exec $B sh -c 'echo 1024 >/sys/class/net/vb/queues/rx-0/rps_flow_cnt; cat /sys/class/net/vb/queues/rx-0/rps_flow_cnt' >/dev/null
echo "Linux $(uname -r), $(ip -V | cut -d, -f2), table $(cat $TABLE)"
cat >/dev/shm/rfs$$.py <<'END'
import os, socket, sys
role, kind = sys.argv[1:]
here, there = ("10.77.0.1", "10.77.0.2") if role == "client" else ("10.77.0.2", "10.77.0.1")
os.sched_setaffinity(0, {0 if role == "client" else 1})
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind((here, 7777))
if role == "client":
    sock.connect((there, 7777))
    for _ in range(500):
        sock.send(b"x")
        sock.recv(9)
    sys.exit()
if kind == "tcp":
    sock.listen(1)
    print("ready", flush=True)
    sock = sock.accept()[0]
else:
    if kind == "udp-connected":
        sock.connect((there, 7777))
    print("ready", flush=True)
for _ in range(500):
    data, peer = sock.recvfrom(9)
    sock.send(data) if kind != "udp" else sock.sendto(data, peer)
END
steered() { python3 -c 'print(sum(int(line.split()[9], 16) for line in open("/proc/net/softnet_stat")))'; }
for kind in tcp udp-connected udp; do
    before=$(steered)
    ip netns exec $B python3 /dev/shm/rfs$$.py server $kind >/dev/shm/rfs$$.out & server=$!
    until grep -q ready /dev/shm/rfs$$.out; do sleep 0.05; done
    timeout 60 ip netns exec $A python3 /dev/shm/rfs$$.py client $kind; wait $server; rm /dev/shm/rfs$$.out
    echo "$kind: $(($(steered) - before)) of 500 requests steered to the server's CPU"
done | tee /dev/shm/rfs$$.seen
many() { [ "$(sed -n "s/^$1: \([0-9]*\) .*/\1/p" /dev/shm/rfs$$.seen)" -gt 50 ]; }
if ! many tcp || ! many udp-connected || many udp; then echo "behaviour changed"; exit 1; fi
echo "as described: the socket that is not connected is left where its packets came in"
