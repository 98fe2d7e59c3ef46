"""What only a guest has: NICs with queues and interrupts, netem, control groups of its own, any kernel's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.places.vm.emulator import find_emulator
from harness.places.vm.home import Home
from harness.store import ResultSet
from tests import experiment
from tests.vm.conftest import vm_run

PINNED = {"client": {"irq_affinity": {"cpus": "0"}}, "server": {"irq_affinity": {"cpus": "1"}}}
ISOLATED = {"server": {"cgroup": {"partition": "isolated", "cpus": "1"}}}
SECOND: dict[str, dict[str, Any]] = {"channels": {"combined": 2}, "rss": {"weights": [0, 1]}}


def over(**link: Any) -> dict[str, Any]:
    """Two nodes with a CPU each, and this link."""
    nodes = {"client": {"cpus": "0"}, "server": {"cpus": "1"}}
    return {"nodes": nodes, "links": [{"between": ["client", "server"], **link}]}


def on(nic: str, **knobs: dict[str, Any]) -> dict[str, Any]:
    """A case over a pair of these NICs, interrupts on their nodes' CPUs, with these knobs at both ends."""
    settings: dict[str, Any] = PINNED | ({"*": knobs} if knobs else {})
    return {"topology": over(nic=nic), "settings": settings}


def rows_of(record: Any, knob: str) -> list[tuple[Any, Any]]:
    return [(row.requested, row.applied) for row in record.knobs if row.knob == knob]


QUEUES = {
    "igb-queues": on("igb", **SECOND, ethtool_coalesce={"rx-usecs": 20}),
    "polled": on("igb", channels={"combined": 2}, rss={"equal": 2}, busy_poll={"usecs": 500}),
    "threaded": on("igb", **SECOND, threaded_napi={"mode": "on"}),
    "vmxnet3": on("vmxnet3"),
    "vmxnet3-again": on("vmxnet3") | {"workload": {"size": "65B"}},
    "too-many": on("igb", channels={"combined": 64}),
    "one-queue": on("virtio-net", channels={"combined": 2}),
    "no-usecs": on("virtio-net", ethtool_coalesce={"rx-usecs": 20}),
}
GUEST = {
    "nic": on("e1000e"),
    "usecs": {"topology": over(nic="e1000e"), "settings": {"*": {"ethtool_coalesce": {"rx-usecs": 500}}}},
    "igb": {"topology": over(nic="igb")},
    "netem": {"topology": over(shape={"delay": "5ms"})},
    "quota": {"settings": {"server": {"cgroup": {"quota": "50ms"}}}},
    "isolated": {"settings": ISOLATED},
    "hogs": {"contention": {"on": "server.cpus", "cgroup": {"quota": "10ms", "period": "50ms"}}},
}
REFUSED = {
    # A word that the kernel does not know: no figure is better than one of another machine.
    "typo": {"vm": {"cmdline": "isolcpu=1"}},
    # The kernel takes the CPU away from the partition, says so in the file, and reports no error.
    "taken": {"settings": ISOLATED, "vm": {"cmdline": "isolcpus=1", "profile": "none"}},
}


def test_what_only_a_guest_has(home: Home, results: Path, tmp_path: Path) -> None:
    """In one guest, which has NICs of every model: its start takes longer than all these runs."""
    vm_run(experiment.write(tmp_path, cases=QUEUES | GUEST), results)
    made, profiles = made_in(results)
    assert profiles["latency"]["huge_pages"] in ("changed", "ok")
    assert profiles["latency"]["cpu_governor"] == "not applicable"
    assert "failed" not in profiles["latency"].values()
    the_guests_own(made)
    if lack := find_emulator(home).lacks_nic("igb"):
        pytest.skip(lack)
    queues_and_their_flows(made)


def test_what_a_kernel_does_not_take_is_no_result(home: Home, results: Path, tmp_path: Path) -> None:
    # Nobody comes back to machines like these, so they are booted: to save them would take longer.
    vm_run(experiment.write(tmp_path, cases=REFUSED), results, "--snapshots", "no")
    made, profiles = made_in(results)
    assert made["typo"].verdict == "failed"
    assert "this kernel does not know isolcpu=1" in made["typo"].reasons[0]
    assert made["taken"].verdict == "failed"
    assert "isolated invalid (partition config conflicts with housekeeping" in made["taken"].reasons[0]
    assert profiles["none"] == {}


def made_in(results: Path) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """Records by case, and how the guests were set by profile: a state for each setting."""
    found = ResultSet.latest(results, "small")
    assert found is not None
    profiles = {
        guest["machine"]["profile"]: {row["name"]: row["state"] for row in guest["found"]["host"]}
        for guest in found.manifest["guests"]
    }
    return {record.case: record for record in found.records()}, profiles


def the_guests_own(made: dict[str, Any]) -> None:
    """NICs with interrupts and settings, netem, control groups."""
    assert made["nic"].verdict == "valid", made["nic"].reasons
    affinity = [row for row in made["nic"].knobs if row.knob == "irq_affinity"]
    assert affinity
    assert all(row.took_effect and row.applied == row.requested for row in affinity)
    assert made["nic"].metrics["nic_irqs_per_packet"] > 0
    assert {row.applied for row in made["usecs"].knobs} == {500}
    assert made["igb"].verdict in ("valid", "skipped")
    assert made["netem"].metrics["rtt_min_us"] >= 10_000
    # By how much late packets come is the host's noise here: an emulated CPU in real time.
    assert {row.check for row in made["netem"].link_checks} == {"delay"}
    assert made["quota"].verdict == "valid", made["quota"].reasons
    isolated = {row.setting: row for row in made["isolated"].knobs}
    assert isolated["cpuset.cpus.partition"].applied == "isolated"
    assert "its processes may run on CPU 1" in isolated["cpuset.cpus"].evidence
    (hogs,) = made["hogs"].knobs
    assert (hogs.node, hogs.applied, hogs.took_effect) == ("hogs+", "10000 50000", True), hogs
    assert hogs.evidence.split("throttled in ")[1][0] != "0"


def queues_and_their_flows(made: dict[str, Any]) -> None:
    """What drivers take is read back, what they lack is a skip with its reason."""
    for case in ("igb-queues", "polled", "threaded", "vmxnet3", "vmxnet3-again"):
        assert made[case].verdict == "valid", made[case].reasons
    for case in ("igb-queues", "polled", "threaded"):
        assert rows_of(made[case], "channels") == [(2, 2), (2, 2)]
    assert rows_of(made["igb-queues"], "rss") == [([0, 1], [0, 1])] * 2
    assert rows_of(made["igb-queues"], "ethtool_coalesce") == [(20, 20)] * 2
    assert all(row.took_effect for row in made["igb-queues"].knobs if row.knob == "irq_affinity")
    assert made["igb-queues"].metrics["nic_irqs_per_packet"] > 0
    assert rows_of(made["polled"], "rss") == [(2, 2)] * 2
    assert made["polled"].metrics["server_polled_percent"] > 50
    skipped = {case: made[case].reasons[0] for case in ("too-many", "one-queue", "no-usecs")}
    assert "the device has at most 8 combined channels" in skipped["too-many"]
    assert "the device has at most 1 combined channels" in skipped["one-queue"]
    assert "Operation not supported" in skipped["no-usecs"]
