"""Claims of a page together: Student's t, contrasts, and that pages without any effect seldom claim one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import report, stats
from harness.analysis.compare import compare_cases
from harness.analysis.summary import overview
from harness.report.headline import sentence
from harness.stats import student
from harness.stats.chain import variance_factor
from harness.stats.contrast import contrast
from tests.bench import study_pages


@pytest.mark.parametrize(
    ("freedom", "confidence", "t"),
    [
        (1, 0.95, 12.706),
        (2, 0.99, 9.925),
        (3, 0.95, 3.182),
        (4, 0.95, 2.776),
        (4, 0.999, 8.610),
        (9, 0.95, 2.262),
        (9, 0.999, 4.781),
        (30, 0.99, 2.750),
        (120, 0.95, 1.980),
    ],
)
def test_quantiles_of_student(freedom: int, confidence: float, t: float) -> None:
    assert student.quantile(confidence, freedom) == pytest.approx(t, abs=6e-4)
    assert student.within(t, freedom) == pytest.approx(confidence, abs=1e-4)


def test_quantiles_of_many_degrees_of_freedom_are_never_too_small() -> None:
    assert student.quantile(0.95, 10**6) == pytest.approx(1.972, abs=1e-3)
    assert student.quantile(0.95, 39) == student.quantile(0.95, 30) > student.quantile(0.95, 40)


def test_a_contrast_of_blocks_is_the_mean_of_their_ratios() -> None:
    base, test = np.array([10.0, 20, 40, 80, 160]), np.array([11.0, 21, 45, 85, 180])
    found = contrast(base, test, paired=True, logarithmic=True)
    logs = np.log(test / base)
    assert found is not None
    assert found.freedom == 4
    assert found.mean == pytest.approx(logs.mean())
    assert found.error == pytest.approx(logs.std(ddof=1) / math.sqrt(5))
    ends = found.interval(0.95)
    assert math.log(ends.high) - found.mean == pytest.approx(2.7764 * found.error, rel=1e-3)
    assert found.interval(1 - found.p).low == pytest.approx(1, rel=1e-6)


def test_a_contrast_of_sides_is_welch() -> None:
    base, test = np.array([10.0, 12, 11, 13]), np.array([20.0, 30, 25, 40, 20, 31])
    found = contrast(base, test, paired=False, logarithmic=False)
    # By hand: variances 5/3 and 56.667 over 4 and 6; freedom 5.44.
    assert found is not None
    assert found.freedom == 5
    assert found.mean == pytest.approx(16.1667, abs=1e-3)
    assert found.error == pytest.approx(math.sqrt(5 / 12 + float(test.var(ddof=1)) / 6))
    assert contrast(base[:1], test, paired=False, logarithmic=False) is None


def test_sides_that_do_not_vary() -> None:
    same = stats.effect([3.0] * 5, [3.0] * 5).ratio
    other = stats.effect([3.0] * 5, [4.0] * 5).ratio
    assert same is not None and same.contrast is not None and other is not None and other.contrast is not None
    assert (same.contrast.p, other.contrast.p) == (1.0, 0.0)
    assert other.contrast.interval(0.999).low == pytest.approx(4 / 3)


@given(st.lists(st.floats(1e-300, 1e300), min_size=2, max_size=8), st.booleans(), st.booleans())
def test_no_numbers_give_a_traceback(values: list[float], paired: bool, logarithmic: bool) -> None:
    with np.errstate(all="ignore"):
        found = contrast(np.array(values), np.array(values[::-1]), paired=paired, logarithmic=logarithmic)
    if found is not None:
        ends = found.interval(0.999)
        assert ends.low <= ends.high
        assert 0 <= found.p <= 1


@pytest.mark.parametrize(("cases", "count"), [(8, 5), (4, 10)])
def test_pages_without_an_effect_seldom_claim_one(cases: int, count: int) -> None:
    """Of 80 pages 5 % are 4, and more than 9 are under one time in a hundred. By single intervals it is 20 and more."""
    draw = np.random.default_rng([41, cases, count])
    sets = [study_pages.made_set(draw, cases, count) for _ in range(80)]
    compared = [compare_cases(each, "base") for each in sets[:40]]
    shown = [study_pages.show_page(each) for each in sets]
    assert sum(page["new"] for page in shown) <= 9 < sum(page["old"] for page in shown)
    pages = [study_pages.compare_page(each) for each in compared]
    assert sum(page["new"] for page in pages) <= 6 < sum(page["old"] for page in pages)
    gates = [study_pages.gate_page(each) for each in compared]
    assert sum(page["new"] for page in gates) <= 6


def test_what_differs_is_claimed_all_the_same() -> None:
    draw = np.random.default_rng(47)
    pages = [overview(study_pages.made_set(draw, 4, 10, 0.2)) for _ in range(20)]
    claimed = [cell.changes["rtt_p50_us"].outcome for page in pages for cell in page.cells if cell.case == "case1"]
    assert claimed.count("higher") >= 15


def test_a_headline_says_what_would_decide() -> None:
    draw = np.random.default_rng(53)
    wide = study_pages.made_set(draw, 1, 5, noise=study_pages.Noise(0.1, 0.1))
    (cell,) = overview(wide).headline
    assert "p50 undecided (" in sentence(cell, "base")
    assert "runs a side would decide" in sentence(cell, "base")
    narrow = study_pages.made_set(draw, 1, 10, noise=study_pages.Noise(0.002, 0.002, outlier=0.0))
    (cell,) = overview(narrow).headline
    assert "p50 no difference larger than 5 %" in sentence(cell, "base")


def series_of(lag: float, rows: int, size: int, seed: int = 3) -> list[np.ndarray]:
    draw = np.random.default_rng([seed, rows, size])
    table = draw.normal(0, 1, (rows, size))
    for at in range(1, size):
        table[:, at] = lag * table[:, at - 1] + math.sqrt(1 - lag**2) * table[:, at]
    return list(table)


def test_runs_that_resemble_the_ones_before_are_found_out() -> None:
    assert stats.chained(series_of(0.5, 8, 20)) == pytest.approx(0.5, abs=0.2)
    assert sum(stats.chained(series_of(0.0, 8, 20, seed)) > 0 for seed in range(100)) <= 11
    assert stats.chained(series_of(0.9, 8, 4)) == 0.0
    assert stats.chained([np.ones(20)]) == 0.0
    assert stats.chained([]) == 0.0


def test_their_intervals_are_wider() -> None:
    (series,) = series_of(0.5, 1, 20)
    found = contrast(np.zeros(20), series, paired=True, logarithmic=False)
    assert found is not None
    assert found.widened(0.0) is found
    assert found.widened(0.5).error > 1.6 * found.error
    assert found.widened(0.5).freedom == 11


def test_a_mean_of_chained_values_varies_more() -> None:
    assert variance_factor(0.0, 5) == 1.0
    # 1 + 2 * (2/3 * 0.5 + 1/3 * 0.25), over what the spread that is seen is too small by.
    assert variance_factor(0.5, 3) == pytest.approx((11 / 6) / (7 / 12))


def test_pages_of_chained_runs_claim_less_for_it() -> None:
    draw = np.random.default_rng(59)
    sets = [study_pages.made_set(draw, 8, 20, noise=study_pages.Noise(rho=0.5)) for _ in range(30)]
    pages = [study_pages.show_page(each) for each in sets]
    assert sum(page["old"] for page in pages) > 15
    assert sum(page["new"] for page in pages) <= 5
    assert "Runs resemble the ones before them" in report.show(overview(sets[0]))
