"""Applies what knobs describe: writes each setting, reads it back, and records what was asked, found and got."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from harness.errors import MissingError, PollbenchError
from harness.kernel import ethtool, interrupts, links, netdev
from harness.kernel.cpulists import format_cpu_mask, parse_cpu_mask
from harness.kernel.hostfiles import HOST, sysctl_file
from harness.kernel.idle_states import limited_latency
from harness.kernel.journal import Journal, set_value
from harness.kernel.netlink import NetlinkSocket
from harness.kernel.netns import in_netns, sysfs_of
from harness.knobs import KNOBS, Knob, Setting
from harness.run.process import Options
from harness.store.record import KnobRow
from harness.testbed import NodeHandle

Knobs = dict[str, Knob]
Written = tuple[str, object, object]
"""What was set, in words; the value found; the value read back."""
# What the kernel says when it, or the driver, does not have the thing at all, as opposed to refusing a value.
_LACKS = {errno.EOPNOTSUPP, errno.ENOENT, errno.ENOSYS, errno.ENOPROTOOPT, errno.EPERM, errno.EACCES}
# A driver that makes its queues anew takes its link down for some tenths of a second.
_CARRIER_S = 10.0
_POLICIES = {name: getattr(os, f"SCHED_{name.upper()}") for name in ("other", "batch", "idle", "fifo", "rr")}
_SOCKET_OPTIONS = {
    "SO_BUSY_POLL": ("--busy-poll", "busy_poll"),
    "SO_PREFER_BUSY_POLL": ("--prefer-busy-poll", "prefer_busy_poll"),
    "SO_BUSY_POLL_BUDGET": ("--busy-poll-budget", ""),
    "SO_INCOMING_CPU": ("--incoming-cpu", ""),
    "SO_RCVLOWAT": ("--rcvlowat", "rcvlowat"),
    "SO_MAX_PACING_RATE": ("--max-pacing-rate", "max_pacing_rate"),
    "TCP_NODELAY": ("--nodelay", "nodelay"),
    "TCP_QUICKACK": ("--quickack", ""),
    "EPIOCSPARAMS": ("--epoll-busy-poll", "epoll"),
    "SO_RCVBUF": ("--receive-buffer", "receive_buffer"),
    "SO_SNDBUF": ("--send-buffer", "send_buffer"),
}


def settings_of(knobs: Knobs, *scopes: str) -> Iterator[tuple[str, Setting]]:
    """Every setting of the knobs of these scopes (of all, if none is named), with the name of its knob."""
    for name, knob in knobs.items():
        if not scopes or knob.scope in scopes:
            yield from ((name, setting) for setting in knob.settings())


def checked_row(
    node: str, knob: str, setting: Setting, label: str, before: object, after: object, where: str
) -> KnobRow:
    """One line of the run's knob record; whether it took effect is judged after the run.

    before, after: the value found, and as it reads back (None: not known). where: for the message.
    Raises PollbenchError when it reads back otherwise than it was set: better no figure than a wrong one.
    """
    applied = after if setting.readable else None
    if applied is not None and applied != setting.value:
        raise PollbenchError(f"set {label} to {setting.value}", where, f"accepted, but it reads back {applied}")
    return KnobRow(node, knob, label, KNOBS[knob].scope, setting.value, before, applied)


class NodeApplier:
    """Writes device-scope settings of one node; the devices are ours and die with the run, so nothing is put back."""

    def __init__(self, node: NodeHandle) -> None:
        self._node = node

    def apply(self, knobs: Knobs) -> list[KnobRow]:
        """Apply every device-scope knob in KNOBS' order. Raises MissingError (the host lacks it), PollbenchError."""
        rows = []
        with in_netns(self._node.fd):
            for name, setting in settings_of({name: knobs[name] for name in KNOBS if name in knobs}, "device"):
                rows += self._everywhere(name, setting)
        return rows

    def _everywhere(self, knob: str, setting: Setting) -> list[KnobRow]:
        """Write the setting on every device, by the method that has the name of its target."""
        rows = []
        write = getattr(self, f"_{setting.target}")
        for port in self._node.ports:
            where = f"{self._node.name}/{port.device}"
            try:
                had_carrier = _has_carrier(port.device)
                for label, before, after in write(port.device, setting):
                    label = f"{port.device} {label}"
                    rows.append(checked_row(self._node.name, knob, setting, label, before, after, where))
                # A driver may restart the device for it (queues, on igb features too); the link comes up seconds later.
                if had_carrier and not ethtool.await_carrier(port.device, _CARRIER_S):
                    raise OSError(errno.ENETDOWN, f"no carrier within {_CARRIER_S:.0f} s of the change", port.device)
            except OSError as error:
                raise refusal(setting, where, error) from error
        return rows

    def _channels(self, device: str, setting: Setting) -> Iterator[Written]:
        before = ethtool.channels(device)[setting.name][0]
        if before != setting.value:
            ethtool.set_channels(device, setting.name, setting.value)
        yield setting.name, before, ethtool.channels(device)[setting.name][0]

    def _rss(self, device: str, setting: Setting) -> Iterator[Written]:
        if setting.name == "key":
            key = ethtool.hash_key(device)
            ethtool.set_hash_key(device, bytes.fromhex(setting.value.replace(":", "")))
            yield "hash key", key.hex(":"), ethtool.hash_key(device).hex(":")
            return
        before = ethtool.indirection(device)
        spread = ethtool.equal_spread if setting.name == "equal" else ethtool.weighted_spread
        table = spread(len(before), setting.value)
        ethtool.set_indirection(device, table)
        after = ethtool.indirection(device)
        # A table is long: it is recorded as the share of each queue.
        yield f"rss {setting.name}", shares(before), setting.value if after == table else shares(after)

    def _feature(self, device: str, setting: Setting) -> Iterator[Written]:
        before = _feature_state(device, setting.name)
        if before != setting.value:  # a feature that cannot be changed may well be as it should be
            ethtool.set_features(device, {setting.name: setting.value})
        yield setting.name, before, _feature_state(device, setting.name)

    def _sysfs(self, device: str, setting: Setting) -> Iterator[Written]:
        path = f"class/net/{device}/{setting.name}"
        with sysfs_of(self._node.fd) as sysfs:
            before = int(sysfs.read(path))
            sysfs.write(path, setting.value)
            yield setting.name, before, int(sysfs.read(path))

    def _link_size(self, device: str, setting: Setting) -> Iterator[Written]:
        ifindex = socket.if_nametoindex(device)
        with NetlinkSocket() as sock:
            before = links.sizes(sock, ifindex).get(setting.name)
            if before is None:
                raise OSError(errno.EOPNOTSUPP, f"this kernel tells of no {setting.name}", device)
            sock.batch([links.set_size(ifindex, setting.name, setting.value)])
            yield setting.name, before, links.sizes(sock, ifindex)[setting.name]

    def _rx_queue(self, device: str, setting: Setting) -> Iterator[Written]:
        yield from self._of_queues(device, setting, "rx-")

    def _tx_queue(self, device: str, setting: Setting) -> Iterator[Written]:
        yield from self._of_queues(device, setting, "tx-")

    def _of_queues(self, device: str, setting: Setting, direction: str) -> Iterator[Written]:
        base, is_mask = f"class/net/{device}/queues", isinstance(setting.value, list)
        written = format_cpu_mask(setting.value) if is_mask else setting.value
        parse = parse_cpu_mask if is_mask else int
        with sysfs_of(self._node.fd) as sysfs:
            queues = [queue for queue in sysfs.list(base) if queue.startswith(direction)]
            chosen = queues if setting.queues is None else [f"{direction}{queue}" for queue in setting.queues]
            if (lacking := set(chosen) - set(queues)) or (direction == "tx-" and len(queues) < 2):
                got = (
                    f"there is no queue {min(lacking)}" if lacking else "it has one transmit queue, which all CPUs use"
                )
                raise OSError(errno.EOPNOTSUPP, got, device)
            for queue in chosen:
                path = f"{base}/{queue}/{setting.name}"
                before = parse(sysfs.read(path))
                sysfs.write(path, written)
                yield f"{queue} {setting.name}", before, parse(sysfs.read(path))

    def _rings(self, device: str, setting: Setting) -> Iterator[Written]:
        before = ethtool.rings(device)[setting.name][0]
        if before != setting.value:
            ethtool.set_ring(device, setting.name, setting.value)
        yield f"{setting.name} ring", before, ethtool.rings(device)[setting.name][0]

    def _napi(self, device: str, setting: Setting) -> Iterator[Written]:
        for napi in napis_of_queues(device, setting.queues):
            try:
                netdev.napi_set(napi.napi_id, **{setting.name: setting.value})
            except OSError as error:
                if setting.name != "threaded" or error.errno not in (errno.ERANGE, errno.EINVAL):
                    raise
                # Of a mode that came later the kernel says that the number is out of range.
                raise OSError(errno.EOPNOTSUPP, f"its NAPIs have no such mode ({error.strerror})", device) from error
            (after,) = netdev.napi_get(napi_id=napi.napi_id)
            yield (f"napi {napi.napi_id} {setting.name}", getattr(napi, setting.name), getattr(after, setting.name))

    def _ethtool_coalesce(self, device: str, setting: Setting) -> Iterator[Written]:
        before = ethtool.coalesce(device)[setting.name]
        ethtool.set_coalesce(device, {setting.name: setting.value})
        yield setting.name, before, ethtool.coalesce(device)[setting.name]

    def _irq(self, device: str, setting: Setting) -> Iterator[Written]:
        with sysfs_of(self._node.fd) as sysfs:
            irqs = [irq.number for irq in interrupts.interrupts_of(device, HOST, sysfs)]
        if not irqs:
            raise OSError(errno.EOPNOTSUPP, "the device has no interrupts of its own", device)
        for irq in irqs:
            before = interrupts.affinity(irq, HOST)
            interrupts.set_affinity(irq, setting.value, HOST)
            yield f"irq {irq} {setting.name}", before, interrupts.affinity(irq, HOST)

    def _kthread(self, device: str, setting: Setting) -> Iterator[Written]:
        for pid in napi_threads(device):
            label = f"napi thread {pid} {setting.name}"
            if setting.name == "cpus":
                before = sorted(os.sched_getaffinity(pid))
                os.sched_setaffinity(pid, setting.value)
                yield label, before, sorted(os.sched_getaffinity(pid))
            else:
                policy, priority = setting.value
                found_policy = _policy_of(pid)
                os.sched_setscheduler(pid, _POLICIES[policy], os.sched_param(priority))
                yield label, found_policy, _policy_of(pid)


