"""Comparisons and overviews: the right runs against each other, claims no bigger than the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.analysis.compare import Comparison, Options, Row, compare_cases, compare_sources
from harness.analysis.compare.pairing import interleaving
from harness.analysis.summary import overview
from harness.errors import InputError
from harness.tables import Source, frames
from harness.tables.cells import group_cells
from tests.unit.synthetic import record, result_set, source

P50 = Options(metrics=("rtt_p50_us",))


def pick(found: Comparison, metric: str, case: str, load: str) -> Row:
    (row,) = [
        row
        for row in found.rows
        if (row.metric, row.case, dict(row.factors).get("contention.load")) == (metric, case, load)
    ]
    return row


def table(**columns: list[Any]) -> Source:
    return Source("hand", pd.DataFrame(columns))


def test_cases_against_their_baseline_are_paired_by_block() -> None:
    found = compare_cases(source(), "base")
    row = pick(found, "rtt_p50_us", "busypoll50", "0%")
    assert row.change.ratio is not None
    assert row.change.ratio.paired
    assert (row.change.outcome, row.change.judged) == ("lower", "better")
    assert row.change.factor == pytest.approx(8, rel=0.05)
    assert pick(found, "rate_rps", "busypoll50", "0%").change.judged == "better"
    assert pick(found, "cpu_us_per_request", "busypoll50", "0%").change.judged == "worse"
    assert "base" not in {row.case for row in found.rows}


def test_two_sets_are_not_paired_and_a_set_equals_itself() -> None:
    found = compare_sources([source(), source()])
    assert {row.change.outcome for row in found.rows} == {"~"}
    assert {row.change.ratio.paired for row in found.rows if row.change.ratio} == {False}
    assert found.differences == ()


def test_a_known_effect_is_found() -> None:
    found = compare_sources([source(), source(scale=1.3)])
    for row in found.rows:
        if row.metric == "rtt_p50_us":
            assert row.change.ratio is not None
            assert row.change.ratio.interval is not None
            assert row.change.ratio.interval.low <= 1.3 <= row.change.ratio.interval.high


def test_only_valid_runs_count_and_the_rest_is_told() -> None:
    found = compare_cases(source(troubled=True), "base")
    assert found.inputs[1].runs == {"valid": 12, "inert": 2, "suspect": 1, "failed": 0, "skipped": 5}
    lost = pick(found, "rtt_p50_us", "defer20", "100%")
    assert lost.change.ratio is None
    assert lost.change.note == "this case: no valid run (5 skipped)"
    few = pick(found, "rtt_p50_us", "busypoll50", "100%")
    assert few.change.outcome == ""
    assert "a claim needs" in few.change.note
    # Four of five blocks are too few to pair, but enough to compare apart.
    four = pick(found, "rtt_p50_us", "defer20", "0%")
    assert four.change.ratio is not None
    assert (four.change.ratio.paired, four.change.outcome) == (False, "higher")


def test_a_cell_of_one_side_is_a_row_with_a_reason() -> None:
    whole = source()
    part = Source("part", whole.runs[whole.runs["case"] != "defer20"].reset_index(drop=True))
    rows = {row.case: row for row in compare_sources([whole, part], P50).rows}
    assert rows["defer20"].change.note == "not in B"
    assert rows["defer20"].test is None
    rows = {row.case: row for row in compare_sources([part, whole], P50).rows}
    assert rows["defer20"].change.note == "not in A"
    assert rows["defer20"].change.test.median is not None


def test_environments_that_differ_are_named() -> None:
    records = result_set(scale=1.1)
    for made in records:
        made.environment["kernel"] = "6.19.0"
    found = compare_sources([source(), Source("new", frames(records).runs)])
    assert [(item.column, item.values) for item in found.differences] == [("kernel", (("6.18.0",), ("6.19.0",)))]
    assert "of new were made" not in " ".join(found.notes)
    hand = table(case=["base"] * 5, rtt_p50_us=[1.0, 2, 3, 4, 5])
    assert "nothing tells where the runs of hand were made" in compare_sources([source(), hand]).notes


def test_hand_made_tables_of_any_metric() -> None:
    one = table(case=["a"] * 5, my_wait_ms=[10.0, 11, 12, 11, 10])
    two = table(case=["a"] * 5, my_wait_ms=[20.0, 21, 22, 21, 20])
    (row,) = compare_sources([one, two]).rows
    assert (row.metric, row.change.outcome, row.change.judged) == ("my_wait_ms", "higher", "")


def test_a_factor_of_one_side_is_told() -> None:
    one = table(case=["a"] * 4, rtt_p50_us=[1.0, 2, 3, 4], load=["x"] * 4)
    two = table(case=["a"] * 4, rtt_p50_us=[1.0, 2, 3, 4])
    found = compare_sources([one, two])
    assert "only one side has the factor load" in found.notes[0]
    assert len(found.rows) == 2
    assert len(compare_sources([one, two], Options(by=())).rows) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"metrics": ("rtt_p500_us",)}, "did you mean 'rtt_p50_us'"), ({"by": ("nothing",)}, "^--by: .* no run has it")],
)
def test_names_that_are_not_there(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        compare_sources([source(), source()], Options(**arguments))


def test_a_block_that_stands_twice_pairs_nothing() -> None:
    runs = table(case=["a"] * 6 + ["b"] * 6, block=[*range(6), *range(5), 4.0], rtt_p50_us=[1.0 + i for i in range(12)])
    base, test = group_cells(runs.runs)
    assert interleaving(runs.runs, base, test) == "none"
    assert interleaving(runs.runs.drop(columns="block"), base, test) == "none"


def test_the_headline_is_of_the_case_that_changed_most_wherever_it_stands() -> None:
    found = source()
    for cases in (["base", "busypoll50", "defer20"], ["base", "defer20", "busypoll50"]):
        order = found.runs["case"].map(cases.index).sort_values(kind="stable").index
        made = overview(replace(found, runs=found.runs.loc[order].reset_index(drop=True), planned={}))
        assert made.headline[0].case == "busypoll50"


def test_a_baseline_that_is_not_there() -> None:
    with pytest.raises(InputError, match="did you mean 'base'"):
        compare_cases(source(), "bass")
    with pytest.raises(InputError, match="there is base, busypoll50, defer20"):
        overview(source(), "zzz")


def test_no_ratio_of_nothing() -> None:
    one = table(case=["a"] * 5 + ["b"] * 5, client_polled_percent=[0.0] * 5 + [99.0] * 5)
    (row,) = compare_cases(one, "a").rows
    assert (row.change.outcome, row.change.note) == ("higher", "no ratio of values that are zero or negative")
    assert row.change.difference is not None
    assert row.change.difference.value == 99


def test_overview_counts_what_is_missing() -> None:
    whole = source()
    some = Source("some", whole.runs.iloc[:12].reset_index(drop=True), whole.knobs, whole.planned, {}, whole.plan)
    found = overview(some)
    assert found.missing == 18
    assert [cell.note for cell in found.cells].count("not run yet") == 3
    assert found.verdicts["valid"] == 12


def test_overview_of_nothing() -> None:
    found = overview(Source("none", frames([]).runs))
    assert found.cells == ()
    assert found.headline == ()


def test_reasons_that_differ_in_numbers_are_one() -> None:
    (first, *_) = overview(source(troubled=True)).left_out
    assert (first.verdict, first.runs) == ("inert", 2)
    assert first.reason == "busy poll on server polled 0 of 20000 packets"


def test_headline_is_the_strongest_gain_then_the_same_case_at_the_far_end() -> None:
    found = overview(source())
    assert [(cell.case, dict(cell.factors)["contention.load"]) for cell in found.headline] == [
        ("busypoll50", "0%"),
        ("busypoll50", "100%"),
    ]


def test_a_gain_leads_then_the_greatest_loss_and_what_is_undecided_comes_last() -> None:
    """How far p50 changed weighs; a gain however small weighs more than a loss, and a loss more than what is open."""
    wobble = [1.0, 1.01, 0.99, 1.005, 0.995, 1.002, 0.998, 1.0]
    figures = {
        "base": [100 * each for each in wobble],
        "open": [value for each in wobble[:4] for value in (9.0 * each, 9000.0 * each)],
        "half": [200 * each for each in wobble],
        "tenth": [1000 * each for each in wobble],
        "gain": [80 * each for each in wobble],
    }

    def headline(*cases: str) -> list[str]:
        columns: dict[str, list[Any]] = {"case": [], "block": [], "rtt_p50_us": []}
        for case in ("base", *cases):
            columns["case"] += [case] * len(wobble)
            columns["block"] += range(len(wobble))
            columns["rtt_p50_us"] += figures[case]
        return [view.case for view in overview(table(**columns)).headline]

    assert headline("open", "half", "tenth", "gain") == ["gain", "tenth"]
    assert headline("open", "half", "tenth") == ["tenth", "half"]
    assert headline("open", "half") == ["half", "open"]


def test_one_case_has_nothing_to_be_held_against(tmp_path: Path) -> None:
    runs = frames([record(block=block, order=block) for block in range(5)]).runs
    found = overview(Source(str(tmp_path), runs))
    assert found.baseline == ""
    assert found.headline == ()


def test_the_baseline_is_a_case_that_was_measured() -> None:
    """A first case of which every run failed compares nothing with nothing."""
    verdicts = ["failed"] * 5 + ["valid"] * 10
    cases = ["first"] * 5 + ["second"] * 5 + ["third"] * 5
    some = table(case=cases, verdict=verdicts, rtt_p50_us=[float(value) for value in range(15)])
    found = overview(some)
    assert found.baseline == "second"
    assert [bool(view.changes) for view in found.cells] == [True, False, True]
    assert overview(some, "first").baseline == "first"


def verdict_of(**changed: Any) -> str:
    """What a comparison says of two tables that are alike but for these columns of the second."""
    alike: dict[str, list[Any]] = {"case": ["a"] * 5, "rtt_p50_us": [1.0] * 5, "kernel": ["6.18"] * 5}
    alike |= {"workload_kind": ["load"] * 5, "workload_rate_rps": [2000.0] * 5, "workload_service": [""] * 5}
    other = alike | {name: [value] * 5 for name, value in changed.items()}
    return " ".join(compare_sources([table(**alike), table(**other)]).verdict)


def test_other_work_is_told() -> None:
    assert "A and B do not say what was measured" in verdict_of()
    assert "No difference" not in verdict_of()
    assert "not do the same work (workload_rate_rps)" in verdict_of(workload_rate_rps=20_000.0)
    assert "not do the same work (workload_service)" in verdict_of(workload_service="50us")
    assert "what was varied" not in verdict_of(workload_service="50us")


def test_a_case_that_one_side_alone_has_makes_no_other_work_of_those_compared() -> None:
    alike: dict[str, list[Any]] = {"rtt_p50_us": [1.0] * 5, "workload_kind": ["load"] * 5}
    few = table(case=["a"] * 5, contention_awake=[""] * 5, **alike)
    ten: dict[str, list[Any]] = {"rtt_p50_us": [1.0] * 10, "workload_kind": ["load"] * 10}
    more = table(case=["a"] * 5 + ["b"] * 5, contention_awake=[""] * 5 + ["on"] * 5, **ten)
    assert "same work" not in " ".join(compare_sources([few, more]).verdict)
    awake = table(case=["a"] * 5, contention_awake=["on"] * 5, **alike)
    assert "same work (contention_awake)" in " ".join(compare_sources([more, awake]).verdict)


def test_a_host_that_one_side_does_not_tell() -> None:
    blank = verdict_of(kernel="", cpu_model="Made-up CPU")
    assert "Not every side tells its kernel and cpu_model" in blank


def test_differences_without_a_ratio_are_paired_too() -> None:
    blocks = [float(block) for block in range(5)]
    cases = ["base"] * 5 + ["bp"] * 5
    polled = table(case=cases, block=blocks * 2, client_polled_percent=[0.0] * 5 + [99.0] * 5)
    assert "in the same blocks" in compare_cases(polled, "base").verdict[0]
    blank = table(case=cases, block=blocks * 2, rtt_p99_us=[float("nan")] * 5 + [9.0] * 5)
    found = compare_cases(blank, "base")
    assert found.verdict == ()
    assert "not every valid run of the first has one" in found.rows[0].change.note


def test_imported_campaigns_tell_of_cpu_in_their_own_way() -> None:
    some = table(case=["base"] * 5 + ["bp"] * 5, rtt_p50_us=[1.0] * 10, cycles_per_query=[7.0] * 10)
    assert [metric.name for metric in compare_cases(some, "base").metrics] == ["rtt_p50_us", "cycles_per_query"]
    assert set(overview(some).cells[1].changes) == {"rtt_p50_us", "cycles_per_query"}


def test_runs_far_from_the_others_are_told_on_both_sides() -> None:
    times = [10.0, 11.0, 12.0, 13.0, 14.0, 90.0]
    cases = compare_cases(table(case=["base"] * 6 + ["x"] * 6, rtt_p50_us=[*times, *times]), "base")
    assert [(far.letter, far.case, far.value) for far in cases.outliers] == [("base", "base", 90), ("case", "x", 90)]
    sets = compare_sources([table(case=["x"] * 6, rtt_p50_us=times)] * 2)
    assert [(far.letter, far.run_id, far.value) for far in sets.outliers] == [("A", "row 7", 90), ("B", "row 7", 90)]


def test_a_baseline_that_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(InputError) as caught:
        compare_cases(table(case=["base", "x"], rtt_p50_us=[1.0, 2.0]), "bas")
    assert (caught.value.todo, caught.value.where) == ("did you mean 'base'?", "--baseline")
    with pytest.raises(InputError) as caught:
        overview(table(case=["base", "x"], rtt_p50_us=[1.0, 2.0]), "bas")
    assert caught.value.todo == "did you mean 'base'?"


def test_cells_may_be_told_apart_by_the_case_and_by_what_was_asked() -> None:
    sides = [table(case=["a", "b"] * 5, size=["s"] * 10, rtt_p50_us=[1.0, 2.0] * 5)] * 2
    for by, factors in ((("case",), ()), (("case", "size"), (("size", "s"),))):
        found = compare_sources(sides, Options(by=by))
        assert [(row.case, row.factors) for row in found.rows] == [("a", factors), ("b", factors)]
