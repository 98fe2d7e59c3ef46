"""Whole runs on real links: the figures, the proof that a knob took effect, and the verdict when it did not."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.kernel import facts
from harness.kernel.hostfiles import HOST, sysctl_file
from harness.kernel.journal import open_journal, set_value
from harness.run.runner import make_run
from harness.signals import stop_on_signals
from tests import experiment

POLL = {"busy_poll": {"usecs": 50}}


def record_of(tmp_path: Path, **changes: Any) -> Any:
    """The record of the first run of the document."""
    plan = experiment.plan(tmp_path, **changes)
    with stop_on_signals() as stopper:
        record, _, _ = make_run(plan.runs[0], facts.environment(), stopper)
    return record


def settings(knobs: dict[str, Any], node: str = "*") -> dict[str, Any]:
    return {node: knobs}


def test_base_is_valid_and_unpolled(tmp_path: Path) -> None:
    record = record_of(tmp_path, workload=experiment.document()["workload"] | {"duration": "400ms"})
    assert (record.verdict, record.reasons) == ("valid", ())
    metrics = record.metrics
    assert record.datapath == "plain"
    assert metrics["requests"] > 100 and metrics["lost"] == 0
    assert metrics["client_polled_percent"] == metrics["server_polled_percent"] == 0
    assert metrics["rtt_min_us"] <= metrics["rtt_p50_us"] <= metrics["rtt_max_us"]
    assert metrics["rate_rps"] == pytest.approx(1e6 / metrics["rtt_mean_us"], rel=0.2)
    # A blocking receive sleeps once per request.
    assert metrics["server_voluntary_per_request"] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_busy_poll_polls_and_no_longer_sleeps(tmp_path: Path, protocol: str, family: str) -> None:
    document = experiment.document()
    record = record_of(
        tmp_path,
        settings=settings(POLL),
        workload=document["workload"] | {"protocol": protocol},
        topology=document["topology"] | {"family": family},
    )
    assert (record.verdict, record.reasons) == ("valid", ())
    metrics = record.metrics
    assert record.datapath == "napi"
    assert metrics["client_polled_percent"] > 50 and metrics["server_polled_percent"] > 50
    assert metrics["client_napi_id"] > 0 and metrics["server_napi_id"] > 0
    assert metrics["server_voluntary_per_request"] < 0.5
    assert {row.took_effect for row in record.knobs} == {True}


def test_busy_poll_without_a_napi_is_inert_not_fast(tmp_path: Path) -> None:
    topology = experiment.document()["topology"] | {"datapath": "plain"}
    record = record_of(tmp_path, settings=settings(POLL), topology=topology)
    assert record.verdict == "inert"
    assert "busy_poll on client took no effect" in record.reasons[0]
    assert "SO_INCOMING_NAPI_ID 0" in record.reasons[0]
    assert record.metrics["server_polled_percent"] == 0
    # The socket option itself was accepted and reads back: that alone proves nothing.
    assert [row.applied for row in record.knobs] == [50, 50]
    assert {row.took_effect for row in record.knobs} == {False}


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_workload_from_a_node_to_itself_goes_over_loopback(tmp_path: Path, family: str) -> None:
    document = experiment.document()
    record = record_of(
        tmp_path,
        settings=settings(POLL, "server"),
        workload=document["workload"] | {"from": "server"},
        topology=document["topology"] | {"family": family, "datapath": "plain"},
    )
    assert record.verdict == "inert"
    assert "SO_INCOMING_NAPI_ID 0" in record.reasons[0]
    metrics = record.metrics
    assert metrics["requests"] > 10
    assert metrics["server_polled_percent"] == metrics["server_napi_id"] == 0
    # Both directions are still taken by a softirq.
    assert metrics["net_rx_per_request"] > 1


def test_one_case_that_needs_a_napi_gives_it_to_all_cases(tmp_path: Path) -> None:
    plan = experiment.plan(tmp_path, cases={"base": {}, "polled": {"settings": settings(POLL)}})
    assert {run.cell.spec.napi for run in plan.runs} == {True}


def test_epoll_server_is_not_reached_by_the_socket_option(tmp_path: Path) -> None:
    workload = experiment.document()["workload"] | {"wait": "epoll"}
    record = record_of(tmp_path, settings=settings(POLL), workload=workload)
    assert record.verdict == "inert"
    record = record_of(tmp_path, settings=settings({"epoll_busy_poll": {"usecs": 50}}), workload=workload)
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.knobs[0].applied == [50, 0, 0]


def test_host_wide_busy_read_reaches_the_sockets_and_is_put_back(tmp_path: Path) -> None:
    before = HOST.read(sysctl_file("net.core.busy_read"))
    record = record_of(tmp_path, settings=settings({"host_busy_poll": {"busy_read": 50}}))
    assert (record.verdict, record.reasons) == ("valid", ())
    (row,) = record.knobs
    assert (row.scope, row.requested, row.found, row.applied) == ("host", 50, int(before), 50)
    assert HOST.read(sysctl_file("net.core.busy_read")) == before


def test_a_host_that_polls_unasked_makes_its_base_suspect(tmp_path: Path) -> None:
    topology = experiment.document()["topology"] | {"datapath": "napi"}
    with open_journal() as journal, set_value(journal, sysctl_file("net.core.busy_read"), 50):
        record = record_of(tmp_path, topology=topology)
    assert record.verdict == "suspect"
    assert "though no knob asked for it" in record.reasons[0]


def test_half_a_deferral_is_inert(tmp_path: Path) -> None:
    record = record_of(tmp_path, settings=settings({"coalesce": {"napi_defer_hard_irqs": 100}}))
    assert record.verdict == "inert"
    assert "gro_flush_timeout is 0" in record.reasons[0]


@pytest.mark.parametrize("per", ["device", "napi"])
def test_deferral_slows_a_ping_pong_by_its_timeout(tmp_path: Path, per: str) -> None:
    coalesce = {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "2ms", "per": per}
    record = record_of(tmp_path, settings=settings({"coalesce": coalesce}, "server"))
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.metrics["rtt_p50_us"] > 1500


def test_irq_suspend_timeout_is_set_per_napi(tmp_path: Path) -> None:
    knob = {"napi_defer_hard_irqs": 2, "gro_flush_timeout": "50us", "irq_suspend_timeout": "20ms"}
    record = record_of(tmp_path, settings=settings({"coalesce": knob}))
    rows = {row.setting.split()[-1]: row for row in record.knobs if row.node == "server"}
    assert rows["irq_suspend_timeout"].applied == 20_000_000
    assert rows["gro_flush_timeout"].applied == 50_000


def test_threaded_napi_runs_its_threads_where_told(tmp_path: Path) -> None:
    knob = {"mode": "on", "cpus": "1", "policy": "fifo", "priority": 10}
    record = record_of(tmp_path, settings=settings({"threaded_napi": knob}))
    assert (record.verdict, record.reasons) == ("valid", ())
    applied = {row.setting.split()[-1]: row.applied for row in record.knobs}
    assert applied == {"threaded": 1, "cpus": [1], "policy": ["fifo", 10]}
    assert record.nodes["server"]["napi_threads_cpu_ms"] > 0


def test_what_the_driver_lacks_is_skipped_with_a_reason(tmp_path: Path) -> None:
    record = record_of(tmp_path, settings=settings({"ethtool_coalesce": {"rx-usecs": 10}}))
    assert record.verdict == "skipped"
    assert "set rx-usecs to 10 on client/eth0: Operation not supported" in record.reasons[0]
    assert record.metrics == {}


def test_channels_are_read_back_and_more_than_there_are_is_a_skip(tmp_path: Path) -> None:
    topology = experiment.document()["topology"]
    topology["links"][0] |= {"queues": 2}
    record = record_of(tmp_path, settings=settings({"channels": {"tx": 1}}), topology=topology)
    assert (record.verdict, record.reasons) == ("valid", ())
    assert [(row.found, row.applied) for row in record.knobs] == [(2, 1), (2, 1)]
    record = record_of(tmp_path, settings=settings({"channels": {"rx": 3}}), topology=topology)
    assert record.verdict == "skipped"
    assert "the device has at most 2 rx channels" in record.reasons[0]
    record = record_of(tmp_path, settings=settings({"rss": {"equal": 1}}))
    assert record.verdict == "skipped"
    assert "set equal to 1 on client/eth0: Operation not supported" in record.reasons[0]


def test_a_value_the_kernel_refuses_fails_the_run(tmp_path: Path) -> None:
    knob = {"napi_defer_hard_irqs": 1, "gro_flush_timeout": "1us", "per": "napi"}
    plain = experiment.document()["topology"] | {"datapath": "plain"}
    record = record_of(tmp_path, settings=settings({"coalesce": knob}), topology=plain)
    # Without a NAPI there is nothing to set per NAPI.
    assert record.verdict == "inert" and "no NAPI" in record.reasons[0]


def test_offloads_read_back_and_can_break_the_datapath(tmp_path: Path) -> None:
    record = record_of(tmp_path, settings=settings(POLL | {"offloads": {"gro": "off"}}))
    assert record.verdict == "inert"
    rows = [row for row in record.knobs if row.knob == "offloads"]
    assert {(row.requested, row.found, row.applied) for row in rows} == {(False, True, False)}


def test_process_knob_is_read_back_from_the_process(tmp_path: Path) -> None:
    knob = {"process": {"cpus": "0", "policy": "fifo", "priority": 7}}
    record = record_of(tmp_path, settings=settings(knob, "server"))
    assert {row.setting: row.applied for row in record.knobs} == {"cpus": [0], "policy": "fifo", "priority": 7}


def test_hogs_take_what_they_were_told_of_an_idle_cpu(tmp_path: Path) -> None:
    workload = experiment.document()["workload"] | {"duration": "500ms", "from": "client"}
    contention = {"on": "server.cpus", "kind": "spin", "load": "30%"}
    record = record_of(tmp_path, contention=contention, workload=workload)
    assert record.metrics["hog_achieved_percent"] == pytest.approx(30, abs=12)
    assert record.contention.cpus == "1"


def test_kernel_without_netem_skips_with_the_remedy(tmp_path: Path) -> None:
    if _has_netem():
        pytest.skip("this kernel has netem")
    topology = experiment.document()["topology"]
    links = [topology["links"][0] | {"shape": {"delay": "1ms"}}]
    record = record_of(tmp_path, topology=topology | {"links": links})
    assert record.verdict == "skipped"
    assert "netem" in record.reasons[0] and "load the module" in record.reasons[0]


def _has_netem() -> bool:
    command = ["unshare", "-n", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    return shutil.which("tc") is not None and subprocess.run(command, capture_output=True).returncode == 0