def _has_carrier(device: str) -> bool:
    """Whether a device has one now; of a device that cannot be asked nothing is awaited."""
    with contextlib.suppress(OSError):
        return ethtool.link_detected(device)
    return False


def _feature_state(device: str, name: str) -> bool:
    """Whether a feature is on; a short name such as tso stands for several features and is on when any of them is."""
    features = ethtool.features(device)
    return any(features[bit].active for bit in ethtool.SHORT_NAMES.get(name, (name,)) if bit in features)


def shares(table: list[int]) -> list[int]:
    """How many entries of an indirection table each queue has."""
    return [table.count(queue) for queue in range(max(table, default=-1) + 1)]


def device_napis(device: str) -> list[netdev.Napi]:
    """napi-get of a device of this thread's namespace; empty where it has none, or before Linux 6.8 lists any."""
    return netdev.napis_of(socket.if_nametoindex(device)) or []


def napis_of_queues(device: str, queues: Collection[int] | None) -> list[netdev.Napi]:
    """The NAPIs of these receive queues of a device, or all. Raises OSError where one has none, or nothing tells."""
    napis = device_napis(device)
    if queues is None:
        return napis
    by_queue = {queue: napi_id for napi_id, queue in netdev.rx_queues(socket.if_nametoindex(device)).items()}
    if missing := sorted(set(queues) - set(by_queue)):
        there = f"known: {', '.join(map(str, sorted(by_queue)))}" if by_queue else "the driver tells of none"
        raise OSError(errno.ENOENT, f"no NAPI of receive queue {missing[0]} ({there})", device)
    chosen = {by_queue[queue] for queue in queues}
    return [napi for napi in napis if napi.napi_id in chosen]


