"""Settings of a node's devices, of the host and of programs: written, read back, refused; the kernel is made up."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import MissingError, PollbenchError
from harness.kernel import ethtool, interrupts, netdev
from harness.kernel.hostfiles import HostFiles
from harness.kernel.interrupts import Interrupt
from harness.kernel.netdev import Napi
from harness.knobs import KNOBS, Setting
from harness.run import knobs as apply
from harness.testbed import NodeHandle
from harness.topology.layout import NO_ADDRESS, PortLayout

PORTS = tuple(
    PortLayout("client", device, number, NO_ADDRESS, bytes(6), 0, 0, "server", ())
    for number, device in enumerate(("eth0", "eth1"), 2)
)


def napi(number: int, pid: int | None = None, **values: int) -> Napi:
    known: dict[str, Any] = dict.fromkeys(Napi._fields) | {"ifindex": 2, "napi_id": number, "pid": pid}
    return Napi(**(known | values))


class Kernel:
    """What it has of two devices; `deaf`: no value that is written stays."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.deaf = False
        self.features = {"eth0": {"rx-gro": False, "tx-tcp-segmentation": True}, "eth1": {"rx-gro": True}}
        self.napis = {"eth0": [napi(8, 70), napi(9)], "eth1": [napi(10, 71)]}
        self.coalescing = {"eth0": {"rx-usecs": 3}, "eth1": {"rx-usecs": 4}}
        self.feature_writes: list[tuple[str, dict[str, bool]]] = []
        for device, queues in (("eth0", 2), ("eth1", 1)):
            base = root / f"class/net/{device}"
            for queue in range(queues):
                (base / f"queues/rx-{queue}").mkdir(parents=True)
                (base / f"queues/rx-{queue}/rps_cpus").write_text("0\n")
            (base / "queues/tx-0").mkdir()
            (base / "gro_flush_timeout").write_text("7\n")

    @contextlib.contextmanager
    def sysfs_of(self, _fd: int) -> Iterator[HostFiles]:
        yield HostFiles(self.root)

    def features_of(self, device: str) -> dict[str, Any]:
        return {name: SimpleNamespace(active=on) for name, on in self.features[device].items()}

    def set_features(self, device: str, wanted: dict[str, bool]) -> None:
        self.feature_writes.append((device, wanted))
        for name, on in wanted.items():
            for bit in ethtool.SHORT_NAMES.get(name, (name,)):
                if not self.deaf and bit in self.features[device]:
                    self.features[device][bit] = on

    def napi_get(self, ifindex: int | None = None, napi_id: int | None = None) -> list[Napi]:
        if ifindex is not None:
            return self.napis[f"eth{ifindex - 2}"]
        return [one for napis in self.napis.values() for one in napis if one.napi_id == napi_id]

    def napi_set(self, napi_id: int, **values: int) -> None:
        for device, napis in self.napis.items():
            self.napis[device] = [
                one._replace(**values) if one.napi_id == napi_id and not self.deaf else one for one in napis
            ]

    def set_coalesce(self, device: str, values: dict[str, int]) -> None:
        self.coalescing[device] |= {} if self.deaf else values


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel(tmp_path)
    monkeypatch.setattr(apply, "in_netns", lambda _fd: contextlib.nullcontext())
    monkeypatch.setattr(apply, "sysfs_of", made.sysfs_of)
    monkeypatch.setattr("socket.if_nametoindex", lambda device: int(device[3:]) + 2)
    monkeypatch.setattr(ethtool, "features", made.features_of)
    monkeypatch.setattr(ethtool, "set_features", made.set_features)
    monkeypatch.setattr(ethtool, "coalesce", lambda device: dict(made.coalescing[device]))
    monkeypatch.setattr(ethtool, "set_coalesce", made.set_coalesce)
    monkeypatch.setattr(netdev, "napi_get", made.napi_get)
    monkeypatch.setattr(netdev, "napi_set", made.napi_set)
    return made


