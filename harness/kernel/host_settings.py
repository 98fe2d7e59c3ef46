"""What a good measuring host is set to, looked at, set and put back; runs by itself, also as a module of Ansible's.

This file is sent to other hosts with the three files that it imports from: it needs Python 3.8 and the standard
library alone. The settings come from playbooks/vars/good_host.yml; the values found are kept in a state file that
outlives a reboot.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Tuple, TypedDict

# Relative, so that they are found in this package and beside this file on another host.
from .cpulists import format_cpu_list, format_cpu_mask, parse_cpu_list, parse_cpu_mask
from .hostfiles import HostFiles
from .interrupts import affinity_file, interrupts_of

Setting = Dict[str, str]
Targets = List[Tuple[str, str]]
STATE = "/var/lib/pollbench/host.json"
LEAVE = "leave"
_FORMAT = 1
_NO_SETAFFINITY = 0x04000000
_CPU = "/sys/devices/system/cpu"
_LIST, _MASK = "housekeeping-list", "housekeeping-mask"


class SettingRow(TypedDict, total=False):
    """One target of a setting: how it was found, what is wanted of it, how it is now, and what became of that.

    state: ok, differs, changed, "would change", restored, "would restore", left, gone, failed or "not applicable";
    wrote, boot: in the state file alone, what was written and during which boot.
    """

    name: str
    what: str
    kind: str
    target: str
    found: str
    wanted: str
    state: str
    reason: str
    now: Optional[str]
    wrote: str
    boot: str


class Host:
    """One host below a root, and what is asked of it: the application's CPUs and the devices to treat."""

    def __init__(self, root: Path | str = "/", cpus: Iterable[int] = (), devices: Iterable[str] = ()) -> None:
        self.files, self.cpus, self.devices = HostFiles(root), sorted(set(cpus)), list(devices)
        self.online = self.files.cpus(f"{_CPU}/online") or []

    def housekeeping(self, device: str = "") -> List[int]:
        """The CPUs for everything but the application: neither its own nor their siblings, near the device."""
        taken = set(self.cpus)
        for cpu in self.cpus:
            taken |= set(self.files.cpus(f"{_CPU}/cpu{cpu}/topology/thread_siblings_list") or [])
        free = [cpu for cpu in self.online if cpu not in taken]
        free = free or [cpu for cpu in self.online if cpu not in self.cpus]
        node = self.files.text(f"/sys/class/net/{device}/device/numa_node") if device else None
        near = self.files.cpus(f"/sys/devices/system/node/node{node}/cpulist") or [] if node else []
        return [cpu for cpu in free if cpu in near] or free

    def absent(self) -> str:
        """What was asked of it that it does not have, with what it has; "" where all is there."""
        cpus = [cpu for cpu in self.cpus if cpu not in self.online]
        if cpus:
            return f"it has no CPU {format_cpu_list(cpus)}; online: {format_cpu_list(self.online)}"
        there = [path.rpartition("/")[2] for path in self.files.find("/sys/class/net/*")]
        devices = [name for name in self.devices if name not in there]
        return f"it has no device {', '.join(devices)}; there are: {', '.join(there)}" if devices else ""


def _same(kind: str, value: str, other: str) -> bool:
    if kind == "mask":
        return parse_cpu_mask(value) == parse_cpu_mask(other)
    if kind in ("irqs", "kthreads"):
        return parse_cpu_list(value) == parse_cpu_list(other)
    return value == other


# -- what there is to set -----------------------------------------------------------------------------------------


class Lacks(Exception):  # noqa: N818
    """This host does not have the thing, and why."""


def _targets(host: Host, setting: Setting, wish: str) -> Targets:
    """What to set of one setting: (target, value). Raises Lacks."""
    kind = setting["kind"]
    if wish in (_LIST, _MASK) or kind in ("irqs", "kthreads"):
        if not host.cpus:
            raise Lacks("the application's CPUs are not named: --cpus")
        if not host.housekeeping():
            raise Lacks("the application's CPUs are all there are")
    if setting.get("per") == "device" or kind == "irqs":
        return _of_devices(host, setting, wish)
    if kind == "kthreads":
        return [(target, format_cpu_list(host.housekeeping())) for target in _kthreads(host)]
    if kind == "service":
        _service_there(host, setting)
        return [(setting["service"], wish)]
    value = format_cpu_mask(host.housekeeping()) if wish == _MASK else wish
    patterns = [setting["path"]]
    if setting.get("per") == "cpu" and host.cpus:
        patterns = [setting["path"].replace("cpu[0-9]*", f"cpu{cpu}") for cpu in host.cpus]
    paths = [path for pattern in patterns for path in host.files.find(pattern)]
    if not paths:
        raise Lacks(setting.get("lacks", "this kernel does not have it"))
    return [(path, value) for path in paths]


