"""Reductions for charts are exact: every point kept is a sample at its true rank, and no hiccup gets lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import stats
from harness.analysis.curves.reduce import FIRM, ecdf, firm_until, quantiles_us, timeline
from harness.store.quantiles import GRID, MILLION, quantiles_of

RTT = st.lists(st.integers(-1, 10**10), max_size=300)


@given(RTT, st.integers(10, 100))
def test_ecdf_points_are_samples_at_their_true_rank(samples: list[int], limit: int) -> None:
    values, share = ecdf(samples, limit)
    answered = np.sort([value for value in samples if value >= 0])
    assert len(values) <= max(limit, 2)
    for value, part in zip(values, share, strict=True):
        rank = round(part * len(answered))
        assert answered[rank - 1] == value
    if len(answered):
        assert (values[0], values[-1], share[-1]) == (answered[0], answered[-1], 1.0)


def test_ecdf_keeps_the_tail_of_a_large_run() -> None:
    samples = np.random.default_rng(1).lognormal(10, 1, 1_000_000).astype(np.int64)
    values, share = ecdf(samples)
    assert 1000 < len(values) <= 2000
    # The five greatest are all there, and no gap of the far tail is wider than a fifth of what lies beyond it.
    assert list(values[-5:]) == list(np.sort(samples)[-5:])
    beyond = 1 - share[share > 0.99]
    assert (beyond[:-2] - beyond[1:-1] <= 0.2 * beyond[:-2] + 1.1e-6).all()


@pytest.mark.parametrize("count", [1, 9, 10, 11, 999, 1000, 1001, 100_000, 250_001])
def test_quantiles_are_those_of_the_tables(count: int) -> None:
    samples = np.random.default_rng(count).integers(0, 10**9, count)
    drawn, tables = quantiles_us(quantiles_of(samples)), stats.summarise(samples)
    quoted = {"rtt_p50_us": 500_000, "rtt_p99_us": 990_000, "rtt_p99_9_us": 999_000, "rtt_max_us": MILLION}
    for name, quantile in quoted.items():
        at = int(np.searchsorted(GRID, quantile))
        if tables[name] is not None:
            assert drawn[at] == tables[name]
            assert at < firm_until(count) or name == "rtt_max_us"
        else:
            assert at >= firm_until(count)
    assert drawn[0] == samples.min() / 1e3
    assert np.isnan(quantiles_us(quantiles_of(np.empty(0, dtype=np.int64)))).all()
    assert FIRM == stats.MIN_EXCEEDANCES


@given(RTT, st.integers(1, 20), st.randoms())
def test_no_slice_hides_its_greatest_round_trip(samples: list[int], slices: int, random: object) -> None:
    draw = np.random.default_rng(len(samples))
    send = np.sort(draw.integers(0, 10**9, len(samples)))
    rtt = np.array(samples, dtype=np.int64)
    found = timeline(send, rtt, slices)
    if not samples:
        assert found is None
        return
    assert found is not None
    assert int(found.lost.sum()) == int((rtt < 0).sum())
    place = send * slices // (max(int(send.max()), 1) + 1)
    for at in range(slices):
        mine = np.sort(rtt[(place == at) & (rtt >= 0)])
        if not mine.size:
            assert np.isnan(found.max_us[at])
            continue
        assert found.max_us[at] == mine[-1] / 1e3
        assert mine[(mine.size - 1) // 2] / 1e3 <= found.p50_us[at] <= mine[mine.size // 2] / 1e3
    assert found.slice_s * slices == pytest.approx((max(int(send.max()), 1) + 1) / 1e9)


def test_the_grid_is_even_in_the_body_and_has_what_tables_quote() -> None:
    assert list(np.diff(GRID[:100])) == [10_000] * 99
    assert {500_000, 900_000, 950_000, 990_000, 999_000, 999_900, MILLION} <= set(GRID.tolist())
    assert list(GRID) == sorted(set(GRID.tolist())) and GRID[0] == 0