def napi_threads(device: str) -> list[int]:
    """Thread ids of the device's NAPIs; found by netlink, since the thread's name may carry an outdated NAPI id."""
    return [napi.pid for napi in device_napis(device) if napi.pid]


def _policy_of(pid: int) -> list[str | int]:
    names = {number: name for name, number in _POLICIES.items()}
    return [names.get(os.sched_getscheduler(pid), "?"), os.sched_getparam(pid).sched_priority]


def refusal(setting: Setting, where: str, error: OSError) -> PollbenchError:
    """The error for a write that came back: the host lacks it (the run is skipped), or refused it (failed)."""
    got = error.strerror or str(error)
    attempted = f"set {setting.name} to {setting.value}"
    if error.errno in _LACKS:
        todo = "this kernel or driver does not have it; `pollbench doctor` lists what works"
        return MissingError(attempted, where, got, todo)
    return PollbenchError(attempted, where, got, "see docs/experiment-file.md for the values the kernel takes")


@contextmanager
def host_settings(knobs: Knobs, journal: Journal) -> Iterator[list[KnobRow]]:
    """Host-wide sysctls, and the latency of CPUs, for the length of the block; the values found are put back."""
    rows = []
    with ExitStack() as stack:
        for name, setting in settings_of(knobs):
            try:
                if setting.target == "cpu_latency":
                    before, after = stack.enter_context(limited_latency(setting.value))
                else:
                    written = stack.enter_context(set_value(journal, sysctl_file(setting.name), setting.value))
                    before, after = int(written.found), int(written.applied)
            except OSError as error:
                raise refusal(setting, "this host", error) from error
            rows.append(checked_row("*", name, setting, setting.name, before, after, "this host"))
        yield rows


