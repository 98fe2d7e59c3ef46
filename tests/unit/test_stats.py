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


# -- by example ----------------------------------------------------------------------------------------------


def test_one_request_has_no_spread_and_two_have() -> None:
    one = stats.summarise([4000])
    assert (one["rtt_min_us"], one["rtt_mean_us"], one["rtt_max_us"], one["rtt_sd_us"]) == (4, 4, 4, None)
    assert stats.summarise([4000, 6000])["rtt_sd_us"] == pytest.approx(math.sqrt(2))


def test_every_quantile_is_that_of_its_name() -> None:
    found = stats.summarise(np.arange(1, 100_001) * 1000)
    ladder = {"p50": 50_000, "p90": 90_000, "p95": 95_000, "p99": 99_000, "p99_9": 99_900, "p99_99": 99_990}
    assert {name: found[f"rtt_{name}_us"] for name in ladder} == ladder
    # The nearest rank is the next one up: 10.5 of 21 requests are not half of them.
    assert stats.summarise(np.arange(1, 22) * 1000)["rtt_p50_us"] == 11


def test_a_time_of_zero_is_an_answer() -> None:
    assert stats.summarise([0, -1])["rtt_min_us"] == 0


def test_nothing_is_estimated_from_nothing() -> None:
    assert stats.estimate(np.array([None, math.nan, math.inf])) == stats.Estimate(None, None, 0)
    assert stats.median([math.nan]) is None


def test_blanks_are_no_values() -> None:
    found = stats.estimate(np.array([3.0, None, 1.0, math.nan, 2.0, -math.inf]))
    assert (found.median, found.mean, found.n) == (2.0, 2.0, 3)
    assert found.interval == stats.Interval(1.0, 3.0, 0.75)
    assert stats.median(np.array([4.0, None, 1.0, 2.0, 3.0])) == 2.5


def test_an_interval_is_as_wide_as_its_confidence_asks() -> None:
    values = np.arange(1.0, 11.0)
    wide, narrow = stats.estimate(values).interval, stats.estimate(values, 0.8).interval
    assert wide is not None and narrow is not None
    assert (wide.low, wide.high, narrow.low, narrow.high) == (2, 9, 3, 8)
    assert narrow.confidence == pytest.approx(1 - 2 * (1 + 10 + 45) / 1024)
    assert stats.median_interval(values, 0.8) == narrow
    # The one asked for exactly is enough.
    assert stats.median_interval(values, narrow.confidence) == narrow


def test_medians_and_means_of_numbers_as_large_as_they_come() -> None:
    found = stats.estimate([1e308, 1.2e308, 1.4e308, 1.6e308])
    assert found.median == pytest.approx(1.3e308) and found.mean == pytest.approx(1.3e308)


@pytest.mark.parametrize(("low", "high", "inside"), [(1, 2, True), (0, 3, True), (1.1, 2, False), (1, 1.9, False)])
def test_an_interval_lies_within_its_bounds_or_not(low: float, high: float, inside: bool) -> None:
    assert stats.Interval(1.0, 2.0, 0.95).within(low, high) is inside


@pytest.mark.parametrize(
    ("low", "high", "ratio", "difference"),
    [(0.9, 1.1, False, True), (1.0, 1.1, False, True), (0.9, 1.0, False, True), (-0.1, 0.0, True, False)],
)
def test_an_effect_is_shown_where_its_interval_leaves_out_none(
    low: float, high: float, ratio: bool, difference: bool
) -> None:
    interval = stats.Interval(low, high, 0.95)
    assert stats.Ratio(1.0, interval, False).shown is ratio
    assert stats.Difference(0.0, interval, False).shown is difference
    assert stats.Difference(0.0, stats.Interval(0.0, 1.0, 0.95), False).shown is False
    assert stats.Difference(5.0, None, False).shown is stats.Ratio(5.0, None, False).shown is False


