"""What a load generator says of itself, in columns; and when its word is doubted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.run import loadgen_report
from harness.spec.checks import Checks

OPEN: dict[str, Any] = {
    "requests": 1000,
    "answered": 990,
    "elapsed_ns": 10**9,
    "offered_rps": 1000.0,
    "achieved_rps": 1000.0,
    "late_sends": 5,
    "missed_sends": 0,
    "late_ns": 50_000,
    "lateness_p99_ns": 20_000,
    "bytes_sent": 64_000,
    "bytes_received": 63_360,
    "memcached": {"gets": 900, "sets": 100, "hits": 450, "misses": 450, "errors": 1},
}
CHECKS = Checks()


def samples(**columns: list[int]) -> Any:
    made = np.zeros(len(next(iter(columns.values()))), dtype=[(name, "<i8") for name in columns])
    for name, values in columns.items():
        made[name] = values
    return made


def test_columns_of_an_open_loop() -> None:
    found = loadgen_report.metrics(OPEN)
    expected = {
        "sent": 1000,
        "offered_rps": 1000.0,
        "late_percent": 0.5,
        "missed": 0,
        "lateness_p99_us": 20.0,
        "hit_percent": 50.0,
        "get_percent": 90.0,
        "errors": 1,
        "throughput_bps": pytest.approx(8 * 127_360),
    }
    assert {name: found[name] for name in expected} == expected
    assert loadgen_report.doubts(OPEN, CHECKS, "constant") == []


def test_a_closed_loop_has_no_lateness() -> None:
    closed = {"requests": 10, "late_sends": 0, "missed_sends": 0, "offered_rps": None}
    found = loadgen_report.metrics(closed)
    assert found["late_percent"] is None and found["missed"] is None
    assert loadgen_report.doubts(closed, CHECKS, None) == []


@pytest.mark.parametrize(
    ("change", "arrivals", "reason"),
    [
        ({"missed_sends": 7}, "poisson", "missed 7 of 1007 sends"),
        ({"late_sends": 20}, "poisson", "2.0 % of the requests more than 50 us late; limit 1.0%"),
        ({"achieved_rps": 990.0}, "constant", "990 requests/s were sent, 1000 were offered"),
    ],
)
def test_a_generator_that_cannot_keep_up(change: dict[str, Any], arrivals: str, reason: str) -> None:
    (found,) = loadgen_report.doubts(OPEN | change, CHECKS, arrivals)
    assert reason in found
    loose = Checks.model_validate({"max_late_share": "5%", "max_missed_share": "5%", "max_rate_error": "5%"})
    assert loadgen_report.doubts(OPEN | change, loose, arrivals) == []


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_a_rate_that_was_not_held_is_told_even_where_misses_are_forgiven(arrivals: str) -> None:
    checks = Checks.model_validate({"max_missed_share": "100%"})
    said = OPEN | {"requests": 960, "missed_sends": 40, "achieved_rps": 960.0}
    (reason,) = loadgen_report.doubts(said, checks, arrivals)
    assert reason == "960 requests/s were sent, 1000 were offered; limit 0.5%"


def test_where_the_window_ends_between_two_requests_is_no_error_of_the_rate() -> None:
    said = OPEN | {"requests": 6, "offered_rps": 10.0, "achieved_rps": 6 / 0.55, "late_sends": 0}
    assert loadgen_report.doubts(said, CHECKS, "constant") == []


def test_poisson_arrivals_may_differ_from_the_mean() -> None:
    assert loadgen_report.doubts(OPEN | {"achieved_rps": 950.0}, CHECKS, "poisson") == []


def test_times_of_samples_and_of_none() -> None:
    new = samples(intended_ns=[0, 1], latency_ns=[5000, -1], service_ns=[4000, -1])
    assert list(loadgen_report.latencies(new)) == [5000, -1] and loadgen_report.answered(new) == 1
    assert loadgen_report.of_samples(new)["rtt_max_us"] == 5.0
    assert loadgen_report.answered(None) == 0 and loadgen_report.of_samples(None)["rtt_p50_us"] is None


def test_phases_are_means_that_add_up() -> None:
    unknown = -(2**63)
    made = samples(latency_ns=[10_000, 30_000], phase_late=[0, 0], phase_service=[10_000, 30_000])
    found = loadgen_report.of_samples(made)
    assert found["phase_service_us"] == 20.0 and found["phase_late_us"] == 0.0
    assert loadgen_report.phase_doubts(found) == []
    (odd,) = loadgen_report.phase_doubts(found | {"phase_late_us": 5.0})
    assert "add up to 25.00 us, the round trips to 20.00" in odd
    lost = samples(latency_ns=[10_000], phase_late=[unknown])
    assert loadgen_report.phase_doubts(loadgen_report.of_samples(lost)) == [
        "some phases are unknown: time stamps were not delivered"
    ]
