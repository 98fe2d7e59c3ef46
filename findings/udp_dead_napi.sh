#!/usr/bin/env bash
# EXPECTED: SO_INCOMING_NAPI_ID tells through which NAPI the latest datagram came, so a server can follow its traffic.
# REALITY: an UNCONNECTED UDP socket keeps the ID of its very first datagram for life. Traffic through another device
#   does not move it, and when that NAPI is destroyed (link down/up, GRO off/on on veth) the socket goes on naming an
#   ID that no device in the namespace owns any more. A CONNECTED UDP socket follows each datagram; so does the same
#   old socket once it is connected.
# WHERE: UDP echo servers used as the busy-polled side of a latency test, started before the interface is tuned, or
#   sharding code that sorts sockets to threads by this ID: they wait on a NAPI that is not there, without any error.
set -euo pipefail
T=$(mktemp -d); export A=pbdeada$$ B=pbdeadb$$
trap 'ip netns del "$A" 2>/dev/null || true; ip netns del "$B" 2>/dev/null || true; rm -rf "$T"' EXIT
cd "$T"
python3 -m pip install -qq --disable-pip-version-check --target py pyroute2==0.9.7
get() { apt-get -qq -o APT::Sandbox::User=root download ethtool 2>/dev/null; }
get || { apt-get -qq update; get; }
dpkg -x ethtool_*.deb deb; export PATH="$PATH:$T/deb/sbin:$T/deb/usr/sbin" PYTHONPATH="$T/py"
echo "kernel $(uname -r), pyroute2 0.9.7, ethtool $(dpkg-deb -f ethtool_*.deb Version), $(ip -V)"
ip netns add "$A"; ip netns add "$B"
for i in 1 2; do
  ip link add "v$i" netns "$A" type veth peer name "v$i" netns "$B"
  for n in "$A:1" "$B:2"; do      # GRO on the receiver and TSO off on the sender give veth a NAPI
    ip netns exec "${n%:*}" ethtool -K "v$i" tso off gro on
    ip -n "${n%:*}" addr add "10.77.$i.${n#*:}/24" dev "v$i"; ip -n "${n%:*}" link set "v$i" up
  done
done
python3 - <<'PY'
import os, socket, subprocess, sys, time
from pyroute2 import netns
from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST, genlmsg
from pyroute2.netlink.generic import GenericNetlinkSocket
class napi(genlmsg):
    nla_map = (('NONE', 'uint32'), ('IFINDEX', 'uint32'), ('ID', 'uint32'))
A, B = os.environ['A'], os.environ['B']
def udp(addr):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(addr); s.settimeout(3); return s
netns.setns(B)
g = GenericNetlinkSocket(); g.bind('netdev', napi)
server, joined = udp(('0.0.0.0', 5000)), udp(('10.77.2.2', 5001)); joined.connect(('10.77.2.1', 6000))
netns.setns(A)
sender = {i: udp((f'10.77.{i}.1', 6000)) for i in (1, 2)}
def seen(via, sock, port):
    sender[via].sendto(b'x', (f'10.77.{via}.2', port)); sock.recv(9)
    return sock.getsockopt(socket.SOL_SOCKET, 56)         # SO_INCOMING_NAPI_ID
def alive():
    m = napi(); m['cmd'], m['version'] = 11, 1              # napi-get, all of this namespace
    return {r.get_attr('ID') for r in g.nlm_request(m, msg_type=g.prid, msg_flags=NLM_F_REQUEST | NLM_F_DUMP)}
first, other, conn, live = seen(1, server, 5000), seen(2, server, 5000), seen(2, joined, 5001), alive()
print(f'unconnected: via v1 {first}, via v2 {other}; connected via v2 {conn}; NAPIs that exist {sorted(live)}')
ok = first == other != conn and {first, conn} <= live
for i in 1, 2: subprocess.run(f'ip -n {B} link set v{i} down; ip -n {B} link set v{i} up', shell=True, check=True)
time.sleep(0.3)
late, late_conn, live = seen(2, server, 5000), seen(2, joined, 5001), alive()
print(f'after a link flap: unconnected via v2 {late}; connected via v2 {late_conn}; NAPIs that exist {sorted(live)}')
ok &= late == first and late not in live and late_conn in live
server.connect(('10.77.2.1', 6000)); cured = seen(2, server, 5000)
print('the same old socket after connect():', cured)
sys.exit(0 if ok and cured == late_conn else 'behaviour changed')
PY
echo "as described: the unconnected socket names a NAPI that is gone"
