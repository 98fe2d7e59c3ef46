#!/usr/bin/env bash
# EXPECTED: a capture watches. netsniff-ng, started beside a benchmark as one would start tcpdump, leaves the host's settings alone.
# REALITY: unless it is given -A it writes four sysctls that every namespace of the host reads: sockets made while it captures
#   have receive and send buffers of 4 MiB instead of 208 KiB, and may ask for 100 MiB. It puts back what it found, so of two captures
#   that overlap the second puts back the first one's values, for good; and so does one that is killed. trafgen does the same.
# WHERE: a UDP program that loses datagrams in bursts is captured to see why, and loses none while it is watched; later runs on the
#   same host are better than earlier ones, and nothing in their own set-up has changed.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 1; }
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
debs=(netsniff-ng=0.6.8-3 libgeoip1 libnacl-dev libsodium23 libnl-3-200 libnl-genl-3-200 libnl-route-3-200 libnetfilter-conntrack3
      libnfnetlink0 liburcu8 libcli1.10 libnet1 libpcap0.8 libncurses6 libtinfo6)
get() { apt-get -qq -o APT::Sandbox::User=root download "${debs[@]}" 2>/dev/null; }
get || { apt-get -qq update; get; }
for deb in *.deb; do dpkg -x "$deb" x; done
echo "netsniff-ng $(dpkg-deb -f netsniff-ng_*.deb Version), $(uname -r)"
# Files of this folder stand where the four sysctls are, in mounts of their own: the host's stay as they are.
LD_LIBRARY_PATH=$(echo "$T"/x/{usr/,}lib/*-linux-gnu | tr ' ' :) unshare --net --mount bash -euo pipefail <<'IN'
sysctls=(rmem_default wmem_default rmem_max wmem_max)
for name in "${sysctls[@]}"; do touch $name; mount --bind $name /proc/sys/net/core/$name; done
ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up
sniff() { exec x/usr/sbin/netsniff-ng --in v0 --out "$1.pcap" --silent "${@:2}" >/dev/null 2>&1; }
fresh() { for name in "${sysctls[@]}"; do printf '%-12s\n' 212992 >$name; done; }
is() {  # what it says, then how each of the four begins
    printf '%-44s' "$1"; shift; grep -H . "${sysctls[@]}" | tr '\n' ' '; echo
    for name in "${sysctls[@]}"; do [[ $(<$name) == "$1"* ]] || { echo "behaviour changed: $name"; exit 1; }; shift; done
}
large=(4194304 4194304 104857600 104857600) small=(212992 212992 212992 212992)
fresh; sniff a & a=$!; sleep 2; is "one captures" "${large[@]}"
kill -INT $a; wait $a; is "it has ended" "${small[@]}"
fresh; sniff a & a=$!; sleep 2; sniff b & b=$!; sleep 2; kill -INT $a; wait $a; is "two, the first has ended" "${small[@]}"
kill -INT $b; wait $b; is "the second has ended" "${large[@]}"
fresh; sniff a & a=$!; sleep 2; kill -KILL $a; wait $a || true; is "one was killed" "${large[@]}"
fresh; sniff a -A & a=$!; sleep 2; is "one with -A captures" "${small[@]}"; kill -INT $a; wait $a
IN
echo "as described (a value that is put back over a longer one leaves the rest of it, in these files)"
