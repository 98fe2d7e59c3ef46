#!/usr/bin/env bash
# EXPECTED: iperf3's UDP report says how many datagrams were lost: those sent less those received, as both ends talk at its end.
# REALITY: the receiver takes losses from gaps in the numbers, up to the last datagram that came. What is lost after it is counted
#   nowhere: a link that dies half-way through, and a burst of which a queue keeps the beginning, have "0 (0%)" lost in
#   the receiver's line, in sum_received and in sum, whatever share of the datagrams arrived.
# WHERE: tests of failover, of policers and of short queues judged by lost_percent: the worst of them say 0 %. Only the count of packets
#   of sum_received, beside that of sum_sent, tells.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 1; }; T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
get() { apt-get -qq -o APT::Sandbox::User=root download iperf3=3.12-1+deb12u2 libiperf0=3.12-1+deb12u2 libsctp1 2>/dev/null; }
get || { apt-get -qq update; get; }
for deb in *.deb; do dpkg -x "$deb" x; done
echo "iperf3 $(dpkg-deb -f iperf3_*.deb Version), $(uname -r), $(tc -V)"
LD_LIBRARY_PATH=$(echo "$T"/x/usr/lib/*-linux-gnu) unshare --net --mount bash -euo pipefail <<'IN'
mount -t tmpfs run /run; ip netns add far                   # all of it ends with this shell
ip link add v0 type veth peer name v0 netns far; ip link add other type veth peer name unused
ip link set v0 up; ip -n far link set v0 up; ip link set other up; ip link set unused up
ip address add 10.78.0.1/24 dev v0; ip -n far address add 10.78.0.2/24 dev v0
until ip link show v0 | grep -q "state UP" && ip -n far link show v0 | grep -q "state UP"; do sleep 0.1; done
test_with() { ip netns exec far x/usr/bin/iperf3 -s -1 >/dev/null & sleep 1; x/usr/bin/iperf3 -c 10.78.0.2 -u -l 1000 -J "$@" >report; wait $!; }
lost() {  # says what the report says; fails unless that is no loss although at most $2 percent of the datagrams came
    python3 - "$@" <<'PY'
import json, sys

label, most = sys.argv[1], float(sys.argv[2])
end = json.load(open("report"))["end"]
sent, received = end["sum_sent"]["packets"], end["sum_received"]["packets"]
print(f"{label}: {sent} sent, {received} in the receiver's count, " + ", ".join(
    f"{part} lost {end[part]['lost_packets']} ({end[part]['lost_percent']:.0f} %)" for part in ("sum_received", "sum")))
if received > most / 100 * sent or end["sum_received"]["lost_packets"] or end["sum"]["lost_packets"]:
    sys.exit("behaviour changed")
PY
}
# After a second and a half all UDP goes elsewhere.
tc qdisc add dev v0 root handle 1: htb
{ sleep 2.5; tc filter add dev v0 parent 1: protocol ip prio 1 u32 match ip protocol 17 0xff action mirred egress redirect dev other; } &
test_with -b 4M -t 4; lost "the link carries no UDP from half-way on" 60
tc qdisc replace dev v0 root tbf rate 1kbit burst 10000 limit 10000
# The bucket holds nine of them, the queue nine; what iperf3 says over TCP waits for the link to be fast again.
{ sleep 3; tc qdisc del dev v0 root; } &
test_with -b 0 -k 200; lost "a burst of 200 into a short queue" 20
IN
echo "as described"
