#!/bin/sh
# Install, through apt, the operating system's packages that are missing: for running ("run"), running guests and
# building their image ("vm"), or testing ("test", which needs both).
# Each need is tried for real; when nothing is missing this takes some hundredths of a second and changes nothing.
set -eu
cd "$(dirname "$0")/.."

missing=""
lack() { missing="$missing $*"; }
need() { command -v "$1" >/dev/null 2>&1 || lack "$2"; }

# Administrators' tools are not on every user's path.
PATH=$PATH:/usr/sbin:/sbin

if ! tools/python.sh >/dev/null 2>&1; then
    # Whoever named an interpreter wants that one, and hears what it lacks.
    [ -z "${PYTHON:-}" ] || tools/python.sh || exit 3
    lack python3 python3-venv
fi
if command -v "${CC:-cc}" >/dev/null 2>&1; then
    echo '#include <stdio.h>' | "${CC:-cc}" -E - >/dev/null 2>&1 || lack libc6-dev
else
    lack gcc libc6-dev
fi
if [ "${1:-run}" = test ]; then
    need ip iproute2
    need ethtool ethtool
    need unshare util-linux
    need iperf3 iperf3
    need sockperf sockperf
    need memcached memcached
    need stress-ng stress-ng
    need mn mininet
    need sshd openssh-server
    need brctl bridge-utils
    { command -v chromium || command -v google-chrome; } >/dev/null 2>&1 || lack chromium
    need chromedriver chromium-driver
fi
case "${1:-run}" in vm | test)
    need qemu-system-x86_64 qemu-system-x86
    need mmdebstrap mmdebstrap
    need mksquashfs squashfs-tools
    need zstd zstd
    need depmod kmod
    # Only a build by somebody else than root needs it.
    [ "$(id -u)" -eq 0 ] || need newuidmap uidmap
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || lack debian-archive-keyring
    ;;
esac
[ -n "$missing" ] || exit 0

echo "Missing packages:$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "this system has no apt-get: install the equivalents of$missing by hand, then try again" >&2
    exit 3
fi
if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    echo "neither root nor sudo here; as root, type: apt-get install$missing" >&2
    exit 3
fi

# The lists of a fresh machine are empty or old, so a first failure earns one refresh. iperf3 asks whether to start
# a server at boot: no question may stop us, and the answer by default is no. memcached starts one at once, on the
# loopback address, where no test looks.
install() {
    # shellcheck disable=SC2086  # a list of package names
    tools/as-root.sh env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}
if ! install; then
    tools/as-root.sh apt-get update -q
    install
fi

if ! tools/python.sh >/dev/null 2>&1; then
    # The system's own Python is older than 3.11 (Ubuntu 22.04): it offers a newer one under its own name.
    missing="python3.11 python3.11-venv"
    install || { tools/python.sh; exit 3; }
fi
