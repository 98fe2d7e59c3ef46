"""Shell scripts that give a real NIC the settings of a cell, keep what was there before, and put it back."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from harness.knobs.base import Knob, Setting
from harness.spec.cells import CellSpec

_HEAD = """\
#!/bin/sh
# {title} of the tuning "{name}".
# usage: {usage}
set -eu
"""
_HELPERS = """\
[ $# -ge 2 ] || { sed -n 3p "$0" >&2; exit 2; }
NODE=$1 DEV=$2
STATE=${3:-$(dirname "$0")/undo.list}
case $DEV in '' | . | .. | -* | *[!A-Za-z0-9_.:@-]*) echo "apply.sh: no name of a device: $DEV" >&2; exit 2 ;; esac
[ -d "/sys/class/net/$DEV" ] || { echo "apply.sh: there is no device $DEV" >&2; exit 2; }
if [ -s "$STATE" ]; then
    echo "apply.sh: $STATE holds what an earlier apply.sh found: type undo.sh first" >&2; exit 2
fi
: >"$STATE"
HERE="[ ! -e '/sys/class/net/$DEV' ] ||"  # what went with the device is not to be put back
keep() { printf '%s\\n' "$1" | cat - "$STATE" >"$STATE.new" && mv "$STATE.new" "$STATE"; }
put() {  # FILE VALUE: what is there goes to the list before it is changed, the last change first
    [ -e "$1" ] || { echo "apply.sh: this kernel has no $1" >&2; return 1; }
    keep "[ ! -e '$1' ] || printf %s '$(cat "$1")' >'$1'"
    printf '%s' "$2" >"$1"
}
tool() { command -v "$1" >/dev/null || { echo "apply.sh: $1 is missing, for $2" >&2; return 1; }; }
coalesce() {  # NAME VALUE
    tool ethtool "coalescing $1"
    old=$(ethtool -c "$DEV" | tr -d '\\t' |
        sed 's|^Adaptive RX: *\\([a-z/]*\\) *TX: *\\([a-z/]*\\).*|adaptive-rx: \\1\\nadaptive-tx: \\2|' |
        sed -n "s/^$1: *//p" | head -n 1)
    case $old in '' | n/a) echo "apply.sh: $DEV tells no $1, which could not be put back" >&2; return 1 ;; esac
    keep "$HERE ethtool -C '$DEV' $1 $old"
    ethtool -C "$DEV" "$1" "$2"
}
feature() {  # NAME on|off, the name as it is shown
    tool ethtool "offload $1"
    old=$(ethtool -k "$DEV" | sed -n "s/^$1: \\(on\\|off\\).*/\\1/p")
    [ -n "$old" ] || { echo "apply.sh: $DEV tells no $1, which could not be put back" >&2; return 1; }
    keep "$HERE ethtool -K '$DEV' $1 $old"
    ethtool -K "$DEV" "$1" "$2"
}
channels() {  # rx|tx|combined COUNT
    tool ethtool "channels $1"
    old=$(ethtool -l "$DEV" | sed '1,/^Current/d' | tr 'A-Z\t' 'a-z ' | sed -n "s/^$1: *//p")
    case $old in '' | n/a) echo "apply.sh: $DEV tells no $1 channels, which could not be put back" >&2; return 1 ;; esac
    [ "$old" != "$2" ] || return 0
    keep "$HERE ethtool -L '$DEV' $1 $old"
    ethtool -L "$DEV" "$1" "$2"
}
interrupts() {  # CPUS: of the device's MSI interrupts; of a virtio device they are those of the PCI device above it
    some= place=/sys/class/net/$DEV/device
    case $(readlink "$place/subsystem") in */virtio) place=$place/.. ;; esac
    for irq in "$place"/msi_irqs/*; do
        [ -e "$irq" ] && [ -e "/proc/irq/${irq##*/}" ] || continue
        some=1
        put "/proc/irq/${irq##*/}/smp_affinity_list" "$1" || echo "apply.sh: interrupt ${irq##*/} stays" >&2
    done
    [ -n "$some" ] || { echo "apply.sh: no interrupt of $DEV is known" >&2; return 1; }
}
napi() {  # NAME VALUE: of every NAPI of the device, by netlink
    tool ynl "$1"
    index=$(cat "/sys/class/net/$DEV/ifindex")
    for id in $(ynl --family netdev --dump napi-get --json "{\\"ifindex\\": $index}" --output-json |
        grep -o '"id": *[0-9]*' | grep -o '[0-9]*$'); do
        old=$(ynl --family netdev --do napi-get --json "{\\"id\\": $id}" --output-json |
            sed -n "s/.*\\"$1\\": *\\"\\{0,1\\}\\([a-z0-9-]*\\).*/\\1/p")
        case $old in '' | *[!0-9]*) [ -z "$old" ] || old="\\"$old\\"" ;; esac
        keep "$HERE ynl --family netdev --do napi-set --json '{\\"id\\": $id, \\"$1\\": ${old:-0}}'"
        ynl --family netdev --do napi-set --json "{\\"id\\": $id, \\"$1\\": $2}"
    done
}
threads() {  # CPUS: of the device's NAPI threads
    for pid in $(pgrep "^napi/$DEV-" || true); do
        keep "[ ! -e /proc/$pid ] || taskset -pc $(taskset -pc "$pid" | sed 's/.*: //') $pid"
        taskset -pc "$1" "$pid"
    done
}
case $NODE in
"""
_UNDO = """\
STATE=${1:-$(dirname "$0")/undo.list}
[ -s "$STATE" ] || { echo "undo.sh: $STATE: nothing to undo"; exit 0; }
sh -eu "$STATE"
rm "$STATE"
echo "undo.sh: put back"
"""
_PERSIST = """\
ROOT=${ROOT:-}
fail() { echo "persist.sh: $1" >&2; exit 2; }
UNDO=
[ "${1:-}" != --undo ] || { UNDO=1; shift; set -- - "$@"; }
[ $# -eq 2 ] || { sed -n 3,4p "$0" >&2; exit 2; }
NODE=$1 DEV=$2 HERE=$(dirname "$0")
case $DEV in '' | . | .. | -* | *[!A-Za-z0-9_.:@-]*) fail "no name of a device: $DEV" ;; esac
command -v systemctl >/dev/null || fail 'there is no systemd here: call apply.sh where this host starts its network'
UNIT=pollbench-$(systemd-escape "$DEV").service
DEVICE=$(systemd-escape --path --suffix=device "/sys/subsystem/net/devices/$DEV")
KEPT=/usr/local/lib/pollbench/$DEV
control() { if [ -n "$ROOT" ]; then systemctl --root="$ROOT" "$@"; else systemctl "$@"; fi; }
NOW=--now
[ -z "$ROOT" ] || NOW=
if [ -n "$UNDO" ]; then
    [ -e "$ROOT/etc/systemd/system/$UNIT" ] || fail "there is no $UNIT"
    control disable $NOW "$UNIT"  # stopping it puts back what it found
    rm -r "$ROOT/etc/systemd/system/$UNIT" "$ROOT$KEPT"
    [ -n "$ROOT" ] || systemctl daemon-reload
    echo "persist.sh: removed $UNIT"
    exit 0
