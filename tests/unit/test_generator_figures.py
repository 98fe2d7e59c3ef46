"""What a load generator says of itself, in columns; and when its word is doubted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.run import loadgen_report
from harness.spec.checks import Checks
from harness.store.record import Metrics

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


def test_every_figure_of_the_generator_has_its_column() -> None:
    said = OPEN | {
        "lateness_p50_ns": 1500,
        "lateness_max_ns": 99_000,
        "turnaround_p99_ns": 7000,
        "clock": {"overhead_ns": 25},
    }
    found = loadgen_report.metrics(said)
    names = ("lateness_p50_us", "lateness_max_us", "turnaround_p99_us", "clock_overhead_ns", "achieved_rps")
    assert [found[name] for name in names] == [1.5, 99.0, 7.0, 25, 1000.0]
    bare = loadgen_report.metrics({})
    assert set(bare.values()) == {None} and "throughput_bps" not in bare and "hit_percent" not in bare
    assert loadgen_report.metrics({"offered_rps": 5.0, "requests": 0, "late_sends": 3})["late_percent"] is None


@pytest.mark.parametrize(
    ("counts", "hits", "gets"),
    [
        ({"gets": 0, "sets": 5}, None, 0.0),
        ({"gets": 4, "sets": 0, "hits": 1}, 25.0, 100.0),
        ({"gets": 0, "sets": 0, "errors": 2}, None, None),
        ({"sets": 1}, None, 0.0),
    ],
)
def test_shares_of_memcached_commands(counts: dict[str, int], hits: float | None, gets: float | None) -> None:
    found = loadgen_report.metrics({"memcached": counts})
    assert (found["hit_percent"], found["get_percent"], found["errors"]) == (hits, gets, counts.get("errors"))


def test_rates_and_throughput_where_they_are_known() -> None:
    assert loadgen_report.rate_rps({"answered": 500, "requests": 900, "elapsed_ns": 2 * 10**9}) == 250.0
    assert loadgen_report.rate_rps({"requests": 900, "elapsed_ns": 2 * 10**9}) == 450.0
    assert loadgen_report.rate_rps({"answered": 0, "elapsed_ns": 10**9}) == 0.0
    assert loadgen_report.rate_rps({"elapsed_ns": 10**9}) is loadgen_report.rate_rps({"answered": 5}) is None
    assert loadgen_report.throughput_bps({"throughput_bps": 7}) == 7.0
    bytes_moved = {"bytes_sent": 100, "bytes_received": 25}
    assert loadgen_report.throughput_bps(bytes_moved | {"elapsed_ns": 10**9}) == 1000.0
    assert loadgen_report.throughput_bps(bytes_moved) is loadgen_report.throughput_bps({"elapsed_ns": 1}) is None


def test_a_service_time_has_columns_of_its_own() -> None:
    counts = list(range(1, 10_001))
    found = loadgen_report.of_samples(
        samples(latency_ns=[n * 2000 for n in counts], service_ns=[n * 1000 for n in counts])
    )
    names = ("service_p50_us", "service_p99_us", "service_p99_9_us", "rtt_p50_us")
    assert [found[name] for name in names] == [5000.0, 9900.0, 9990.0, 10_000.0]
    assert "service_p50_us" not in loadgen_report.of_samples(samples(latency_ns=counts))


@pytest.mark.parametrize(
    ("change", "doubted"),
    [
        # The limit itself is allowed.
        ({"late_sends": 10}, False),
        ({"late_sends": 11}, True),
        ({"achieved_rps": 995.1}, False),
        ({"achieved_rps": 1004.9}, False),
        ({"achieved_rps": 994.9}, True),
        ({"achieved_rps": 1005.1}, True),
        ({"missed_sends": 1}, True),
        ({"achieved_rps": None}, False),
        ({"requests": 0, "late_sends": 0, "achieved_rps": 994.0}, True),
    ],
)
def test_an_open_loop_at_its_limits(change: dict[str, Any], doubted: bool) -> None:
    assert bool(loadgen_report.doubts(OPEN | change, CHECKS, "constant")) is doubted


def test_one_request_more_or_less_a_thread_is_no_error_of_the_rate() -> None:
    said = OPEN | {"requests": 100, "achieved_rps": 1019.0, "late_sends": 0}
    assert loadgen_report.doubts(said | {"threads": 2}, CHECKS, "constant") == []
    assert len(loadgen_report.doubts(said, CHECKS, "constant")) == 1
    assert len(loadgen_report.doubts(said | {"threads": 1}, CHECKS, "constant")) == 1


def test_misses_are_told_alone_and_as_a_share_of_what_was_due() -> None:
    said = OPEN | {"missed_sends": 250, "achieved_rps": 750.0}
    assert loadgen_report.doubts(said, CHECKS, "constant") == [
        "the generator missed 250 of 1250 sends: it cannot offer 1000 requests/s here"
    ]
    at_most = Checks.model_validate({"max_missed_share": "20%"})
    assert "missed" not in " ".join(loadgen_report.doubts(said, at_most, "constant"))


@pytest.mark.parametrize(("late_us", "doubted"), [(0.0, False), (0.19, False), (0.21, True), (-0.21, True)])
def test_phases_may_miss_a_hundredth_of_the_whole(late_us: float, doubted: bool) -> None:
    figures: Metrics = {"rtt_mean_us": 20.0, "phase_service_us": 20.0, "phase_late_us": late_us}
    assert bool(loadgen_report.phase_doubts(figures)) is doubted
    assert loadgen_report.phase_doubts({"rtt_mean_us": 20.0}) == []
    assert loadgen_report.phase_doubts({"phase_late_us": 20.0}) == []


def test_the_mean_of_a_phase_is_of_the_requests_that_tell_it() -> None:
    unknown = -(2**63)
    found = loadgen_report.of_samples(samples(latency_ns=[1, 1, 1], phase_wire=[unknown, 1000, 3000]))
    assert found["phase_wire_us"] == 2.0
    assert loadgen_report.of_samples(samples(latency_ns=[1], phase_wire=[unknown]))["phase_wire_us"] is None


@pytest.mark.parametrize(("early", "held", "inert"), [(0, 100.0, False), (49, 51.0, False), (50, 50.0, True)])
def test_departure_times_that_nobody_kept_are_inert(early: int, held: float, inert: bool) -> None:
    client = {"requests": 100, "txtime": {"known": 100, "early": early, "p50_ns": -999_000, "p99_ns": 2_000}}
    found = loadgen_report.metrics(client)
    assert [found[f"txtime_{name}"] for name in ("held_percent", "late_p50_us", "late_p99_us")] == [held, -999.0, 2.0]
    reasons = loadgen_report.inert(client, {})
    assert bool(reasons) is inert and all("in the median 999.0 us" in reason for reason in reasons)
    unknown = {"known": 0, "early": 0, "p50_ns": 0, "p99_ns": 0}
    assert loadgen_report.inert({"txtime": unknown}, {}) == loadgen_report.inert(OPEN, {}) == []
    assert loadgen_report.metrics({"txtime": unknown})["txtime_late_p50_us"] is None
    assert "takes no time stamps" in loadgen_report.hints({"txtime": unknown}, {})[0]
    assert loadgen_report.hints(client, {}) == loadgen_report.hints(OPEN, {}) == []


def test_a_layout_by_napis_that_nobody_told_is_inert() -> None:
    assert "no connection came by a NAPI" in loadgen_report.inert({}, {"thread_napis": [0, 0]}, laid_out=True)[0]
    assert loadgen_report.inert({}, {"thread_napis": [0, 0]}) == []
    assert loadgen_report.inert({}, {"thread_napis": [1, 0]}, laid_out=True) == []


def test_returns_of_waits_are_told_where_there_are_any() -> None:
    waited = loadgen_report.waits("server", {"waits": 30, "empty_waits": 3}, 60)
    assert waited == {"server_waits_per_request": 0.5, "server_empty_waits_percent": 10.0}
    assert loadgen_report.waits("server", {"waits": 0, "empty_waits": 0}, 60) == {}


def test_samples_without_columns_tell_nothing() -> None:
    assert list(loadgen_report.latencies(np.zeros(3))) == []
    assert loadgen_report.answered(samples(latency_ns=[0, -1, 5])) == 2