Told = list[tuple[str, Any, Any, Any]]


def applied(ports: int = 2, **knobs: dict[str, Any]) -> Told:
    models = {name: KNOBS[name](**fields) for name, fields in knobs.items()}
    rows = apply.NodeApplier(NodeHandle("client", "ns", "/ns", -1, PORTS[:ports])).apply(models)
    assert all((row.node, row.scope) == ("client", "device") and row.took_effect is None for row in rows)
    return [(row.setting, row.found, row.requested, row.applied) for row in rows]


def test_features_are_written_where_they_are_not_so_already(kernel: Kernel) -> None:
    assert applied(offloads={"gro": True}) == [("eth0 gro", False, True, True), ("eth1 gro", True, True, True)]
    assert kernel.feature_writes == [("eth0", {"gro": True})]
    # A short name is on when any of what it stands for is.
    assert applied(1, offloads={"tso": False}) == [("eth0 tso", True, False, False)]


def test_a_value_that_does_not_stay_is_no_result(kernel: Kernel) -> None:
    kernel.deaf = True
    with pytest.raises(PollbenchError) as caught:
        applied(offloads={"gro": True})
    assert caught.value.line() == "set eth0 gro to True on client/eth0: accepted, but it reads back False"


def test_files_of_a_device_and_masks_of_its_receive_queues(kernel: Kernel) -> None:
    assert applied(coalesce={"gro_flush_timeout": "20us"}) == [
        ("eth0 gro_flush_timeout", 7, 20_000, 20_000),
        ("eth1 gro_flush_timeout", 7, 20_000, 20_000),
    ]
    assert applied(rps={"cpus": "0,33"}) == [
        ("eth0 rx-0 rps_cpus", [], [0, 33], [0, 33]),
        ("eth0 rx-1 rps_cpus", [], [0, 33], [0, 33]),
        ("eth1 rx-0 rps_cpus", [], [0, 33], [0, 33]),
    ]
    assert (kernel.root / "class/net/eth0/queues/rx-1/rps_cpus").read_text().strip() == "2,00000001"


def test_a_file_that_the_kernel_lacks_is_a_skip(kernel: Kernel) -> None:
    with pytest.raises(MissingError) as caught:
        applied(coalesce={"napi_defer_hard_irqs": 5})
    assert caught.value.line() == (
        "set napi_defer_hard_irqs to 5 on client/eth0: No such file or directory; this kernel or driver does not have "
        "it; `pollbench doctor` lists what works"
    )


def test_each_napi_of_a_device_is_set_by_its_number(kernel: Kernel) -> None:
    kernel.napis["eth0"] = [napi(8, gro_flush_timeout=5), napi(9, gro_flush_timeout=6)]
    assert applied(1, coalesce={"gro_flush_timeout": "20us", "per": "napi"}) == [
        ("eth0 napi 8 gro_flush_timeout", 5, 20_000, 20_000),
        ("eth0 napi 9 gro_flush_timeout", 6, 20_000, 20_000),
    ]


def test_a_driver_s_coalescing(kernel: Kernel) -> None:
    assert applied(ethtool_coalesce={"rx-usecs": 20}) == [("eth0 rx-usecs", 3, 20, 20), ("eth1 rx-usecs", 4, 20, 20)]


