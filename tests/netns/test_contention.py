"""Contention of every kind: what the hogs had, what the server lost by it, and nothing left behind."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import experiment
from tests.netns.test_unmodified import ENDS, record_of

WORKLOAD = {"kind": "ping-pong", **ENDS, "warmup": "50ms", "duration": "500ms"}
needs_stress_ng = pytest.mark.skipif(shutil.which("stress-ng") is None, reason="stress-ng is not installed")


# How much of their share others on this machine leave to the hogs is not what these tests are about.
PATIENT = experiment.NO_NOISE_LIMITS | {"max_hog_error": "100%"}


def contended(tmp_path: Path, checks: Any = PATIENT, **contention: Any) -> Any:
    """The record of a run with this contention on the server's CPUs."""
    contention = {"on": "server.cpus"} | contention
    record, _, _ = record_of(tmp_path, workload=WORKLOAD, contention=contention, checks=checks)
    return record


@pytest.mark.parametrize("kind", ["spin", "syscall", "cache", "memory", "network", "poller"])
def test_every_kind_keeps_its_duty(tmp_path: Path, kind: str) -> None:
    record = contended(tmp_path, kind=kind, load="40%")
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.contention.kind == kind
    # A server that wakes pushes the hog aside, which has less CPU time for it then.
    assert 10 < record.metrics["hog_achieved_percent"] < 60


def test_network_contention_is_softirq_time(tmp_path: Path) -> None:
    quiet = contended(tmp_path, kind="spin", load="0%")
    record = contended(tmp_path, kind="network")
    assert record.cpus["1"]["net_rx_count"] > quiet.cpus["1"]["net_rx_count"]


def test_a_full_hog_makes_the_server_wait_for_its_cpu(tmp_path: Path) -> None:
    """Others on this machine make it wait, too, in either run; that it is they in three pairs of runs is no chance."""
    for _ in range(3):
        quiet = contended(tmp_path, kind="spin", load="0%").metrics
        # A real-time hog lets the server have only what the throttle leaves.
        metrics = contended(tmp_path, kind="spin", load="30%", period="20ms", policy="fifo", priority=5).metrics
        assert metrics["hog_achieved_percent"] == pytest.approx(30, abs=8)
        more = metrics["server_runqueue_wait_percent"] - quiet["server_runqueue_wait_percent"]
        if more > 10 and metrics["server_runqueue_wait_us"] > quiet["server_runqueue_wait_us"]:
            return
    pytest.fail(f"the hog made it wait for {more} % more of the window")


def test_cpus_are_kept_awake_by_what_gives_way_at_once(tmp_path: Path) -> None:
    record = contended(tmp_path, load="0%", awake=True)
    assert (record.verdict, record.reasons, record.contention.awake) == ("valid", (), "on")
    assert record.metrics["set_idle_percent"] < 2
    # The server still sleeps for each request, and is there as soon as it is woken; what kept its CPU awake is no cost.
    assert record.metrics["server_voluntary_per_request"] > 0.5
    assert record.metrics["hog_achieved_percent"] == 0.0
    per_second = record.metrics["rate_rps"] * record.metrics["set_cpu_us_per_request"]
    assert per_second < 1.9e6


@needs_stress_ng
def test_any_stressor_by_name(tmp_path: Path) -> None:
    record, _, files = record_of(
        tmp_path, workload=WORKLOAD, contention={"on": "server.cpus", "stress-ng": "matrix", "threads": 2}
    )
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.contention.kind == "stress-ng:matrix"
    assert record.metrics["hog_achieved_percent"] > 10
    assert any(name.startswith("hog.") for name in files)


@needs_stress_ng
def test_a_stressor_that_does_not_keep_its_duty_makes_the_run_suspect(tmp_path: Path) -> None:
    record = contended(tmp_path, experiment.NO_NOISE_LIMITS, **{"stress-ng": "matrix", "load": "10%"})
    assert record.verdict == "suspect"
    assert re.search(r"the hogs \(stress-ng:matrix\) had \d+ % of a CPU each, 10 % were declared", record.reasons[0])


@needs_stress_ng
def test_a_stressor_that_does_not_exist(tmp_path: Path) -> None:
    record = contended(tmp_path, **{"stress-ng": "unheard-of"})
    assert record.verdict == "failed"
    assert "the hog: it ended with" in record.reasons[0] and "unheard-of" in record.reasons[0]


@pytest.mark.parametrize(("overlap", "cpus"), [(1, "1"), (0, "0")])
def test_overlap_chooses_the_cpus(tmp_path: Path, overlap: int, cpus: str) -> None:
    record = contended(tmp_path, kind="spin", load="10%", overlap=overlap)
    assert record.contention.cpus == cpus


def test_cgroup_knob_applies_or_skips_with_the_reason(tmp_path: Path) -> None:
    knob = {"server": {"cgroup": {"weight": 1000}}}
    record, _, _ = record_of(tmp_path, workload=WORKLOAD, settings=knob)
    if record.verdict == "skipped":
        assert "cgroup v2 has no cpu controller here" in record.reasons[0]
    else:
        assert record.verdict == "valid", record.reasons
        assert record.knobs[0].applied == "1000"


def test_the_throttle_of_real_time_tasks_is_on_record(tmp_path: Path) -> None:
    assert experiment.NO_NOISE_LIMITS
    record = contended(tmp_path, kind="spin", load="10%", policy="rr", priority=1)
    assert record.environment["rt_throttle"]
