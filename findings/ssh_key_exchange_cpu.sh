#!/usr/bin/env bash
# EXPECTED: opening an ssh connection to a near host costs the network's round trips; what it computes is nothing on a machine
#   of today, whichever key exchange the two ends agree on.
# REALITY: the default of OpenSSH 9.0 and later, sntrup761x25519-sha512@openssh.com, takes several times the CPU of everything
#   else until the login together, at both ends: by curve25519-sha256 it is a fraction of it. (Debian's 9.2 has the reference code.)
# WHERE: whoever opens hundreds of connections from one machine, as Ansible, parallel-ssh, backup and CI controllers do: two CPUs
#   are busy for seconds before the first command runs, and the network is blamed, or Python. A host of its own that is measured
#   pays its half in the midst of the measurement.
set -euo pipefail
place=$(mktemp -d) server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; wait; rm -rf "$place"' EXIT
version=1:9.2p1-2+deb12u10
cd "$place"
apt-get download -qq "openssh-client=$version" "openssh-server=$version" 2>/dev/null || apt-get download -qq openssh-client openssh-server
for package in ./*.deb; do dpkg-deb -x "$package" root; done
ssh=$place/root/usr/bin/ssh sshd=$place/root/usr/sbin/sshd
"$place/root/usr/bin/ssh-keygen" -q -t ed25519 -N '' -f host
mkdir -p /run/sshd
cat >config <<END
ListenAddress 127.0.0.1:0
HostKey $place/host
UsePAM no
PidFile none
KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256
END
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed -i "s/^ListenAddress.*/ListenAddress 127.0.0.1:$port/" config
"$sshd" -D -e -f config 2>log &
server=$! && sleep 1
echo "$("$ssh" -V 2>&1), $(uname -m)"
python3 - "$ssh" "$port" "$server" <<'PY'
import os, subprocess, sys

ssh, port, server = sys.argv[1:]
# Up to the point where the user would be asked who he is, so that no shell and no session is counted.
fixed = ["-F", "none", "-p", port, "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=QUIET"]
fixed.append("-oPreferredAuthentications=none")


def server_s():
    """CPU seconds of the server and of its children that have ended."""
    fields = open(f"/proc/{server}/stat").read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def connection_ms(exchange):
    client, begun, count = os.times(), server_s(), 20
    for _ in range(count):
        assert subprocess.run([ssh, *fixed, *exchange, "root@127.0.0.1", "true"]).returncode == 255
    now = os.times()
    ours = now.children_user + now.children_system - client.children_user - client.children_system
    return 1e3 * (ours + server_s() - begun) / count


default, plain = connection_ms([]), connection_ms(["-oKexAlgorithms=curve25519-sha256"])
print(f"CPU of a connection, both ends: {default:.0f} ms by default, {plain:.0f} ms by curve25519-sha256: {default / plain:.1f} times")
assert default > 2 * plain, "behaviour changed: the default key exchange costs no more than curve25519-sha256"
PY
