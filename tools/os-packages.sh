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
    need ifconfig net-tools
    need ovs-vsctl openvswitch-switch
    need ovs-testcontroller openvswitch-testcontroller
    need bird bird2
    { command -v chromium || command -v google-chrome; } >/dev/null 2>&1 || lack chromium
    need chromedriver chromium-driver
    # For the accessibility checker (tools/npm-files.sh axe), which no Debian package has.
    need npm npm
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
# a server at boot: no question may stop us, and the answer by default is no. sshd, memcached, BIRD and Open vSwitch are
# started by the tests, with their own configuration in namespaces of their own: the machine's services of that name, which
# were not there before, are neither started now (policy-rc.d, where the machine has none) nor at the next boot.
install() {
    # shellcheck disable=SC2086,SC2016  # a list of package names; the inner shell expands the rest
    tools/as-root.sh env DEBIAN_FRONTEND=noninteractive sh -c '
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap "rm -f $policy" EXIT
            trap "exit 130" INT TERM HUP
            printf "#!/bin/sh\nexit 101\n" >"$policy"
            chmod 755 "$policy"
        fi
        apt-get install -y -q --no-install-recommends "$@" || exit
        command -v systemctl >/dev/null || exit 0
        case " $* " in *" openssh-server "*) systemctl disable ssh.service ssh.socket 2>/dev/null ;; esac
        case " $* " in *" memcached "*) systemctl disable memcached.service 2>/dev/null ;; esac
        case " $* " in *" bird2 "*) systemctl disable bird.service 2>/dev/null ;; esac
        true
    ' sh $missing
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