def _of_devices(host: Host, setting: Setting, wish: str) -> Targets:
    if not host.devices:
        raise Lacks("no device is named: --device")
    targets: Targets = []
    reasons = []
    for device in host.devices:
        if setting["kind"] == "irqs":
            more, reason = _interrupts(host, device)
        else:
            more = [(path, wish) for path in host.files.find(setting["path"].replace("{device}", device))]
            reason = ""
        targets += more
        if not more:
            reasons.append(f"{device}: {reason or setting.get('lacks', 'has no such file')}")
    if not targets:
        raise Lacks("; ".join(reasons))
    return targets


def _interrupts(host: Host, device: str) -> Tuple[Targets, str]:
    """The affinities of a device's own interrupts; without any, why not, where there is a reason of its own.

    A line that the device shares (legacy INTx) stays: moving it would move other devices' interrupts along.
    """
    near = format_cpu_list(host.housekeeping(device))
    interrupts = interrupts_of(device, host.files)
    targets = [(affinity_file(irq.number), near) for irq in interrupts if not irq.sharers]
    shared = [f"{irq.number} with {', '.join(irq.sharers)}" for irq in interrupts if irq.sharers]
    return targets, f"shares interrupt {'; '.join(shared)}, and no other device is touched" if shared else ""


def _kthreads(host: Host) -> List[str]:
    """The kernel threads that may be moved, as "kthread PID START NAME": for good, whoever has the number later."""
    threads = []
    for path in host.files.find("/proc/[0-9]*/stat"):
        text = host.files.text(path) or ""
        fields = text.rpartition(")")[2].split()
        if len(fields) > 20 and fields[1] == "2" and not int(fields[6]) & _NO_SETAFFINITY:
            name = text.partition("(")[2].rpartition(")")[0]
            # The thread of an interrupt follows its interrupt, whatever it is told.
            if not name.startswith("irq/"):
                threads.append(f"kthread {path.split('/')[2]} {fields[19]} {name}")
    if not threads:
        raise Lacks("no kernel thread here may be moved")
    return threads


def _service_there(host: Host, setting: Setting) -> None:
    name = setting["service"]
    if not host.files.path("/run/systemd/system").is_dir() or not shutil.which("systemctl"):
        if host.files.runs(name):
            return
        raise Lacks(f"{name} does not run here, and there is no systemd that could start it")
    if _systemctl("show", "-p", "LoadState", "--value", name) != "loaded":
        raise Lacks(f"{name} is not installed")


def _systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, check=False)
    if done.returncode and words[0] in ("start", "stop"):
        raise OSError(done.returncode, done.stderr.decode(errors="replace").strip()[:200])
    return done.stdout.decode(errors="replace").strip()


