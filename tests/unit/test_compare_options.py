"""What can be asked of a comparison: several inputs, verdicts to include, what is small, order, far runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness import report
from harness.analysis.compare import Comparison, Options, compare_cases, compare_sources
from harness.errors import InputError
from harness.tables import Source
from tests.unit.synthetic import source

P50 = ("rtt_p50_us",)


def noisy(factor: float = 1.0, runs: int = 10, seed: int = 1, cases: tuple[str, ...] = ("a",)) -> Source:
    draw = np.random.default_rng(seed)
    rows = [
        {"case": case, "block": block, "rtt_p50_us": factor * draw.normal(100, 2)}
        for case in cases
        for block in range(runs)
    ]
    return Source(f"made-{factor:g}-{seed}", pd.DataFrame(rows))


def test_every_further_input_is_set_against_the_first() -> None:
    found = compare_sources([noisy(), noisy(1.5, seed=2), noisy(2, seed=3)])
    assert [(found.inputs[row.against].letter, row.change.outcome) for row in found.rows] == [
        ("B", "higher"),
        ("C", "higher"),
    ]
    assert found.family == {"rtt_p50_us": 2}
    text = report.compare(found)
    assert "A = made-1-1    B = made-1.5-2    C = made-2-3" in text
    with pytest.raises(InputError, match="name two sources"):
        compare_sources([noisy()])


def test_inputs_of_one_name_are_told_apart() -> None:
    found = compare_sources([source(), source()])
    assert [each.label[-4:] for each in found.inputs] == [" (A)", " (B)"]


def test_what_one_comparison_shows_is_undecided_among_many() -> None:
    cases = tuple(f"case{at}" for at in range(20))
    one, other = noisy(1, 5, 1, cases), noisy(1.05, 5, 2, cases)
    found = compare_sources([one, other])
    assert {row.change.comparisons for row in found.rows} == {20}
    alone = {row.case for row in found.rows if row.change.ratio and row.change.ratio.shown}
    claimed = {row.case for row in found.rows if row.change.outcome == "higher"}
    assert claimed < alone
    for row in found.rows:
        assert row.change.ratio and row.change.ratio.interval and row.change.together
        width = row.change.ratio.interval.high / row.change.ratio.interval.low
        assert row.change.together.high / row.change.together.low > width
        assert (row.change.outcome == "higher") == ((row.change.p_together or 0) <= 0.05 and row.change.ratio.shown)
    (first, *_) = sorted(alone - claimed)
    (row,) = compare_sources([one, other], Options(filters=(f"case={first}",))).rows
    assert (row.change.outcome, row.change.comparisons) == ("higher", 1)
    assert "undecided" in report.compare(found)


def test_a_change_too_small_to_matter_is_none() -> None:
    sources = [noisy(runs=20), noisy(1.03, runs=20, seed=2)]
    (row,) = compare_sources(sources).rows
    assert row.change.outcome == "higher"
    found = compare_sources(sources, Options(smallest_effect=0.1))
    assert (found.rows[0].change.outcome, found.rows[0].change.small) == ("~", True)
    assert "within 10 %" in report.compare(found)
    # An interval that reaches beyond what is small is told as it is.
    (row,) = compare_sources(sources, Options(smallest_effect=0.03)).rows
    assert (row.change.outcome, row.change.small) == ("higher", False)


def test_no_difference_is_said_with_what_it_is_not_larger_than() -> None:
    sources = [noisy(runs=20), noisy(runs=20, seed=2)]
    found = compare_sources(sources)
    assert (found.rows[0].change.outcome, found.rows[0].change.no_larger) == ("~", 0.05)
    assert "no difference larger than that" in report.compare(found).replace("\n  ", " ")
    assert "<5%" in report.compare(found, "kernel")
    undecided = compare_sources(sources, Options(smallest_effect=0.002))
    (row,) = undecided.rows
    assert (row.change.outcome, row.change.no_larger) == ("~", None)
    assert (row.change.needed or 0) > 20
    assert "undec" in report.compare(undecided, "kernel").replace("undec:", "")


@pytest.mark.parametrize(("written", "share"), [("2%", 0.02), (None, 0.0), ("rubbish", 0.0)])
def test_the_experiment_declares_what_is_small(written: str | None, share: float) -> None:
    made = source()
    cells = [cell | {"document": {"checks": {"smallest_effect": written}}} for cell in made.plan["cells"]]
    declared = replace(made, plan=made.plan | {"cells": cells})
    assert compare_sources([made, declared]).smallest_effect == share
    assert compare_sources([made, declared], Options(smallest_effect=0.5)).smallest_effect == 0.5


def test_verdicts_are_included_on_request_and_labelled() -> None:
    options = Options(metrics=P50, include=("inert", "suspect"))
    found = compare_cases(source(troubled=True), "base", options)
    counts = {(row.case, dict(row.factors)["contention.load"]): row.test.valid for row in found.rows if row.test}
    assert counts["busypoll50", "100%"] == 5
    assert counts["defer20", "0%"] == 5
    assert found.inputs[1].runs["inert"] == 2
    assert "Counted on request beside valid runs: inert, suspect" in report.compare(found)


def test_filters_apply_to_every_input() -> None:
    found = compare_sources([source(), source()], Options(filters=("case=base", "contention.load=0%")))
    assert {(row.case, row.factors) for row in found.rows} == {("base", (("contention.load", "0%"),))}
    with pytest.raises(InputError, match="none passes case=nothing"):
        compare_sources([source(), source()], Options(filters=("case=nothing",)))


def outcome_order(found: Comparison) -> list[str]:
    return [row.case for row in found.rows]


def test_rows_in_the_order_asked_for() -> None:
    one, other = noisy(cases=("c", "a", "b")), noisy(cases=("c", "a", "b"), seed=2)
    slower = other.runs["case"].map({"c": 1.0, "a": 1.5, "b": 3.0})
    other = replace(other, runs=other.runs.assign(rtt_p50_us=other.runs["rtt_p50_us"] * slower))
    assert outcome_order(compare_sources([one, other])) == ["c", "a", "b"]
    assert outcome_order(compare_sources([one, other], Options(sort="case"))) == ["a", "b", "c"]
    assert outcome_order(compare_sources([one, other], Options(sort="effect"))) == ["b", "a", "c"]
    assert outcome_order(compare_sources([one, other], Options(sort="p")))[-1] == "c"


def test_far_runs_are_shown_and_count() -> None:
    one, other = noisy(), noisy(seed=2)
    other.runs.loc[3, "rtt_p50_us"] = 900.0
    found = compare_sources([one, other])
    (far,) = found.outliers
    assert (far.letter, far.case, far.run_id, far.value) == ("B", "a", "row 5", 900.0)
    assert found.rows[0].change.test.n == 10
    assert "1 run lies far from the others, and counts" in report.compare(found)
    assert "Far from the others, and counted: run row 5" in report.compare(found, details=True)


def test_undecided_says_how_many_runs_it_takes() -> None:
    found = compare_sources([noisy(runs=4), noisy(runs=4, seed=2)], Options(smallest_effect=0.005))
    (row,) = found.rows
    assert row.change.outcome == "~"
    assert (row.change.needed or 0) > 8
    assert "Undecided; runs a side that would show a difference" in report.compare(found)


def said(*sources: Source) -> str:
    return " ".join(compare_sources(sources).verdict)


def test_the_verdict_says_what_it_can_mean() -> None:
    made = source()
    assert "No difference of host" in said(made, source())
    newer = replace(made, runs=made.runs.assign(kernel="7.0"))
    assert "differ in kernel alone" in said(made, newer)
    other = replace(made, runs=newer.runs.assign(cpu_model="Another"))
    assert "differ in kernel and cpu_model: a difference cannot be laid to any one" in said(made, other)
    bigger = replace(made, runs=made.runs.assign(workload_size_bytes=1024.0))
    assert "did not do the same work (workload_size_bytes)" in said(made, bigger)
    assert "made-1-1 and" not in said(noisy(), made)
    assert "A says nothing about where runs were made" in said(noisy(), made)
    emulated = replace(made, runs=made.runs.assign(accelerator="tcg-virtual"))
    assert "model time" in said(made, emulated)
    assert "only signs and orders are" in said(made, emulated)


def test_the_verdict_on_cases() -> None:
    made = source()
    assert "same blocks on the same host" in compare_cases(made, "base").verdict[0]
    assert "too few blocks" in compare_cases(source(blocks=4), "base").verdict[0]
    without = made.runs[[name for name in made.runs.columns if name != "block"]]
    assert "in turns is not on record" in compare_cases(replace(made, runs=without), "base").verdict[0]
    mixed = made.runs.assign(kernel=["6.18"] * 15 + ["6.19"] * 15)
    assert "differ in kernel" in compare_cases(replace(made, runs=mixed), "base").verdict[0]


def test_the_kernel_that_is_compared_does_not_keep_its_runs_from_being_paired() -> None:
    made = source()
    cases = sorted(made.runs["case"].unique())
    runs = made.runs.assign(kernel=made.runs["case"].map({case: f"6.{at}" for at, case in enumerate(cases)}))
    kernels = replace(made, runs=runs)
    compared = compare_cases(kernels, "base", by="vm.kernel")
    assert "same blocks on the same host" in compared.verdict[0]
    assert all(row.change.difference.paired for row in compared.rows if row.change.difference)
    # What was varied was another thing: then the kernel is in the way.
    assert "differ in kernel" in compare_cases(kernels, "base", by="workload.rate").verdict[0]
