"""What a run says of its settings on real links: already so, no traffic, masked, changed underneath."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.kernel import ethtool, facts
from harness.kernel.netns import in_netns
from harness.run import standing
from harness.run.runner import make_run
from harness.signals import stop_on_signals
from harness.store import RunRecord
from harness.testbed import Testbed as Bed
from tests import experiment

IDLE = {
    "datapath": "napi",
    "nodes": {"client": {"cpus": "0"}, "server": {"cpus": "1"}, "idle": {}},
    "links": [{"between": ["client", "server"]}, {"between": ["client", "idle"]}],
}


def record_of(tmp_path: Path, **changes: Any) -> RunRecord:
    plan = experiment.plan(tmp_path, **changes)
    with stop_on_signals() as stopper:
        record, _, _ = make_run(plan.runs[0], facts.environment(), stopper)
    return record


def test_gro_off_where_it_was_off_is_already_so(tmp_path: Path) -> None:
    topology = experiment.document()["topology"] | {"datapath": "plain"}
    record = record_of(tmp_path, topology=topology, settings={"server": {"offloads": {"gro": "off"}}})
    (row,) = record.knobs
    assert (row.found, row.took_effect, row.evidence) == (False, False, "already so: nothing changed")
    assert not any("took no effect" in reason for reason in record.reasons)


@pytest.mark.parametrize(
    "knob",
    [
        {"threaded_napi": {"mode": "on"}},
        {"coalesce": {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "20us"}},
        {"rps": {"cpus": "1"}},
        {"offloads": {"gro": "off"}},
    ],
)
def test_a_setting_on_a_node_without_traffic_acts_on_nothing(tmp_path: Path, knob: dict[str, Any]) -> None:
    record = record_of(tmp_path, topology=IDLE, settings={"idle": knob})
    assert record.verdict == "inert"
    assert {row.took_effect for row in record.knobs} == {False}
    assert "took no effect: no traffic to act on" in record.reasons[0]


def test_steering_is_told_of_the_node_that_has_the_traffic(tmp_path: Path) -> None:
    # A veth's packets arrive on the sender's CPU: they are steered to the other one.
    both = {node: {"rps": {"cpus": "1"}} for node in ("idle", "server")}
    record = record_of(tmp_path, topology=IDLE, settings=both)
    took = {row.node: row.took_effect for row in record.knobs}
    assert took["idle"] is False and took["server"] is True
    assert not any("took no effect" in reason for reason in record.reasons)


def test_deferral_beside_busy_polling_is_masked_by_it(tmp_path: Path) -> None:
    knobs = {"busy_poll": {"usecs": 50000}, "coalesce": {"napi_defer_hard_irqs": 1, "gro_flush_timeout": "20us"}}
    record = record_of(tmp_path, settings={"server": knobs})
    reasons = [reason for reason in record.reasons if "coalesce on server" in reason]
    if (record.metrics["server_polled_percent"] or 0) < 99:
        assert reasons == []  # a crowded machine let it sleep
    else:
        assert "masked by busy_poll on server" in reasons[0]


def _meddled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, meddle: Callable[[Bed], None], **changes: Any
) -> RunRecord:
    """The record of a run during whose window somebody meddles with its testbed."""
    read = standing.read

    def and_meddle(testbed: Bed) -> standing.Standing:
        first = read(testbed)
        if not meddled.is_set():
            meddled.set()
            threading.Timer(0.2, meddle, [testbed]).start()
        return first

    meddled = threading.Event()
    monkeypatch.setattr(standing, "read", and_meddle)
    workload = experiment.document()["workload"] | {"duration": "500ms"}
    return record_of(tmp_path, workload=workload, **changes)


def test_a_feature_switched_off_underneath_makes_the_run_suspect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gro_off(testbed: Bed) -> None:
        node = testbed.nodes["server"]
        with in_netns(node.fd):
            ethtool.set_features(node.ports[0].device, {"gro": False})

    topology = experiment.document()["topology"] | {"datapath": "napi"}
    record = _meddled(monkeypatch, tmp_path, gro_off, topology=topology)
    assert record.verdict == "suspect"
    assert any(
        "rx-gro of server/eth0 changed underneath, during the run: from on to off" in reason
        for reason in record.reasons
    )


def test_nothing_is_said_of_a_run_that_nobody_meddled_with(tmp_path: Path) -> None:
    knobs = {"coalesce": {"napi_defer_hard_irqs": 1, "gro_flush_timeout": "20us"}, "threaded_napi": {}}
    record = record_of(tmp_path, settings={"*": knobs | {"rps": {"cpus": "0"}}})
    assert not any("underneath" in reason for reason in record.reasons)


def test_a_shaper_deleted_underneath_makes_the_run_suspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def delete(testbed: Bed) -> None:
        node = testbed.nodes["client"]
        with in_netns(node.fd):
            subprocess.run(["tc", "qdisc", "del", "dev", node.ports[0].device, "root"], check=True)

    topology = experiment.document()["topology"]
    topology["links"][0] |= {"shape": {"rate": "100mbit"}}
    record = _meddled(monkeypatch, tmp_path, delete, topology=topology)
    assert any("qdisc" in reason and "client/eth0 changed underneath" in reason for reason in record.reasons)
