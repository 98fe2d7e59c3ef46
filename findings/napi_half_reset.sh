#!/usr/bin/env bash
# EXPECTED: tuning written to one NAPI (netlink "napi-set") either outlives "link down; link up" or is wiped as a whole.
# REALITY: on veth the flap (or switching GRO off and on) swaps in a NAPI with a new ID and resets only HALF of it:
#   defer-hard-irqs and gro-flush-timeout fall back to the device-wide value, irq-suspend-timeout stays as it was set.
#   What is left is a mix that nobody asked for: an IRQ suspend time without the deferral that should surround it.
# WHERE: busy-poll / IRQ-coalescing set-ups that tune the NAPI first and then flap the link or change its features;
#   reading back irq-suspend-timeout alone "proves" that the settings are still there.
set -euo pipefail
T=$(mktemp -d); N=pbhalf$$
trap 'ip netns del "$N" 2>/dev/null || true; rm -rf "$T"' EXIT
cd "$T"
python3 -m pip install -qq --disable-pip-version-check --target py pyroute2==0.9.7
get() { apt-get -qq -o APT::Sandbox::User=root download ethtool 2>/dev/null; }
get || { apt-get -qq update; get; }
dpkg -x ethtool_*.deb deb; export PATH="$PATH:$T/deb/sbin:$T/deb/usr/sbin" PYTHONPATH="$T/py"
echo "kernel $(uname -r), pyroute2 0.9.7, ethtool $(dpkg-deb -f ethtool_*.deb Version), $(ip -V)"
ip netns add "$N"
ip -n "$N" link add va type veth peer name vb; ip -n "$N" link set va up
ip netns exec "$N" ethtool -K vb gro on
ip -n "$N" link set vb up
ip netns exec "$N" python3 - <<'PY'
import socket, subprocess, sys
from pyroute2.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, genlmsg
from pyroute2.netlink.generic import GenericNetlinkSocket
class napi(genlmsg):              # attribute numbers of the kernel's "netdev" family
    prefix = 'N_'
    nla_map = tuple((f'N_{n}', 'uint32') for n in
                    'NONE IFINDEX ID IRQ PID DEFER FLUSH SUSPEND THREADED'.split())
g = GenericNetlinkSocket()
g.bind('netdev', napi)
index = socket.if_nametoindex('vb')
def call(cmd, flags, attrs=()):
    msg = napi()
    msg['cmd'], msg['version'], msg['attrs'] = cmd, 1, list(attrs)
    return list(g.nlm_request(msg, msg_type=g.prid, msg_flags=NLM_F_REQUEST | flags))
def state(label):
    m, = [m for m in call(11, NLM_F_DUMP) if m.get_attr('N_IFINDEX') == index]
    ident, *vals = [m.get_attr('N_' + a) for a in ('ID', 'DEFER', 'FLUSH', 'SUSPEND')]
    print(f'{label:24} napi-id {ident:<6} defer {vals[0]}  gro-flush {vals[1]:<6} irq-suspend {vals[2]}')
    return ident, vals
def tune(ident):
    call(14, NLM_F_ACK, [('N_ID', ident), ('N_DEFER', 7), ('N_FLUSH', 50000), ('N_SUSPEND', 200000)])
run = lambda cmd: subprocess.run(cmd, shell=True, check=True)
start, v = state('untouched')
ok = v == [0, 0, 0]
tune(start)
ok &= state('after napi-set') == (start, [7, 50000, 200000])
run('ip link set va down; ip link set va up')
ok &= state('peer flapped') == (start, [7, 50000, 200000])
run('ip link set vb down; ip link set vb up')
second, v = state('own link flapped')
ok &= second != start and v == [0, 0, 200000]
tune(second)
run('ethtool -K vb gro off; ethtool -K vb gro on')
third, v = state('set again, GRO off/on')
ok &= third != second and v == [0, 0, 200000]
sys.exit(0 if ok else 'behaviour changed')
PY
echo "as described: half of the per-NAPI settings vanished, half stayed"
