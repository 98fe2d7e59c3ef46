"""Statistics over runs: definitions held by example, properties held for any numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import stats

TIMES = st.lists(st.integers(-1, 2**52), max_size=300)
VALUES = st.lists(st.floats(1e-6, 1e12), min_size=5, max_size=30)


def test_quantile_is_the_smallest_time_that_enough_did_not_exceed() -> None:
    found = stats.summarise(np.arange(1, 10_001) * 1000)
    assert found["rtt_p50_us"] == 5000
    assert found["rtt_p99_us"] == 9900
    assert found["rtt_p99_9_us"] == 9990
    assert found["rtt_jitter_us"] == 4990
    assert (found["rtt_min_us"], found["rtt_max_us"], found["rtt_mean_us"]) == (1, 10_000, 5000.5)


@pytest.mark.parametrize(("count", "quantile"), [(20, "rtt_p50_us"), (1000, "rtt_p99_us"), (10_000, "rtt_p99_9_us")])
def test_a_quantile_needs_ten_samples_beyond_it(count: int, quantile: str) -> None:
    assert stats.summarise(np.arange(1, count + 1))[quantile] is not None
    assert stats.summarise(np.arange(1, count))[quantile] is None


def test_lost_requests_do_not_count() -> None:
    with_lost = np.array([-1, 5000, -1, 7000])
    assert stats.summarise(with_lost) == stats.summarise([5000, 7000])


def test_nothing_measured_is_blank() -> None:
    for samples in ([], [-1, -1]):
        assert set(stats.summarise(samples).values()) == {None}


@given(TIMES)
def test_quantiles_rise_and_stay_within_what_was_measured(times: list[int]) -> None:
    found = stats.summarise(times)
    ladder = [found[f"rtt_{name}_us"] for name in ("min", "p50", "p90", "p95", "p99", "p99_9", "p99_99", "max")]
    seen = [value for value in ladder if value is not None]
    assert seen == sorted(seen)
    assert all(value is None or math.isfinite(value) for value in found.values())


@pytest.mark.parametrize(
    ("count", "ranks", "confidence"),
    [(3, (1, 3), 0.75), (4, (1, 4), 0.875), (5, (1, 5), 0.9375), (6, (1, 6), 0.96875), (10, (2, 9), 0.978515625)],
)
def test_median_interval_ranks(count: int, ranks: tuple[int, int], confidence: float) -> None:
    found = stats.median_interval(np.arange(1, count + 1))
    assert found is not None
    assert [found.low, found.high] == [float(rank) for rank in ranks]
    assert found.confidence == pytest.approx(confidence)


def test_two_runs_have_no_interval() -> None:
    assert stats.median_interval([1.0, 2.0]) is None
    assert stats.estimate([1.0, 2.0]) == stats.Estimate(1.5, None, 2, 1.5)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60))
def test_interval_holds_the_median(values: list[float]) -> None:
    found = stats.estimate(values)
    if found.interval is not None and found.median is not None:
        assert found.interval.low <= found.median <= found.interval.high
        assert 0.7 < found.interval.confidence <= 1


def test_thousands_of_runs() -> None:
    found = stats.median_interval(np.arange(100_001.0))
    assert found is not None
    assert found.confidence == pytest.approx(0.95, abs=0.001)
    assert found.low == pytest.approx(50_000 - 0.98 * math.sqrt(100_001), abs=2)


@settings(deadline=None)
@given(VALUES, VALUES)
def test_ratio_lies_in_its_interval(base: list[float], test: list[float]) -> None:
    found = stats.ratio_interval(base, test)
    assert found is not None
    assert found.interval is not None
    assert found.interval.low <= found.interval.high
    assert found.interval.low * (1 - 1e-9) <= found.value <= found.interval.high * (1 + 1e-9)


@settings(deadline=None)
@given(VALUES, st.floats(0.01, 100))
def test_pairing_takes_out_what_blocks_share(base: list[float], factor: float) -> None:
    found = stats.ratio_interval(base, [value * factor for value in base], paired=True)
    assert found is not None
    assert found.interval is not None
    assert found.interval.low == pytest.approx(factor)
    assert found.interval.high == pytest.approx(factor)


@given(st.lists(st.floats(), max_size=8), st.lists(st.floats(), max_size=8), st.booleans())
@settings(deadline=None)
def test_any_numbers_give_a_finite_ratio_or_none(base: list[float], test: list[float], paired: bool) -> None:
    size = min(len(base), len(test)) if paired else None
    found = stats.ratio_interval(base[:size], test[:size], paired=paired)
    if found is not None:
        assert math.isfinite(found.value)
        assert found.interval is None or math.isfinite(found.interval.low + found.interval.high)


def test_same_numbers_same_interval_in_any_order() -> None:
    draw = np.random.default_rng(3)
    base, test = draw.normal(10, 1, 9), draw.normal(11, 1, 9)
    once = stats.ratio_interval(base, test)
    stats.ratio_interval(test, base)
    assert stats.ratio_interval(base[::-1], test[::-1]) == once


def test_too_few_runs_claim_nothing() -> None:
    found = stats.ratio_interval([1.0, 1.1, 1.2], [9.0, 9.1, 9.2])
    assert found is not None
    assert found.interval is None
    assert not found.shown


@pytest.mark.parametrize("bad", [[0.0] * 6, [-1.0] * 6, [], [math.nan] * 6])
def test_a_ratio_without_meaning_is_none(bad: list[float]) -> None:
    good = [1.0] * 6
    assert stats.ratio_interval(bad, good) is None
    assert stats.ratio_interval(good, bad) is None


@pytest.mark.parametrize(
    ("runs", "paired", "least"), [(4, False, 0.91), (5, False, 0.94), (5, True, 0.91), (10, True, 0.94)]
)
def test_coverage_is_what_the_documentation_says(runs: int, paired: bool, least: float) -> None:
    """Two sides of the same population: the interval holds 1 as often as claimed (600 trials, fixed seed)."""
    draw = np.random.default_rng(runs)
    hits = 0
    for _ in range(600):
        shared = draw.lognormal(0, 0.1, runs) if paired else 1.0
        base, test = (100 * draw.lognormal(0, 0.2, runs) * shared for _ in range(2))
        found = stats.ratio_interval(base, test, paired=paired)
        assert found is not None
        hits += not found.shown
    assert hits / 600 >= least
