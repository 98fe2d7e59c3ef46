"""Emulated NICs with several queues: what their drivers take is read back, what they lack is a skip with its reason."""

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


def on(nic: str, **knobs: dict[str, Any]) -> dict[str, Any]:
    """A case over a pair of these NICs, interrupts on their nodes' CPUs, with these knobs at both ends."""
    nodes = {"client": {"cpus": "0"}, "server": {"cpus": "1"}}
    wire = {"nodes": nodes, "links": [{"between": ["client", "server"], "nic": nic}]}
    settings: dict[str, Any] = PINNED | ({"*": knobs} if knobs else {})
    return {"topology": wire, "settings": settings}


def rows_of(record: Any, knob: str) -> list[tuple[Any, Any]]:
    return [(row.requested, row.applied) for row in record.knobs if row.knob == knob]


def test_queues_and_their_flows(home: Home, results: Path, tmp_path: Path) -> None:
    if lack := find_emulator(home).lacks_nic("igb"):
        pytest.skip(lack)
    second: dict[str, dict[str, Any]] = {"channels": {"combined": 2}, "rss": {"weights": [0, 1]}}
    cases = {
        "igb": on("igb", **second, ethtool_coalesce={"rx-usecs": 20}),
        "polled": on("igb", channels={"combined": 2}, rss={"equal": 2}, busy_poll={"usecs": 500}),
        "threaded": on("igb", **second, threaded_napi={"mode": "on"}),
        "vmxnet3": on("vmxnet3"),
        "vmxnet3-again": on("vmxnet3") | {"workload": {"size": "65B"}},
        "too-many": on("igb", channels={"combined": 64}),
        "one-queue": on("virtio-net", channels={"combined": 2}),
        "no-usecs": on("virtio-net", ethtool_coalesce={"rx-usecs": 20}),
    }
    vm_run(experiment.write(tmp_path, cases=cases), results)
    found = ResultSet.latest(results, "small")
    assert found is not None
    made: dict[str, Any] = {record.case: record for record in found.records()}
    for case in ("igb", "polled", "threaded", "vmxnet3", "vmxnet3-again"):
        assert made[case].verdict == "valid", made[case].reasons
    for case in ("igb", "polled", "threaded"):
        assert rows_of(made[case], "channels") == [(2, 2), (2, 2)]
    assert rows_of(made["igb"], "rss") == [([0, 1], [0, 1])] * 2
    assert rows_of(made["igb"], "ethtool_coalesce") == [(20, 20)] * 2
    assert all(row.took_effect for row in made["igb"].knobs if row.knob == "irq_affinity")
    assert made["igb"].metrics["nic_irqs_per_packet"] > 0
    assert rows_of(made["polled"], "rss") == [(2, 2)] * 2
    assert made["polled"].metrics["server_polled_percent"] > 50
    skipped = {case: made[case].reasons[0] for case in ("too-many", "one-queue", "no-usecs")}
    assert "the device has at most 8 combined channels" in skipped["too-many"]
    assert "the device has at most 1 combined channels" in skipped["one-queue"]
    assert "Operation not supported" in skipped["no-usecs"]