def _now(host: Host, kind: str, target: str) -> Optional[str]:
    """How a target is now; None where it has gone."""
    if kind == "service":
        return "running" if host.files.runs(target) else "stopped"
    if kind == "kthreads":
        pid, start = target.split()[1:3]
        fields = (host.files.text(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
        if len(fields) < 20 or fields[19] != start:
            return None
        return format_cpu_list(os.sched_getaffinity(int(pid)))
    return host.files.chosen(target)


def _put(host: Host, kind: str, target: str, value: str) -> None:
    """Set a target. Raises OSError."""
    if kind == "service":
        _systemctl("start" if value == "running" else "stop", target)
    elif kind == "kthreads":
        os.sched_setaffinity(int(target.split()[1]), parse_cpu_list(value))
    else:
        host.files.write(target, value)


# -- looking, setting, putting back -------------------------------------------------------------------------------


def look(host: Host, settings: List[Setting], wishes: Dict[str, str]) -> List[SettingRow]:
    """A row for every target: the value found, the one wanted, and whether they are the same; nothing is changed.

    state: ok, differs, or "not applicable" with the reason. Settings that are not in `wishes`, or are to be left, have
    no row.
    """
    rows = []
    for setting in settings:
        value = wishes.get(setting["name"], LEAVE)
        if value == LEAVE:
            continue
        try:
            targets = _targets(host, setting, value)
        except Lacks as error:
            rows.append(_row(setting, value, state="not applicable", reason=str(error)))
            continue
        for target, want in targets:
            now = _now(host, setting["kind"], target)
            if now is None:
                rows.append(_row(setting, value, target, state="not applicable", reason="it cannot be read here"))
                continue
            state = "ok" if _same(setting["kind"], now, want) else "differs"
            rows.append(_row(setting, want, target, now, state))
    return rows


def _row(
    setting: Setting, wanted: str, target: str = "", found: str = "", state: str = "", reason: str = ""
) -> SettingRow:
    named: SettingRow = {"name": setting["name"], "what": setting["what"], "kind": setting["kind"]}
    return {**named, "found": found, "wanted": wanted, "reason": reason, "target": target, "state": state}


def prepare(
    host: Host, settings: List[Setting], wishes: Dict[str, str], state: str = STATE, check: bool = False
) -> List[SettingRow]:
    """Set what differs, having noted the values found; rows as `look` gives them, those set with state "changed".

    check: only say what would change. A value that is refused, or reads back otherwise, is a row with state "failed".
    Raises OSError when the state file cannot be written, ValueError when it is damaged: then nothing was changed.
    """
    entries = {entry["target"]: entry for entry in _load(state)}
    rows = look(host, settings, wishes)
    todo = [row for row in rows if row["state"] == "differs"]
    if check:
        for row in todo:
            row["state"] = "would change"
        return rows
    if todo:
        before = set(entries)
        for row in todo:
            first = entries.get(row["target"], row)["found"]
            entry: SettingRow = {"found": first, "name": row["name"], "what": row["what"], "kind": row["kind"]}
            entries[row["target"]] = {**entry, "target": row["target"], "wrote": row["wanted"], "boot": _boot(host)}
        _save(state, list(entries.values()))
        for row in todo:
            _change(host, row, row["wanted"])
            if row["state"] == "failed" and row["now"] == row["found"] and row["target"] not in before:
                entries.pop(row["target"], None)
            elif row["state"] == "failed" and row["now"] is not None:
                # What the kernel made of it is ours too.
                entries[row["target"]]["wrote"] = row["now"]
        _save(state, list(entries.values()))
    return rows


def restore(host: Host, state: str = STATE, check: bool = False) -> List[SettingRow]:
    """Put back what `prepare` found, last first; rows with state restored, ok, left, gone or failed.

    A value that somebody else has changed since is theirs, and left; not so after a reboot, when all values are new.
    """
    rows, kept = [], []
    for entry in reversed(_load(state)):
        now = _now(host, entry["kind"], entry["target"])
        row: SettingRow = {**entry, "found": now or "", "wanted": entry["found"], "reason": "", "state": "ok"}
        rows.append(row)
        if now is None:
            row["state"], row["reason"] = "gone", "it is not there any more"
        elif not _same(entry["kind"], now, entry["found"]):
            ours = _same(entry["kind"], now, entry["wrote"]) or entry["boot"] != _boot(host)
            if not ours:
                reason = f"it reads {now}; found was {entry['found']}, prepare wrote {entry['wrote']}"
                row["state"], row["reason"] = "left", reason
            elif check:
                row["state"] = "would restore"
            else:
                _change(host, row, entry["found"], "restored")
                if row["state"] == "failed":
                    kept.append(entry)
    if not check:
        _save(state, list(reversed(kept)))
    return rows


def _change(host: Host, row: SettingRow, value: str, done: str = "changed") -> None:
    try:
        _put(host, row["kind"], row["target"], value)
        reason = ""
    except OSError as error:
        reason = error.strerror or str(error)
    row["now"] = now = _now(host, row["kind"], row["target"])
    if now is not None and _same(row["kind"], now, value):
        row["state"] = done
    else:
        row["state"], row["reason"] = "failed", reason or f"written, but it reads {now}"


def _boot(host: Host) -> str:
    return host.files.text("/proc/sys/kernel/random/boot_id") or ""


def _load(state: str) -> List[SettingRow]:
    try:
        with open(state) as file:
            document = json.load(file)
        version, entries = document["format"], list(document["entries"])
        targets = [entry[key] for entry in entries for key in ("target", "kind", "found", "wrote", "boot")]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        todo = "what it says was found is lost: set these by hand, or reboot, then remove it"
        raise ValueError(f"{state}, which keeps the values found, is damaged ({error}); {todo}") from None
    if version != _FORMAT:
        raise OSError(0, f"{state} is of another version of pollbench (format {version})")
    if not all(isinstance(part, str) for part in targets):
        raise ValueError(f"{state}, which keeps the values found, is damaged; remove it when its values are put back")
    return entries


def _save(state: str, entries: List[SettingRow]) -> None:
    """Whole or not at all, and on the disk before anything is changed; without entries there is no file."""
    if not entries:
        if os.path.exists(state):
            os.unlink(state)
        return
    directory = os.path.dirname(state)
    os.makedirs(directory, exist_ok=True)
    fd, aside = tempfile.mkstemp(dir=directory, prefix=".host-")
    try:
        with os.fdopen(fd, "w") as file:
            json.dump({"format": _FORMAT, "entries": entries}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, state)
    except BaseException:
        os.unlink(aside)
        raise