fi
[ ! -e "$ROOT/etc/systemd/system/$UNIT" ] || fail "$UNIT is there already: type persist.sh --undo $DEV first"
grep -qxF "$NODE)" "$HERE/apply.sh" || fail "apply.sh has no setting for $NODE"
mkdir -p "$ROOT$KEPT" "$ROOT/etc/systemd/system"
cp "$HERE/apply.sh" "$HERE/undo.sh" "$ROOT$KEPT"
chmod 755 "$ROOT$KEPT/apply.sh" "$ROOT$KEPT/undo.sh"
cat >"$ROOT/etc/systemd/system/$UNIT" <<END
[Unit]
Description=Tuned settings of $NODE on $DEV
BindsTo=$DEVICE
After=$DEVICE

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$KEPT/apply.sh $NODE $DEV /run/pollbench-$DEV.undo
ExecStopPost=$KEPT/undo.sh /run/pollbench-$DEV.undo

[Install]
WantedBy=$DEVICE
END
[ -n "$ROOT" ] || systemctl daemon-reload
control enable $NOW "$UNIT"
echo "persist.sh: $UNIT applies them whenever $DEV appears; persist.sh --undo $DEV ends that"
"""
_SHOWN = {
    "rx": "rx-checksumming",
    "tx": "tx-checksumming",
    "sg": "scatter-gather",
    "tso": "tcp-segmentation-offload",
    "gso": "generic-segmentation-offload",
    "gro": "generic-receive-offload",
    "lro": "large-receive-offload",
}
"""Short names of features, which `ethtool -K` takes, as `ethtool -k` shows them, and -K takes as well."""
_SYSCTLS = {"SO_BUSY_POLL": "busy_read"}


def apply_script(name: str, spec: CellSpec) -> str:
    """A script that is given a node's name and a device; it refuses to run twice without undo.sh between."""
    head = _HEAD.format(title="Applies the best setting", name=name, usage="apply.sh NODE DEVICE [LIST]")
    lines = [head, _HELPERS]
    nodes = list(spec.settings)
    for node in nodes:
        lines.append(f"{shlex.quote(node) if node != '*' else 'host'})\n")
        lines += [f"    {line}\n" for line in _lines(spec.settings[node])]
        lines.append("    ;;\n")
    known = ", ".join("host" if node == "*" else node for node in nodes) or "none"
    lines.append(f'*) echo "apply.sh: no setting is for $NODE; there are settings for: {known}" >&2; exit 2 ;;\nesac\n')
    return "".join(lines)


