#!/usr/bin/env bash
# EXPECTED: a row of iperf's CSV report (-y C) begins with the time of the test, and a UDP client's row ends with how many
#   datagrams it sent and how many were lost.
# REALITY: the row of the whole test is dated 1 January 1970; it has the right time only with -i, when it is the copy of an
#   interval. A UDP client's row, which also has the interval's fields, says 0 of -1 datagrams lost, minus 0 percent.
# WHERE: whoever appends such rows to one table over days, sorts or joins by time, or sums datagrams: rows of all runs fall
#   on one instant 56 years ago, and a sum of datagrams gets smaller with each run.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
apt-get download -qq iperf=2.1.8+dfsg-1 2>/dev/null; dpkg -x iperf_*.deb x
export IPERF="$T/x/usr/bin/iperf"
"$IPERF" -v || true
unshare --net bash -euo pipefail <<'IN' >rows                # a network of its own, which ends with it
ip link set lo up
"$IPERF" -s >/dev/null 2>&1 & tcp=$!
"$IPERF" -s -u -p 5002 >/dev/null 2>&1 & udp=$!
sleep 1
echo "tcp       $("$IPERF" -c 127.0.0.1 -t 1 -y C)"
echo "tcp_i     $("$IPERF" -c 127.0.0.1 -t 1 -i 1 -y C | head -1)"
echo "udp       $("$IPERF" -c 127.0.0.1 -p 5002 -u -b 1M -t 1 -y C | head -1)"
kill $tcp $udp
IN
cat rows
today=$(date +%Y)
grep -q '^tcp       19700101000000,' rows
grep -q "^tcp_i     $today" rows                             # the same program with -i knows the time
grep -qE '^udp       19700101000000,.*,0,-1,-0\.000,0$' rows
echo "as described: rows of 1970, and -1 datagrams"
