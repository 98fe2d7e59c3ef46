"""A/A runs: the same case twice, noise read off them, and findings kept by host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness import stats
from harness.analysis.calibration import known
from harness.analysis.calibration.aa import aa_experiment
from harness.analysis.calibration.noise import NAMES, Noise, noise_of
from harness.errors import InputError
from harness.plan import Plan, load_experiment, make_plan
from tests import experiment
from tests.unit.synthetic import source


def aa_runs(blocks: int = 40, spread: float = 0.05, second: float = 1.0, **more: Any) -> pd.DataFrame:
    draw = np.random.default_rng(4)
    shared = draw.lognormal(0, 0.2, blocks)
    rows = []
    for name, factor in zip(NAMES, (1.0, second), strict=True):
        for block in range(blocks):
            value = 100 * factor * shared[block] * draw.normal(1, spread)
            rows.append({"case": name, "block": block, "rtt_p50_us": value, "rate_rps": 1e6 / value, **more})
    return pd.DataFrame(rows)


def test_one_case_under_two_names(tmp_path: Path) -> None:
    path = experiment.write(
        tmp_path,
        cases={"base": {}, "polled": {"settings": {"*": {"busy_poll": {}}}}},
        sweep={"workload.size": ["64B", "128B"]},
    )
    made = aa_experiment(load_experiment(path), "polled")
    assert made.name == "small-calibration"
    assert [cell.case for cell in made.cells] == ["same-1", "same-1", "same-2", "same-2"]
    assert all("busy_poll" in cell.spec.settings["client"] for cell in made.cells)
    plan = make_plan(made, repeat=3)
    assert len({run.run_id for run in plan.runs}) == 12
    assert Plan.from_json(plan.to_json()) == plan
    assert {cell.case for cell in aa_experiment(load_experiment(path)).cells} == set(NAMES)
    with pytest.raises(InputError, match='did you mean "polled"') as caught:
        aa_experiment(load_experiment(path), "poled")
    assert caught.value.where == "--case"


def test_noise_of_runs_that_are_the_same() -> None:
    latency, rate = noise_of(aa_runs(), ["rtt_p50_us", "rate_rps", "absent_us"], 5)
    assert (latency.metric, rate.metric) == ("rtt_p50_us", "rate_rps")
    assert (latency.comparisons, latency.blocks) == (8, 40)
    assert latency.hits <= 2
    assert latency.rate is not None
    assert latency.rate.low <= 0.0625 <= latency.rate.high
    assert latency.spread == pytest.approx(0.2, rel=0.5)
    assert latency.least_effect is not None
    # What blocks share is taken out: 5 % within blocks is what limits.
    assert 0.05 < latency.least_effect < 0.3


def test_more_runs_show_less_and_noise_hides_more() -> None:
    def least(size: int, spread: float) -> float:
        (found,) = noise_of(aa_runs(spread=spread), ["rtt_p50_us"], size)
        return found.least_effect or 0.0

    assert least(20, 0.05) < least(5, 0.05) < least(5, 0.2)


def test_names_that_are_not_the_same_are_found_out() -> None:
    (found,) = noise_of(aa_runs(second=1.5), ["rtt_p50_us"], 5)
    assert found.hits == found.comparisons == 8


def test_blocks_are_drawn_without_putting_back() -> None:
    """Where a comparison takes all blocks there are, every draw has the five that are far, under either name each."""
    blocks, far = 20, 5
    runs = aa_runs(blocks, spread=0.0)
    apart = (runs["block"] < far) & (runs["case"] == NAMES[0])
    (found,) = noise_of(runs.assign(rtt_p50_us=np.where(apart, 300.0, 100.0)), ["rtt_p50_us"], blocks)
    needed = []
    for slower in range(far + 1):
        test = np.array([300.0] * slower + [100.0 / 3] * (far - slower) + [100.0] * (blocks - far))
        made = stats.ratio_interval(np.full(blocks, 100.0), test, paired=True)
        assert made is not None and made.interval is not None and made.contrast is not None
        low = min(made.interval.low, made.contrast.interval(stats.CONFIDENCE).low)
        needed.append(max(0.0, 1 / low - 1))
    assert found.least_effect in [pytest.approx(value) for value in needed]


def test_too_few_blocks_say_nothing() -> None:
    assert noise_of(aa_runs(4), ["rtt_p50_us"], 5) == []
    (found,) = noise_of(aa_runs(6), ["rtt_p50_us"], 10)
    assert (found.comparisons, found.rate, found.least_effect) == (0, None, None)


def entry(made_utc: str = "2026-11-22T10:00:00+00:00") -> known.Calibration:
    noise = noise_of(aa_runs(), ["rtt_p50_us"], 5)
    return known.entry_of(source().runs, "quickstart, base", made_utc, noise)


def test_findings_are_kept_by_host() -> None:
    first, second = entry("2026-11-22"), entry("2026-11-23")
    kept = known.with_entry(known.with_entry([], first), second)
    assert kept == [second]
    assert known.read_entries(known.to_bytes(kept)) == kept
    runs = source().runs
    assert known.matching(kept, [runs, runs]) == second
    assert known.matching(kept, [runs, runs.assign(kernel="7.0")]) is None
    assert known.matching(kept, [aa_runs()]) is None
    mixed = replace(source()).runs.assign(kernel=["6.18.0"] * 29 + ["7.0"])
    assert known.matching(kept, [mixed]) is None
    # Quoted for what was calibrated, or part of it, and for no other work.
    part = runs[runs["contention.load"] == "0%"]
    assert known.matching(kept, [part]) == second
    assert known.matching(kept, [runs.assign(workload_duration_s=2.5)]) is None
    assert len(known.with_entry(kept, known.entry_of(part.assign(workload_depth=7.0), "x", "2026", []))) == 2
    (said,) = known.sentences(second)
    assert "on 2026-11-23 (quickstart, base)" in said
    assert "with 5 runs a side: RTT p50" in said
    assert known.sentences(None) == ()
    # Of several that fit the newest, in whatever order they are kept.
    wider = replace(second, made_utc="2026-11-25")
    for kept in ([second, wider], [wider, second]):
        assert known.matching(kept, [runs]) == wider


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": 2}', b'{"format": 1, "entries": [{}]}', b"\xff"])
def test_a_damaged_file_is_an_error_with_words(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        known.read_entries(data)


def test_what_is_quoted_of_a_calibration_are_the_metrics_that_people_compare() -> None:
    def noise(metric: str, hits: int, least: float | None) -> Noise:
        return Noise(metric, 6, 24, hits, 4, None, 0.1, least)

    quoted = [noise("rtt_p50_us", 1, 0.0123), noise("rtt_p99_us", 2, 0.2), noise("rate_rps", 0, None)]
    (said,) = known.sentences(replace(entry(), noise=(*quoted, noise("rtt_mean_us", 4, 0.5))))
    assert "3 of 12 A/A comparisons claimed a difference" in said
    assert said.endswith("shown 80 % of the time with 6 runs a side: RTT p50 1.2 %, p99 20 %, requests none.") or (
        "1.2 %" in said and "20 %" in said and "none." in said and "50 %" not in said
    )
    (alone,) = known.sentences(replace(entry(), noise=(noise("rtt_mean_us", 4, 0.5),)))
    assert "4 of 4 A/A comparisons" in alone and "50 %" in alone
