"""Rank tests against plain enumeration, corrections by their definitions, outliers and runs needed by example."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import stats
from harness.stats.contrast import Contrast

SMALL = st.lists(st.integers(0, 6), min_size=2, max_size=5)
P_VALUES = st.lists(st.floats(0, 1), max_size=12)


def midranks(values: list[float]) -> list[float]:
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values
    ]


def two_sided(sums: list[float], found: float) -> float:
    low = sum(each <= found + 1e-9 for each in sums) / len(sums)
    high = sum(each >= found - 1e-9 for each in sums) / len(sums)
    return min(1.0, 2 * min(low, high))


@given(SMALL, SMALL)
def test_mann_whitney_is_the_share_of_all_ways_to_deal_the_ranks(base: list[int], test: list[int]) -> None:
    ranks = midranks([float(value) for value in [*base, *test]])
    sums = [sum(some) for some in itertools.combinations(ranks, len(test))]
    expected = two_sided(sums, sum(ranks[len(base) :]))
    assert stats.mann_whitney(np.array(base, float), np.array(test, float)) == pytest.approx(expected)


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=8))
def test_signed_rank_is_the_share_of_all_signs(apart: list[int]) -> None:
    kept = [value for value in apart if value]
    ranks = midranks([abs(float(value)) for value in kept])
    signs = itertools.product((0, 1), repeat=len(kept))
    sums = [sum(rank * sign for rank, sign in zip(ranks, some, strict=True)) for some in signs]
    expected = two_sided(sums, sum(rank for rank, value in zip(ranks, kept, strict=True) if value > 0))
    assert stats.signed_rank(np.array(apart, float)) == pytest.approx(expected)


def test_many_runs_go_over_into_the_normal() -> None:
    draw = np.random.default_rng(5)
    base, test = draw.normal(0, 1, 20), draw.normal(0.6, 1, 20)
    more = np.concatenate((base, [0.1])), test
    assert stats.mann_whitney(*more) == pytest.approx(stats.mann_whitney(base, test), rel=0.35)
    apart = draw.normal(0.3, 1, 40)
    exact = stats.signed_rank(apart)
    assert stats.signed_rank(np.append(apart, 0.3)) == pytest.approx(exact, rel=0.35)
    assert stats.mann_whitney(np.ones(50), np.ones(50)) == 1


@pytest.mark.parametrize(("size", "least"), [((5, 5), 2 / 252), ((4, 4), 2 / 70), ((2, 2), 1 / 3)])
def test_the_least_p_is_that_of_sides_that_do_not_overlap(size: tuple[int, int], least: float) -> None:
    values = np.arange(float(sum(size)))
    found = stats.rank_test(values[: size[0]], values[size[0] :], paired=False)
    assert found is not None
    assert found.p == pytest.approx(least) == pytest.approx(found.least)


def test_blocks_are_tested_by_their_signs_from_eight_on() -> None:
    base = np.arange(1, 9).astype(np.float64)
    few, many = (stats.rank_test(base[:n], base[:n] * 2, paired=True) for n in (7, 8))
    assert few is not None
    assert many is not None
    assert (few.method, many.method) == ("Mann-Whitney U", "Wilcoxon signed rank")
    assert many.p == many.least == 2 / 2**8
    assert stats.rank_test(base[:1], base[:1], paired=False) is None


@given(P_VALUES)
def test_holm_never_lowers_a_p_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = stats.holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    assert [adjusted[at] for at in order] == sorted(adjusted)


def test_holm_by_example() -> None:
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"), [(0, 8, 0, 0.3694), (8, 8, 0.6306, 1), (3, 20, 0.0321, 0.3789)]
)
def test_interval_of_a_share(hits: int, trials: int, low: float, high: float) -> None:
    found = stats.share_interval(hits, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_an_outlier_is_pointed_at_with_its_distance() -> None:
    values = np.array([[10.0, 10.2, 9.9, 10.1, math.nan, 30.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.02]])
    first, second = stats.outliers(values)
    assert [(each.at, each.value, each.median) for each in first] == [(5, 30.0, 10.1)]
    assert first[0].far > 50
    assert second == []  # within 5 % of runs that agree to the digit
    assert stats.outliers(values[:, :4]) == [[], []]


def test_runs_needed_fall_with_the_width_asked_for() -> None:
    draw = np.random.default_rng(2)
    base, test = draw.normal(100, 10, 10), draw.normal(100, 10, 10)
    found = stats.effect(base, test)
    narrow, wide = (stats.runs_needed(10, found.ratio, width) for width in (0.02, 0.3))
    assert narrow is not None
    assert wide is not None
    assert wide <= 10 < narrow
    assert (stats.runs_needed(10, found.ratio, 0.02, 0.999) or 0) > narrow
    few = stats.effect(base[:3], test[:3])
    assert (stats.runs_needed(3, few.ratio, 0.05) or 0) >= 4
    assert stats.runs_needed(1, stats.effect(base[:1], test[:1]).ratio, 0.05) == 4
    assert stats.runs_needed(10, None, 0.05) is None


@given(st.lists(st.floats(0.5, 2), min_size=5, max_size=25), st.integers(0, 10_000))
def test_ratio_and_difference_agree_on_whether_there_is_one(base: list[float], seed: int) -> None:
    test = np.array(base) * np.random.default_rng(seed).lognormal(0.1, 0.2, len(base))
    for paired in (False, True):
        found = stats.effect(base, test, paired=paired)
        assert found.ratio is not None
        assert found.difference is not None
        assert found.ratio.shown == found.difference.shown


@pytest.mark.parametrize(
    ("paired", "error", "needed"),
    [
        # t of 80 degrees of freedom is 1.990, and 1.990 * 0.05 * root(10 / 42) the first below log(1.05).
        (False, 0.05, 42),
        # t of 40 degrees of freedom is 2.021.
        (True, 0.05, 43),
        (False, 0.0001, 4),
        (True, 0.0001, 5),
        (False, 100.0, 1_000_000),
    ],
)
def test_runs_needed_bring_the_interval_within_the_width(paired: bool, error: float, needed: int) -> None:
    found = stats.Ratio(1.0, None, paired, Contrast(0.0, error, 9 if paired else 18, True))
    assert stats.runs_needed(10, found, 0.05) == needed


def test_runs_needed_without_a_contrast_are_what_any_claim_needs() -> None:
    assert stats.runs_needed(3, None, 0.05) == 4
    assert stats.runs_needed(3, stats.Ratio(1.0, None, True), 0.05) == 5
    assert stats.runs_needed(4, None, 0.05) is None


def test_a_robust_standard_deviation_is_of_the_middle_distance() -> None:
    values = np.array([[10.0, 11.0, 12.0, 13.0, 14.0, 25.0]])
    (found,) = stats.outliers(values)
    # The median is 12.5, the middle distance from it 1.5.
    assert [(each.at, each.value, each.median) for each in found] == [(5, 25.0, 12.5)]
    assert found[0].far == pytest.approx(12.5 / (1.4826 * 1.5))
    below = 12.5 + 5 * 1.4826 * 1.5
    assert stats.outliers(np.array([[10.0, 11.0, 12.0, 13.0, 14.0, below - 0.01]])) == [[]]
    assert len(stats.outliers(np.array([[10.0, 11.0, 12.0, 13.0, 14.0, below + 0.01]]))[0]) == 1
    assert len(stats.outliers(np.array([[-10.0, -11.0, -12.0, -13.0, -14.0, -25.0]]))[0]) == 1


def test_runs_that_agree_are_a_hundredth_apart_at_least() -> None:
    alike = [100.0] * 5
    assert stats.outliers(np.array([[*alike, 104.9]])) == [[]]
    ((found,),) = stats.outliers(np.array([[*alike, 105.1]]))
    assert found.far == pytest.approx(5.1)
    assert stats.outliers(np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])) == [[]]


def test_outliers_are_told_by_their_place_among_blanks() -> None:
    table = np.array([[math.nan, 10.0, 11.0, 12.0, 13.0, 14.0, 90.0], [1.0, 1.1, 0.9, 1.0, 9.0, 1.0, 1.1]])
    first, second = stats.outliers(table)
    assert [(each.at, each.value) for each in first] == [(6, 90.0)]
    assert [(each.at, each.value) for each in second] == [(4, 9.0)]
    # Five runs are enough to call one of them far from the others, four are not.
    assert [len(row) for row in stats.outliers(np.array([[1.0, 1.1, 0.9, 1.0, 9.0]]))] == [1]
    assert [len(row) for row in stats.outliers(np.array([[1.0, 1.1, 0.9, 9.0]]))] == [0]


def test_above_forty_runs_p_is_that_of_the_normal_curve_ties_allowed_for() -> None:
    base, test = np.repeat([1.0, 2.0, 3.0], 8), np.repeat([2.0, 3.0, 4.0], 7)
    whole = np.concatenate((base, test))
    ranks = np.array(midranks(whole.tolist()))
    apart = ranks[24:].sum() - 21 * 46 / 2
    ties = sum(count**3 - count for count in np.unique(whole, return_counts=True)[1])
    spread = math.sqrt(24 * 21 / 12 * (46 - ties / (45 * 44)))
    expected = math.erfc((abs(apart) - 0.5) / spread / math.sqrt(2))
    assert stats.mann_whitney(base, test) == pytest.approx(expected, rel=1e-9)
    differences = np.concatenate((np.arange(1.0, 31.0), -np.arange(31.0, 42.0), [0.0] * 3))
    ranks = np.arange(1.0, 42.0)
    apart = ranks[:30].sum() - ranks.sum() / 2
    expected = math.erfc((abs(apart) - 0.5) / math.sqrt((ranks**2).sum() / 4) / math.sqrt(2))
    assert stats.signed_rank(differences) == pytest.approx(expected, rel=1e-9)
    # Exact up to forty in all, and as wide as the curve beyond: none of one is less than nothing.
    assert stats.mann_whitney(np.arange(20.0), np.arange(100.0, 120.0)) == pytest.approx(2 / math.comb(40, 20))
    assert stats.mann_whitney(np.arange(41.0), np.arange(41.0)) == 1.0
