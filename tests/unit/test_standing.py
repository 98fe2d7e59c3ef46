"""What changed underneath a run, in words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.kernel import ethtool
from harness.kernel.hostfiles import HostFiles
from harness.kernel.netdev import Napi
from harness.run import knobs as apply
from harness.run import standing
from harness.run.standing import StandingSetting, differences
from harness.testbed import NodeHandle, Testbed
from harness.topology.layout import NO_ADDRESS, PortLayout

GRO = StandingSetting("server", "eth0", "rx-gro")
SHAPER = StandingSetting("server", "eth0", "qdisc at parent ffffffff")
BUSY = StandingSetting("", "", "net.core.busy_read")


def test_nothing_changed_is_nothing_said() -> None:
    assert differences({GRO: "on"}, {GRO: "on"}) == ()


def test_a_feature_that_went_off_or_came_on() -> None:
    assert differences({GRO: "on"}, {}) == ("rx-gro of server/eth0 changed underneath, during the run: from on to off",)
    assert differences({}, {GRO: "on"})[0].endswith("from off to on")


def test_a_qdisc_that_was_deleted_and_a_host_that_polls_now() -> None:
    before = {SHAPER: "netem (delay 100)", BUSY: "0"}
    assert differences(before, {SHAPER: "noqueue", BUSY: "50"}) == (
        "qdisc at parent ffffffff of server/eth0 changed underneath, during the run: from netem (delay 100) to noqueue",
        "net.core.busy_read of the host changed underneath, during the run: from 0 to 50",
    )
    assert differences(before, {BUSY: "0"})[0].endswith("to not there")


def test_a_link_that_our_own_program_restarts_is_no_change() -> None:
    state = StandingSetting("server", "eth0", "operstate")
    before, after = {state: "up", GRO: "on"}, {state: "down"}
    assert len(differences(before, after)) == 2
    assert differences(before, after, {("server", "eth0")}) == differences({GRO: "on"}, {})


# -- read ----------------------------------------------------------------------------------------------------

PORTS = (
    PortLayout("server", "eth0", 2, NO_ADDRESS, bytes(6), 0, 0, "client", ()),
    PortLayout("server", "gone0", 3, NO_ADDRESS, bytes(6), 0, 0, "client", ()),
)
SYSFS = {
    "class/net/eth0/mtu": "1500",
    "class/net/eth0/operstate": "unknown",
    "class/net/eth0/threaded": "0",
    "class/net/eth0/queues/rx-1/rps_cpus": "2",
    "class/net/eth0/queues/rx-0/rps_cpus": "1",
    "class/net/eth0/queues/tx-0/xps_cpus": "3",
}


def test_all_that_a_knob_or_a_link_can_set_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in SYSFS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")

    @contextlib.contextmanager
    def sysfs_of(_fd: int) -> Iterator[HostFiles]:
        yield HostFiles(tmp_path)

    host = tmp_path / "host"
    (host / "proc/sys/net/core").mkdir(parents=True)
    # A kernel without busy_poll.
    (host / "proc/sys/net/core/busy_read").write_text("50\n")
    (host / "proc/sys/net/core/rmem_default").write_text("4194304\n")

    napi = Napi(2, 8, None, None, 5, None, None, 1)
    discs = [
        SimpleNamespace(ifindex=2, parent=0xFFFFFFFF, kind="tbf", options={"rate": 5, "burst": 4}),
        SimpleNamespace(ifindex=2, parent=0x10001, kind="pfifo", options={}),
        SimpleNamespace(ifindex=9, parent=0xFFFFFFFF, kind="other", options={}),
    ]
    monkeypatch.setattr(standing, "in_netns", lambda _fd: contextlib.nullcontext())
    monkeypatch.setattr(standing, "sysfs_of", sysfs_of)
    monkeypatch.setattr(standing, "qdisc_dump", lambda _fd: discs)
    monkeypatch.setattr("socket.if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    monkeypatch.setattr(ethtool, "active_features", lambda device: [f"rx-gro of {device}"])
    monkeypatch.setattr(ethtool, "rings", lambda _device: {"rx": (256, 512)})
    monkeypatch.setattr(apply, "device_napis", lambda _device: [napi])
    monkeypatch.setattr(standing, "HOST", HostFiles(host))
    none: Any = None
    bed = Testbed("token", {"server": NodeHandle("server", "ns", "/ns", -1, PORTS)}, none, [])
    found = standing.read(bed)
    assert found.pop(BUSY) == "50"
    assert found.pop(StandingSetting("", "", "net.core.rmem_default")) == "4194304"
    assert {place[:2] for place in found} == {("server", "eth0")}
    assert {place.setting: value for place, value in found.items()} == {
        "rx-gro of eth0": "on",
        "rx ring": "256",
        "NAPI 0": "id 8 (defer_hard_irqs 5, threaded 1)",
        "mtu": "1500",
        # A link that carries, before the kernel's link watch has been at it: no run may find it changed later.
        "operstate": "up",
        "threaded": "0",
        "queues/rx-0/rps_cpus": "1",
        "queues/rx-1/rps_cpus": "2",
        "queues/tx-0/xps_cpus": "3",
        "qdisc at parent ffffffff": "tbf (burst 4, rate 5)",
        "qdisc at parent 10001": "pfifo",
    }
    assert list(found)[-5].setting == "queues/rx-0/rps_cpus"
    device, state = tmp_path / "class/net/eth0", StandingSetting("server", "eth0", "operstate")
    (device / "operstate").write_text("down\n")
    assert standing.read(bed)[state] == "down"
    (device / "carrier").write_text("1\n")
    assert standing.read(bed)[state] == "up"