def test_threads_of_napis_are_bound_and_scheduled(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = {70: {"cpus": {0, 1}, "policy": (os.SCHED_OTHER, 0)}, 71: {"cpus": {1}, "policy": (os.SCHED_BATCH, 0)}}
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: threads[pid]["cpus"])
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cpus: threads[pid].update(cpus=set(cpus)))
    monkeypatch.setattr(os, "sched_getscheduler", lambda pid: threads[pid]["policy"][0])  # type: ignore[index]
    monkeypatch.setattr(
        os,
        "sched_getparam",
        lambda pid: SimpleNamespace(sched_priority=threads[pid]["policy"][1]),  # type: ignore[index]
    )

    def set_scheduler(pid: int, policy: int, parameter: Any) -> None:
        threads[pid]["policy"] = (policy, parameter.sched_priority)

    monkeypatch.setattr(os, "sched_setscheduler", set_scheduler)
    for device in ("eth0", "eth1"):
        (kernel.root / f"class/net/{device}/threaded").write_text("0\n")
    assert apply.napi_threads("eth0") == [70]
    assert applied(threaded_napi={"cpus": "1", "policy": "fifo", "priority": 5}) == [
        ("eth0 threaded", 0, 1, 1),
        ("eth1 threaded", 0, 1, 1),
        ("eth0 napi thread 70 cpus", [0, 1], [1], [1]),
        ("eth1 napi thread 71 cpus", [1], [1], [1]),
        ("eth0 napi thread 70 policy", ["other", 0], ["fifo", 5], ["fifo", 5]),
        ("eth1 napi thread 71 policy", ["batch", 0], ["fifo", 5], ["fifo", 5]),
    ]


def test_interrupts_go_to_the_cpus_asked_for_or_there_are_none(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {"eth0": [Interrupt(24), Interrupt(25)], "eth1": []}
    at = {24: [0, 1], 25: [1]}
    monkeypatch.setattr(interrupts, "interrupts_of", lambda device, _host, _sysfs: lines[device])
    monkeypatch.setattr(interrupts, "affinity", lambda irq, _host: at[irq])
    monkeypatch.setattr(interrupts, "set_affinity", lambda irq, cpus, _host: at.update({irq: list(cpus)}))
    assert applied(1, irq_affinity={"cpus": "1"}) == [
        ("eth0 irq 24 cpus", [0, 1], [1], [1]),
        ("eth0 irq 25 cpus", [1], [1], [1]),
    ]
    with pytest.raises(MissingError, match="client/eth1: the device has no interrupts of its own"):
        applied(2, irq_affinity={"cpus": "1"})


@pytest.mark.parametrize(("number", "lists"), [(errno.EOPNOTSUPP, True), (errno.EPERM, False)])
def test_a_kernel_that_lists_no_napis_has_none_to_tell_of(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, number: int, lists: bool
) -> None:
    def refuse(*_: object) -> list[Napi]:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(netdev, "napi_get", refuse)
    if lists:
        assert apply.device_napis("eth0") == []
    else:
        with pytest.raises(OSError, match="not permitted"):
            apply.device_napis("eth0")


@pytest.mark.parametrize(
    ("number", "skipped"),
    [
        *((number, True) for number in (errno.EOPNOTSUPP, errno.ENOENT, errno.ENOSYS, errno.ENOPROTOOPT)),
        *((number, True) for number in (errno.EPERM, errno.EACCES)),
        *((number, False) for number in (errno.EINVAL, errno.EBUSY, errno.ERANGE)),
    ],
)
def test_what_the_host_lacks_is_a_skip_and_what_it_refuses_a_failure(number: int, skipped: bool) -> None:
    error = apply.refusal(Setting("sysfs", "threaded", 1), "client/eth0", OSError(number, os.strerror(number)))
    assert (type(error) is MissingError) is skipped
    assert error.line().startswith(f"set threaded to 1 on client/eth0: {os.strerror(number)}; ")
    assert ("doctor" in error.todo) is skipped
    assert apply.refusal(Setting("sysfs", "x", 1), "y", OSError("odd")).got == "odd"


def test_host_wide_sysctls_are_put_back_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"/proc/sys/net/core/busy_read": "0", "/proc/sys/net/core/busy_poll": "3"}

    @contextlib.contextmanager
    def set_value(_journal: object, path: str, value: object) -> Iterator[Any]:
        found, values[str(path)] = values[str(path)], str(value)
        yield SimpleNamespace(found=found, applied=values[str(path)])
        values[str(path)] = found

    monkeypatch.setattr(apply, "set_value", set_value)
    none: Any = None
    knobs = models(host_busy_poll={"busy_read": 50, "busy_poll": 60})
    with apply.host_settings(knobs, none) as rows:
        assert sorted(values.values()) == ["50", "60"]
        told = {(row.node, row.setting, row.scope, row.found, row.applied) for row in rows}
        assert told == {("*", "net.core.busy_read", "host", 0, 50), ("*", "net.core.busy_poll", "host", 3, 60)}
    assert sorted(values.values()) == ["0", "3"]

    def lacks(*_: object) -> None:
        raise OSError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(apply, "set_value", lacks)
    with pytest.raises(MissingError, match="on this host: No such file"), apply.host_settings(knobs, none):
        pass