def socket_options(knobs: Knobs, wait: str) -> list[str]:
    """The load generator's options for the socket-scope knobs; epoll's only where there is an epoll instance."""
    argv: list[str] = []
    for _, setting in settings_of(knobs, "socket"):
        if setting.name == "EPIOCSPARAMS" and wait != "epoll":
            continue
        value = ",".join(map(str, setting.value)) if isinstance(setting.value, list) else str(setting.value)
        argv += [_SOCKET_OPTIONS[setting.name][0], value]
    return argv


def process_options(knobs: Knobs, cpus: Iterable[int] | None) -> Options:
    """Launch options of a node's processes: the node's CPUs, then whatever the process knob declares."""
    options: Options = {"cpus": list(cpus)} if cpus else {}
    declared = (setting for _, setting in settings_of(knobs, "process") if setting.target == "process")
    return options | {setting.name: setting.value for setting in declared}


def scheduling_of(pid: int) -> Options:
    """CPUs, policy, priority and nice value of a process, read from outside. Raises ProcessLookupError."""
    policy, priority = _policy_of(pid)
    return {
        "cpus": sorted(os.sched_getaffinity(pid)),
        "policy": policy,
        "priority": priority,
        "nice": os.getpriority(os.PRIO_PROCESS, pid),
    }


def program_rows(
    node: str, knobs: Knobs, readback: Mapping[str, object], targets: tuple[str, ...] = ("socket", "process")
) -> list[KnobRow]:
    """The rows of a process' own sockets and scheduling, as it reads them back. Raises PollbenchError."""
    rows = []
    for name, setting in settings_of(knobs):
        if setting.target in targets:
            key = _SOCKET_OPTIONS[setting.name][1] if setting.target == "socket" else setting.name
            after, where = readback.get(key) if key else None, f"{node}'s {setting.target}"
            rows.append(checked_row(node, name, setting, setting.name, None, after, where))
    return rows