def test_blocks_have_ratios_and_differences_of_their_own() -> None:
    base, factors = [10.0, 20.0, 40.0, 50.0, 100.0], [1.2, 1.1, 1.3, 1.0, 1.5]
    test = [one * factor for one, factor in zip(base, factors, strict=True)]
    found = stats.effect(base, test, paired=True)
    assert found.ratio is not None and found.difference is not None
    assert found.ratio.value == pytest.approx(1.2) and found.difference.value == pytest.approx(2.0)
    for effect, low, high in ((found.ratio, 1.0, 1.5), (found.difference, 0.0, 50.0)):
        assert effect.paired and effect.interval is not None
        assert (effect.interval.low, effect.interval.high) == pytest.approx((low, high))
        assert effect.interval.confidence == pytest.approx(0.9375)
    fewer = stats.effect(base[:4], test[:4], paired=True)
    assert fewer.ratio is not None and fewer.difference is not None
    assert (fewer.ratio.interval, fewer.difference.interval) == (None, None)
    assert (fewer.ratio.value, fewer.difference.value) == pytest.approx((1.15, 2.0))
    # A block with a blank on either side is none.
    blank = stats.effect([*base, math.nan, 7.0], [*test, 1.0, math.inf], paired=True)
    assert blank.ratio == found.ratio and blank.difference == found.difference
    with pytest.raises(ValueError, match="paired sides differ in length: 5 and 4"):
        stats.effect(base, test[:4], paired=True)


def test_sides_of_their_own_are_compared_by_their_medians() -> None:
    base, test = [3.0, 1.0, 2.0, 100.0], [5.0, 4.0, 9.0, 7.0]
    found = stats.effect(base, test)
    assert found.ratio is not None and found.difference is not None
    assert (found.ratio.value, found.difference.value) == pytest.approx((6 / 2.5, 3.5))
    assert not found.ratio.paired and not found.difference.paired
    assert found.ratio.interval is not None and found.ratio.interval.confidence == 0.95
    few = stats.effect(base, test[:3])
    assert few.ratio is not None and few.difference is not None
    assert (few.ratio.value, few.difference.value) == pytest.approx((2.0, 2.5))
    assert (few.ratio.interval, few.difference.interval) == (None, None)
    blank = stats.effect([*base, math.nan], [*test, math.inf])
    assert blank.ratio == found.ratio and blank.difference == found.difference


@pytest.mark.parametrize("paired", [False, True])
def test_a_difference_needs_no_positive_values_and_a_ratio_does(paired: bool) -> None:
    base, test = [-2.0, -1.0, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.0, 6.0]
    for one, other, moved in ((base, test, 3.0), (test, base, -3.0)):
        found = stats.effect(one, other, paired=paired)
        assert found.ratio is None and found.difference is not None
        assert found.difference.value == moved
        assert found.difference.interval is not None
    assert stats.effect([0.0, 1, 2, 3, 4], [1.0, 2, 3, 4, 5], paired=paired).ratio is None


def test_a_ratio_or_difference_that_no_float_holds_is_none() -> None:
    tiny, huge = [1e-200] * 5, [1e200] * 5
    for paired in (False, True):
        assert stats.effect(tiny, huge, paired=paired).ratio is None
        assert stats.effect(huge, tiny, paired=paired).ratio is None
        assert stats.effect([-1.7e308] * 5, [1.7e308] * 5, paired=paired).difference is None
        assert stats.effect([1e100] * 5, [1e200] * 5, paired=paired).ratio is not None


def test_no_runs_have_no_effect() -> None:
    for base, test in (([], [1.0]), ([1.0], []), ([math.nan], [1.0])):
        assert stats.effect(base, test) == stats.Effect(None, None, None)


def test_an_interval_by_resampling_is_that_of_the_middle_of_many_draws() -> None:
    """Of medians drawn again and again the plain way: the ends of 95 % of them."""
    draw = np.random.default_rng(11)
    base, test = draw.lognormal(3, 0.3, 7), draw.lognormal(3.2, 0.3, 8)
    found = stats.effect(base, test)
    assert found.ratio is not None and found.ratio.interval is not None
    assert found.difference is not None and found.difference.interval is not None
    again = [np.median(draw.choice(side, (40_000, side.size)), axis=1) for side in (base, test)]
    both = (found.ratio.interval, again[1] / again[0]), (found.difference.interval, again[1] - again[0])
    for interval, plain in both:
        spread = float(np.quantile(plain, 0.975) - np.quantile(plain, 0.025))
        assert interval.low == pytest.approx(np.quantile(plain, 0.025), abs=0.06 * spread)
        assert interval.high == pytest.approx(np.quantile(plain, 0.975), abs=0.06 * spread)