# -- programs ------------------------------------------------------------------------------------------------


def models(**knobs: dict[str, Any]) -> Any:
    return {name: KNOBS[name](**fields) for name, fields in knobs.items()}


def test_our_own_generator_is_told_by_options() -> None:
    fields = {"usecs": 70, "prefer": True, "budget": 16}
    knobs = models(busy_poll=fields, epoll_busy_poll={"usecs": 60, "prefer": True}, rps={"cpus": "0"})
    polling = ["--busy-poll", "70", "--prefer-busy-poll", "1", "--busy-poll-budget", "16"]
    assert apply.socket_options(knobs, "blocking") == polling
    assert apply.socket_options(knobs, "epoll") == [*polling, "--epoll-busy-poll", "60,0,1"]
    others = {"incoming_cpu": 1, "rcvlowat": 64, "max_pacing": "80mbit", "nodelay": False, "quickack": True}
    assert apply.socket_options(models(socket_options=others), "blocking") == [
        *("--incoming-cpu", "1", "--rcvlowat", "64", "--max-pacing-rate", "10000000"),
        *("--nodelay", "0", "--quickack", "1"),
    ]


def test_how_programs_are_launched() -> None:
    assert apply.process_options({}, None) == {} == apply.process_options({}, ())
    assert apply.process_options({}, (1, 2)) == {"cpus": [1, 2]}
    knobs = models(process={"cpus": "3", "policy": "fifo", "priority": 4}, busy_poll={})
    assert apply.process_options(knobs, (1,)) == {"cpus": [3], "policy": "fifo", "priority": 4}


def test_how_a_process_is_scheduled_is_read_from_outside() -> None:
    found = apply.scheduling_of(os.getpid())
    assert found["cpus"] == sorted(os.sched_getaffinity(0))
    assert found["nice"] == os.getpriority(os.PRIO_PROCESS, 0)
    assert (found["policy"], found["priority"]) in (("other", 0), ("batch", 0), ("idle", 0))


def test_rows_of_a_program_s_own_sockets_and_scheduling() -> None:
    knobs = models(busy_poll={"usecs": 70, "budget": 16}, process={"policy": "fifo", "priority": 4}, rps={"cpus": "0"})
    readback = {"busy_poll": 70, "policy": "fifo", "priority": 4}
    rows = apply.program_rows("a", knobs, readback)
    assert {row.setting: (row.node, row.knob, row.found, row.applied) for row in rows} == {
        "SO_BUSY_POLL": ("a", "busy_poll", None, 70),
        "SO_BUSY_POLL_BUDGET": ("a", "busy_poll", None, None),
        "policy": ("a", "process", None, "fifo"),
        "priority": ("a", "process", None, 4),
    }
    assert [row.setting for row in apply.program_rows("a", knobs, readback, ("process",))] == ["policy", "priority"]
    with pytest.raises(PollbenchError, match="set SO_BUSY_POLL to 70 on a's socket: accepted, but it reads back 60"):
        apply.program_rows("a", knobs, readback | {"busy_poll": 60})
    with pytest.raises(PollbenchError, match="set priority to 4 on a's process: accepted, but it reads back 5"):
        apply.program_rows("a", knobs, readback | {"priority": 5})
