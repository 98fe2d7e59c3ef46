#!/usr/bin/env bash
# EXPECTED: a link's byte counters depend on the frames only; the same 100 datagrams give the same tx_bytes and rx_bytes
#   whatever offloads are switched on, and nothing set on the receiver changes what the sender's end has counted.
# REALITY: once veth's receiving end runs its NAPI (GRO on there, TSO off at the sender) the 14-byte Ethernet header is
#   no longer counted, in the receiver's rx_bytes AND in the sender's tx_bytes. A packet socket shows frames unchanged.
#   And `ethtool -S` counts all of them as rx_queue_0_xdp_packets although no XDP program exists anywhere.
# WHERE: tables that compare "bytes per packet" or a rate from interface counters between a softirq and a NAPI/busy-poll
#   run: 33% fewer bytes for empty UDP datagrams (28 for 42), and an "XDP is active" check that is wrong.
set -euo pipefail
T=$(mktemp -d); export A=pbhdra$$ B=pbhdrb$$
trap 'ip netns del "$A" 2>/dev/null || true; ip netns del "$B" 2>/dev/null || true; rm -rf "$T"' EXIT
cd "$T"
get() { apt-get -qq -o APT::Sandbox::User=root download ethtool 2>/dev/null; }
get || { apt-get -qq update; get; }
dpkg -x ethtool_*.deb deb; export PATH="$PATH:$T/deb/sbin:$T/deb/usr/sbin"
python3 -m pip install -qq --disable-pip-version-check --target py pyroute2==0.9.7; export PYTHONPATH="$T/py"
echo "kernel $(uname -r), pyroute2 0.9.7, ethtool $(dpkg-deb -f ethtool_*.deb Version), $(ip -V)"
ip netns add "$A"; ip netns add "$B"
ip link add v0 netns "$A" type veth peer name v0 netns "$B"
for n in "$A" "$B"; do
  ip -n "$n" link set v0 addrgenmode none      # no IPv6 chatter in the counters
  ip netns exec "$n" ethtool -K v0 tso off
  ip -n "$n" link set v0 up
done
ip -n "$A" addr add 10.78.0.1/24 dev v0; ip -n "$B" addr add 10.78.0.2/24 dev v0
ip -n "$A" neigh add 10.78.0.2 dev v0 nud permanent lladdr "$(ip netns exec "$B" cat /sys/class/net/v0/address)"
ip netns exec "$B" ip route add blackhole 10.78.0.1/32     # no ICMP answers either
python3 - <<'PY'
import os, socket, subprocess, sys, time
from pyroute2 import IPRoute, netns
A, B, COUNT = os.environ['A'], os.environ['B'], 100
netns.setns(B); at_b = IPRoute(); tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)); tap.settimeout(3)
netns.setns(A); at_a = IPRoute(); out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def stats(ipr, way):
    s = ipr.get_links(ifname='v0')[0].get_attr('IFLA_STATS64')
    return s[way + '_packets'], s[way + '_bytes']
def sh(*cmd): return subprocess.run(['ip', 'netns', 'exec', B, *cmd], check=True, capture_output=True, text=True).stdout
def round_(gro, size):
    sh('ethtool', '-K', 'v0', 'gro', gro)
    before = stats(at_a, 'tx') + stats(at_b, 'rx')
    for _ in range(COUNT): out.sendto(b'x' * size, ('10.78.0.2', 9))
    frames = {len(tap.recv(4096)) for _ in range(COUNT)}
    time.sleep(0.2)      # the NAPI adds its counts at the end of a poll
    tp, tb, rp, rb = (b - a for a, b in zip(before, stats(at_a, 'tx') + stats(at_b, 'rx')))
    xdp = [l.split()[1] for l in sh('ethtool', '-S', 'v0').splitlines() if 'rx_queue_0_xdp_packets' in l][0]
    print(f'receiver gro {gro:3} payload {size:3}: frames seen {frames}, sender tx {tp} pkts {tb/tp:.0f} B each, '
          f'receiver rx {rp} pkts {rb/rp:.0f} B each, xdp_packets {xdp}')
    return frames == {size + 42} and tp == rp == COUNT and tb == rb and (size + 42 - tb / tp, int(xdp))
got = [round_('off', 100), round_('on', 100), round_('on', 0), round_('off', 0)]
print('XDP program attached:', 'xdp' in sh('ip', '-d', 'link', 'show', 'v0'))
sys.exit(0 if got == [(0, 0), (14, COUNT), (14, 2 * COUNT), (0, 2 * COUNT)] else f'behaviour changed: {got}')
PY
echo "as described: 14 bytes a packet left the counters of both ends"