def undo_script(name: str) -> str:
    """A script that puts back what apply.sh found."""
    return _HEAD.format(title="Undoes apply.sh", name=name, usage="undo.sh [LIST]") + _UNDO


def persist_script(name: str) -> str:
    """A script that makes apply.sh last: a unit of systemd that calls it when the device appears, and undoes it."""
    usage = "persist.sh NODE DEVICE\n#    or: persist.sh --undo DEVICE; ROOT: the system it is for, if not this one"
    return _HEAD.format(title="Makes the best setting last", name=name, usage=usage) + _PERSIST


def _lines(knobs: Mapping[str, Knob]) -> Iterator[str]:
    some = False
    for name, knob in knobs.items():
        for setting in knob.settings():
            some = True
            yield from _line(name, setting)
    if not some:
        yield ":"


def _line(knob: str, setting: Setting) -> Iterator[str]:
    """The commands of one setting; a remark where the program itself has to set it."""
    value = setting.value
    if setting.target == "sysfs":
        yield f'put "/sys/class/net/$DEV/{setting.name}" {value}'
    elif setting.target == "sysctl":
        yield f"put /proc/sys/net/core/{setting.name.rsplit('.', 1)[-1].rsplit('/', 1)[-1]} {value}"
    elif setting.target == "napi":
        yield f"napi {setting.name.replace('_', '-')} {value}"
    elif setting.target == "ethtool_coalesce":
        yield f"coalesce {setting.name} {_switch(bool(value) if setting.name.startswith('adaptive') else value)}"
    elif setting.target == "feature":
        yield f"feature {_SHOWN.get(setting.name, setting.name)} {_switch(value)}"
    elif setting.target == "kthread" and setting.name == "cpus":
        yield f"threads {','.join(map(str, value))}"
    elif setting.target == "channels":
        yield f"channels {setting.name} {value}"
    elif setting.target == "irq":
        yield f"interrupts {','.join(map(str, value))}"
    elif setting.target == "rx_queue" and setting.name == "rps_cpus":
        mask = format(sum(1 << cpu for cpu in value), "x")
        yield f'for queue in "/sys/class/net/$DEV"/queues/rx-*; do put "$queue/rps_cpus" {mask}; done'
    elif setting.target == "rx_queue":
        yield f'for queue in "/sys/class/net/$DEV"/queues/rx-*; do put "$queue/{setting.name}" {value}; done'
    elif setting.target == "tx_queue":
        mask = format(sum(1 << cpu for cpu in value), "x")
        yield from (f'put "/sys/class/net/$DEV/queues/tx-{queue}/xps_cpus" {mask}' for queue in setting.queues or ())
    elif setting.name in _SYSCTLS:
        yield f"# by the program: setsockopt({setting.name}, {value}); of all new sockets of the host:"
        yield f"put /proc/sys/net/core/{_SYSCTLS[setting.name]} {value}"
    elif setting.name == "EPIOCSPARAMS":
        usecs, budget, prefer = value
        yield f"# by the program: ioctl(EPIOCSPARAMS) usecs {usecs}, budget {budget}, prefer {prefer}; of all epolls:"
        yield f"put /proc/sys/net/core/busy_poll {usecs}"
        if prefer:
            yield "echo 'apply.sh: prefer_busy_poll is set by the program alone, by ioctl(EPIOCSPARAMS)' >&2"
    else:
        yield f"echo 'apply.sh: not by this script: {knob} {setting.name} = {value}' >&2"


def _switch(value: object) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)
