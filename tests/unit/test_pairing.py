"""Blocks pair runs only where they were made in turns; drift over the order of the runs is named."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness import report
from harness.analysis.compare import Comparison, compare_cases, compare_sources
from harness.analysis.compare.drift import drifts
from harness.analysis.compare.pairing import Interleaving, blocks_of, paired_values
from harness.analysis.compare.sources import pivot
from harness.analysis.compare.verdict import of_cases
from harness.analysis.summary import overview
from harness.errors import InputError
from harness.tables import Source
from harness.tables.cells import group_cells
from harness.tables.columnar import table_of

BLOCKS = 8


def table(how: str = "turns", **more: Any) -> Source:
    """Two cases of eight blocks: made in turns, one case after the other, or with nothing that tells."""
    rows = {
        "turns": [(case, block) for block in range(BLOCKS) for case in ("base", "x")],
        "sequential": [(case, block) for case in ("base", "x") for block in range(BLOCKS)],
    }["sequential" if how == "sequential" else "turns"]
    noise = np.random.default_rng(1).normal(50, 1, 2 * BLOCKS)
    columns: dict[str, Any] = {
        "case": [case for case, _ in rows],
        "block": [float(block) for _, block in rows],
        "rtt_p50_us": noise,
    }
    if how != "silent":
        columns["order"] = np.arange(2.0 * BLOCKS)
    return Source("made", pd.DataFrame(columns | more))


def paired(comparison: Comparison) -> bool:
    (row,) = comparison.rows
    assert row.change.difference is not None
    return row.change.difference.paired


def test_runs_in_turns_are_paired_and_certified() -> None:
    found = compare_cases(table(), "base")
    assert paired(found)
    assert found.verdict[0].startswith("Cases were measured in the same blocks: a difference is the doing of")


def test_one_case_after_the_other_is_neither() -> None:
    found = compare_cases(table("sequential"), "base")
    assert not paired(found)
    assert "were not interleaved, so they are not paired" in found.verdict[0]
    assert "same blocks" not in " ".join(found.verdict)
    for how in ("sequential", "turns"):
        warned = " ".join(overview(table(how)).warnings)
        assert ("not interleaved" in warned) == (how == "sequential")


def test_times_disprove_an_order_of_two_merged_sets() -> None:
    """Two sets, one a day after the other, whose order counts on by chance as if they had been made in turns."""
    days = [
        f"2026-01-0{1 if case == 'base' else 2}T00:{block:02d}:00Z" for block in range(BLOCKS) for case in ("base", "x")
    ]
    assert not paired(compare_cases(table(started_utc=days), "base"))
    turns = [f"2026-01-01T00:{at:02d}:00Z" for at in range(2 * BLOCKS)]
    assert paired(compare_cases(table(started_utc=turns), "base"))


def test_two_orders_laid_on_top_of_each_other_are_no_turns() -> None:
    merged = [float(block) for block in range(BLOCKS) for _ in range(2)]
    assert not paired(compare_cases(table(order=merged), "base"))


def test_a_run_made_again_later_undoes_no_design() -> None:
    order = list(np.arange(2.0 * BLOCKS))
    times = [f"2026-01-01T00:{at:02d}:00Z" for at in range(2 * BLOCKS)]
    times[2] = "2026-01-01T01:00:00Z"
    assert paired(compare_cases(table(order=order, started_utc=times), "base"))


def test_blocks_without_order_or_time_are_paired_and_not_certified() -> None:
    found = compare_cases(table("silent"), "base")
    assert paired(found)
    assert "is not on record" in found.verdict[0]
    assert "the doing of" not in " ".join(found.verdict)


@pytest.mark.parametrize("column", ["kernel", "host", "cpu_model"])
def test_runs_of_two_machines_are_not_paired(column: str) -> None:
    found = compare_cases(table("turns", **{column: ["one", "two"] * BLOCKS}), "base")
    assert not paired(found)
    assert f"The runs of this set differ in {column}" in found.verdict[0]
    # Machines that take turns by blocks leave the pairs alike.
    shared = compare_cases(table("turns", **{column: [name for name in "ab" * 4 for _ in range(2)]}), "base")
    assert paired(shared)
    assert f"in the same blocks, both on one machine (they differ in {column}): a difference is" in shared.verdict[0]


def test_machines_that_number_their_blocks_alike_are_paired_each_by_itself() -> None:
    """Two machines with four blocks each, both counted from 0, one ten times as slow: the case takes 2 us of 50."""
    rows = [(host, block, case) for host in "ab" for block in range(4) for case in ("base", "x")]
    times = [(50 if host == "a" else 500) - 2 * (case == "x") + 0.1 * block for host, block, case in rows]
    hosts, blocks, cases = (list(column) for column in zip(*rows, strict=True))
    made = pd.DataFrame({"case": cases, "block": map(float, blocks), "host": hosts, "rtt_p50_us": times})
    found = compare_cases(Source("made", made), "base")
    assert paired(found)
    (difference,) = (row.change.difference for row in found.rows)
    assert difference is not None and difference.value == pytest.approx(-2)
    assert "machines (they differ in host)" in found.verdict[0]
    # Looking at the first blocks is looking at those of both: block 0 lies above all of -1, and no higher than 0.
    seen, _ = blocks_of(table_of(made), *group_cells(made))
    assert (np.ceil(seen) == made["block"][::2]).all() and len(set(seen)) == 8
    # One machine whose blocks are there twice is paired no more than before.
    made["host"] = "a"
    assert not paired(compare_cases(Source("made", made), "base"))


@pytest.mark.parametrize("first_block", [0, BLOCKS])
def test_machines_that_work_side_by_side_are_no_others_runs_in_between(first_block: int) -> None:
    """Two machines that begin each run at the same time, with blocks of their own or numbered alike."""
    one, other = table(host="a"), table(host="b")
    times = [f"2026-01-01T00:00:{at:02d}.{part}Z" for part in (1, 2) for at in range(2 * BLOCKS)]
    other.runs["block"] += first_block
    both = pd.concat([one.runs, other.runs], ignore_index=True).assign(started_utc=times)
    found = compare_cases(Source("made", both), "base")
    assert paired(found) and found.verdict[0].startswith("Cases were measured in the same blocks, both on one machine")
    pairs = paired_values(both, "rtt_p50_us", *group_cells(both))
    assert pairs is not None and pairs[0].tolist() == both["rtt_p50_us"][::2].tolist()
    # One case after the other is no turns on either.
    both["order"] = [at // 2 + BLOCKS * (at % 2) for at in range(2 * BLOCKS)] * 2
    assert not paired(compare_cases(Source("made", both.drop(columns="started_utc")), "base"))


@pytest.mark.parametrize("way", ["shown", "declared", "apart", "elsewhere", "none"])
def test_every_verdict_is_a_sentence(way: Interleaving) -> None:
    assert all(text.endswith(".") for text in of_cases(table_of(table("turns").runs), {way}, ()))


def test_a_factor_turned_into_cases_needs_an_order() -> None:
    made = table("silent", machine=["alpha", "beta"] * BLOCKS)
    made.runs["case"] = "poll"
    found = compare_cases(*pivot(made, "machine=alpha"))
    assert not paired(found)
    assert "the doing of" not in " ".join(found.verdict)
    proven = table(machine=["alpha", "beta"] * BLOCKS)
    proven.runs["case"] = "poll"
    assert paired(compare_cases(*pivot(proven, "machine=alpha")))


def test_different_sets_are_never_paired() -> None:
    (row,) = [row for row in compare_sources([table(), table()]).rows if row.case == "x"]
    assert row.change.difference is not None
    assert not row.change.difference.paired


def test_a_drift_is_named_and_noise_is_not() -> None:
    slow = table("sequential")
    slow.runs["rtt_p50_us"] += np.arange(2 * BLOCKS) * 0.5
    found = compare_cases(slow, "base")
    assert [(drift.metric, drift.rises) for drift in found.drifts] == [("rtt_p50_us", True)]
    assert "something did drift" in found.verdict[0]
    text = " ".join(report.compare(found, "text").split())
    assert "Drift: within the cells, in the order of the runs, RTT p50 rises (p " in text
    quiet = compare_cases(table(), "base")
    assert quiet.drifts == ()
    assert "Drift" not in report.compare(quiet, "text")


def test_few_of_many_quiet_tables_are_said_to_drift() -> None:
    draw = np.random.default_rng(7)
    named = 0
    for _ in range(300):
        made = table()
        made.runs["rtt_p50_us"] = draw.normal(50, 1, 2 * BLOCKS)
        named += bool(drifts([("A", made.runs, group_cells(made.runs))], ["rtt_p50_us"]))
    assert named <= 25  # 15 are expected at 5 %


def test_how_sure_a_drift_is_allows_for_values_that_are_alike() -> None:
    """Kendall's S of four pairs of equal values that rise: 24 of 28, by hand with its variance under ties."""
    runs = pd.DataFrame({"case": "x", "order": np.arange(8.0), "rtt_p50_us": [1.0, 1, 2, 2, 3, 3, 4, 4]})
    (found,) = drifts([("A", runs, group_cells(runs))], ["rtt_p50_us"])
    variance = (8 * 7 * 21 - 4 * 2 * 1 * 9) / 18
    assert found.rises and found.p == pytest.approx(math.erfc(23 / math.sqrt(variance) / math.sqrt(2)))
    falls = runs.assign(rtt_p50_us=-runs["rtt_p50_us"])
    (down,) = drifts([("A", falls, group_cells(falls))], ["rtt_p50_us"])
    assert (down.rises, down.p) == (False, found.p)


def test_a_value_of_a_factor_may_hold_an_equals_sign() -> None:
    made = table(tuning=["rx=1", "rx=2"] * BLOCKS)
    pivoted, baseline = pivot(made, "tuning=rx=1")
    assert baseline == "rx=1" and set(pivoted.runs["case"]) == {"rx=1", "rx=2"}


def test_a_factor_or_value_that_is_not_there_is_told_with_what_is() -> None:
    made = table(tuning=["on", "off"] * BLOCKS)
    for text, got, todo in (
        ("tune=on", "there is no factor 'tune'", "name a swept key of made, as its table has it"),
        ("case=x", "there is no factor 'case'", "name a swept key of made, as its table has it"),
        ("tuning=no", "no run has tuning 'no'", "there are on, off"),
    ):
        with pytest.raises(InputError) as caught:
            pivot(made, text)
        error = caught.value
        assert (error.on, error.got, error.todo, error.where) == (text, got, todo, "--baseline")
