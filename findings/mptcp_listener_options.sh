#!/usr/bin/env bash
# EXPECTED: a listener of MPTCP serves plain TCP clients as a TCP listener does, down to the accepted sockets having its options:
#   SO_RCVBUF, TCP_NODELAY and the keepalive come along, as always.
# REALITY: others do not. Time limits (SO_RCVTIMEO, SO_SNDTIMEO), SO_RCVLOWAT, SO_BUSY_POLL, SO_PREFER_BUSY_POLL, SO_TIMESTAMP, TCP_INQ and
#   TCP_NOTSENT_LOWAT are taken and read back of the listener, and are not set in what it accepts, which is a TCP socket like any.
# WHERE: servers that set their options once, on the listener: started under mptcpize, by systemd's SocketProtocol=mptcp, or
#   written in Go, where listeners are MPTCP by default since 1.24. Busy polling ends, and a recv with a time limit waits for ever.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 1; }
exec unshare --net python3 - <<'PY'
import os, platform, socket, struct, subprocess, sys

TIME, SOL, TCP = struct.pack("@ll", 3, 0), socket.SOL_SOCKET, socket.IPPROTO_TCP
KEPT = {
    "SO_RCVBUF": (SOL, 8, 50_000), "SO_KEEPALIVE": (SOL, 9, 1), "SO_MARK": (SOL, 36, 9), "TCP_NODELAY": (TCP, 1, 1),
    "TCP_KEEPIDLE": (TCP, 4, 11), "TCP_CONGESTION": (TCP, 13, b"reno"), "IP_TOS": (0, 1, 0x20),
}
LOST = {
    "SO_RCVTIMEO": (SOL, 20, TIME), "SO_SNDTIMEO": (SOL, 21, TIME), "SO_RCVLOWAT": (SOL, 18, 9), "SO_BUSY_POLL": (SOL, 46, 77),
    "SO_PREFER_BUSY_POLL": (SOL, 69, 1), "SO_TIMESTAMP": (SOL, 29, 1), "TCP_INQ": (TCP, 36, 1),
    "TCP_NOTSENT_LOWAT": (TCP, 25, 4321),
}
OPTIONS, PROTOCOL, MPTCP = KEPT | LOST, 38, 262
subprocess.run("ip link set lo up", shell=True, check=True)


def come_along(protocol):
    """The options that a socket which is accepted from a plain TCP client has of its listener."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as listener, socket.socket() as fresh:
        for level, option, value in OPTIONS.values():
            listener.setsockopt(level, option, value)
        listener.listen(1)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            if accepted.getsockopt(SOL, PROTOCOL) != socket.IPPROTO_TCP:
                sys.exit("behaviour changed: not accepted as TCP")
            read = {name: [one.getsockopt(*OPTIONS[name][:2], 16) for one in (fresh, listener, accepted)] for name in OPTIONS}
    unset = [name for name, (new, told, _) in read.items() if new == told]
    if unset:
        sys.exit(f"behaviour changed: {unset} do not read back of the listener")
    return {name for name, (_, told, got) in read.items() if got == told}


print(f"{platform.release()}, Python {platform.python_version()}")
for name, protocol, expected in (("TCP", 0, set(OPTIONS)), ("MPTCP", MPTCP, set(KEPT))):
    came = come_along(protocol)
    print(f"accepted by a listener of {name}: has {', '.join(sorted(came))}; has not {', '.join(sorted(set(OPTIONS) - came)) or '-'}")
    if came != expected:
        sys.exit("behaviour changed")
print("as described")
PY
