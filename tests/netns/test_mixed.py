"""Several workloads at once: whichever is measured, and whoever wrote its client, the others go on beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.kernel import facts
from harness.run.runner import make_run
from harness.signals import stop_on_signals
from tests import experiment

ENDS = {"from": "client", "to": "server"}
LENIENT = experiment.NO_NOISE_LIMITS | {"max_late_share": "100%", "max_missed_share": "100%", "max_rate_error": "100%"}
LOAD = {"kind": "load", **ENDS, "rate": 1000, "warmup": "30ms", "duration": "300ms"}

needs_sockperf = pytest.mark.skipif(shutil.which("sockperf") is None, reason="sockperf is not installed")


def record_of(tmp_path: Path, *workloads: dict[str, Any]) -> Any:
    """The record of one run of these workloads."""
    plan = experiment.plan(tmp_path, workload=None, workloads=list(workloads), checks=LENIENT)
    with stop_on_signals() as stopper:
        return make_run(plan.runs[0], facts.environment(), stopper)[0]


@needs_sockperf
def test_our_generator_goes_on_beside_a_measured_program(tmp_path: Path) -> None:
    record = record_of(tmp_path, {"kind": "sockperf", **ENDS, "duration": "400ms"}, LOAD)
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.metrics["background_rps"] == pytest.approx(1000, rel=0.2)
    assert record.metrics["rtt_p50_us"] > 0


@needs_sockperf
@pytest.mark.parametrize("how", [{"mode": "under-load", "rate": 2000}, {"mode": "ping-pong"}])
def test_sockperf_sends_in_the_background_while_ours_is_measured(tmp_path: Path, how: dict[str, Any]) -> None:
    record = record_of(tmp_path, LOAD | {"duration": "500ms"}, {"kind": "sockperf", **ENDS, **how})
    assert (record.verdict, record.reasons) == ("valid", ())
    rate = record.metrics["background_rps"]
    assert rate == pytest.approx(2000, rel=0.3) if "rate" in how else rate > 2000


def test_a_background_program_without_figures_is_told(tmp_path: Path) -> None:
    mute = {
        "kind": "command",
        **ENDS,
        "client": ["sleep", "100"],
        "figures": {"requests": {"regex": "did (\\d+)"}},
        "measured": False,
    }
    record = record_of(tmp_path, LOAD, mute)
    assert record.verdict == "suspect"
    assert "no figures of the background1-client (command): requests: nothing matches" in record.reasons[0]
    assert record.metrics["background_rps"] is None


def test_count_ends_a_measured_load_and_no_background(tmp_path: Path) -> None:
    other = LOAD | {"count": 5, "rate": 2000}
    record = record_of(tmp_path, LOAD | {"count": 50, "duration": "600ms"}, other)
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.metrics["requests"] == 50
    assert record.metrics["background_rps"] == pytest.approx(2000, rel=0.2)


def test_two_are_measured_in_one_window(tmp_path: Path) -> None:
    quiet = LOAD | {"wait": "epoll", "rate": 300}
    login = quiet | {
        "name": "login",
        "protocol": "tcp",
        "rate": 100,
        "service": {"time": "2ms", "distribution": "clock"},
        "measured": True,
    }
    record = record_of(tmp_path, quiet | {"measured": True}, quiet, login)
    assert (record.verdict, record.reasons) == ("valid", ())
    found = record.metrics
    # Its rate is over the time of the first, and of what it was asked for; the other two have three times as many.
    assert found["login_rate_rps"] == pytest.approx(found["login_requests"] / found["elapsed_s"])
    assert 0 < found["login_requests"] <= 31 and found["background_rps"] > found["login_rate_rps"]
    # How long its server holds each request is in its own figures.
    assert 2_000 < found["login_rtt_min_us"] <= found["login_rtt_p50_us"] != found["rtt_p50_us"]
    assert found["login_cpu_us_per_request"] > 0
