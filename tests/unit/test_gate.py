"""--fail-if: conditions as typed, and when one failed, passed, is undecided, or cannot be judged."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.compare import Options, compare_sources
from harness.analysis.compare.gate import judge, parse_gate
from harness.errors import InputError
from harness.tables import Source
from tests.unit.synthetic import source


@pytest.mark.parametrize(
    ("text", "metric", "quantity", "low", "high"),
    [
        ("rtt_p99_us > +5%", "rtt_p99_us", "ratio", 1.05, None),
        ("set_busy_percent > +5%", "set_busy_percent", "ratio", 1.05, None),
        ("set_busy_percent > +5pp", "set_busy_percent", "difference", 5.0, None),
        ("rate_rps<-10%", "rate_rps", "ratio", None, 0.9),
        ("rtt_p99_us > +3us", "rtt_p99_us", "difference", 3, None),
        ("rtt_p99_us > +3", "rtt_p99_us", "difference", 3, None),
        ("rtt_p99_us > 0.1ms", "rtt_p99_us", "level", 100, None),
        ("rtt_p99_us > 100", "rtt_p99_us", "level", 100, None),
        ("client_polled_percent < 50%", "client_polled_percent", "level", None, 50),
        ("client_polled_percent < -5pp", "client_polled_percent", "difference", None, -5),
        ("my_wait_ms > 2s", "my_wait_ms", "level", 2000, None),
    ],
)
def test_conditions(text: str, metric: str, quantity: str, low: float | None, high: float | None) -> None:
    assert parse_gate(f" {text} ").text == text
    found = parse_gate(text).condition
    assert (found.metric, found.quantity, found.closed) == (metric, quantity, False)
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rtt_p99_us", "is none"),
        ("rtt_p99_us = 5%", "is none"),
        ("rtt_p99_us > 5%", r"write \+5% or -5%"),
        ("rtt_p99_us > 5 apples", "the unit of the metric is us"),
        ("rate_rps > 5us", "the unit of the metric is 1/s"),
        ("rtt_p99_us < -100%", "nothing falls by 100 %"),
    ],
)
def test_conditions_that_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_gate(text)
    assert caught.value.where == "--fail-if"


@given(st.text(alphabet="rtp9_us<>=+-5.%e ", max_size=24))
def test_no_text_gives_a_traceback(text: str) -> None:
    try:
        condition = parse_gate(text).condition
        assert math.isfinite(condition.high if condition.low is None else condition.low)  # type: ignore[arg-type]
    except InputError:
        pass


@pytest.mark.parametrize(
    ("text", "shown", "by_estimate"),
    [
        ("rtt_p50_us > +20%", True, True),
        ("rtt_p50_us > +29%", False, True),
        ("rtt_p50_us > +40%", False, False),
        ("rtt_p50_us < -5%", False, False),
        ("rtt_p50_us < +60%", True, True),
        ("rtt_p50_us < +31%", False, True),
        ("rate_rps < -10%", True, True),
        ("rtt_p50_us > 70us", True, True),
        ("rtt_p50_us > +1us", True, True),
        ("rate_rps < -20%", True, True),
    ],
)
def test_met_when_shown(text: str, shown: bool, by_estimate: bool) -> None:
    options = Options(filters=("case=base", "contention.load=0%"))
    found = compare_sources([source(), source(scale=1.3)], options)
    gate = parse_gate(text)
    assert (judge(found, gate).outcome == "failed") == shown
    assert (judge(found, gate, by_estimate=True).outcome == "failed") == by_estimate


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        # p50 is 1.26 to 1.37 times as high, the interval that of the ratio.
        ("rtt_p50_us > +20%", "failed"),
        ("rtt_p50_us > +30%", "undecided"),
        ("rtt_p50_us > +60%", "passed"),
        ("rtt_p50_us < -5%", "passed"),
        ("rtt_p50_us > 1us", "failed"),
        ("rtt_p50_us > 1ms", "passed"),
        ("oneway_p50_us > +5%", "not judged"),
    ],
)
def test_each_outcome(text: str, outcome: str) -> None:
    gate = parse_gate(text)
    options = Options(filters=("case=base", "contention.load=0%"), metrics=(gate.condition.metric,))
    two, three = (source(), source(scale=1.3)), (source(), source(), source(scale=1.3))
    if outcome == "not judged":
        # One side has the figure, the other does not.
        two = (_with(two[0], oneway_p50_us=5.0), two[1])
        three = (*two, two[1])
    assert judge(compare_sources(two, options), gate).outcome == outcome
    verdict = judge(compare_sources(three, options), gate)
    assert verdict.outcome == outcome
    assert [result.row.against for result in verdict.results if result.row] == [1, 2]


@pytest.mark.parametrize(("bound", "outcome"), [("+20%", "passed"), ("+30%", "undecided"), ("+60%", "failed")])
def test_a_bound_from_above_is_judged_by_the_upper_end(bound: str, outcome: str) -> None:
    found = compare_sources([source(), source(scale=1.3)], Options(filters=("case=base", "contention.load=0%")))
    gate = parse_gate(f"rtt_p50_us < {bound}")
    verdict = judge(found, gate)
    assert (verdict.outcome, verdict.gate) == (outcome, gate)
    by_estimate = judge(found, gate, by_estimate=True)
    assert {result.gate for result in (*verdict.results, *by_estimate.results)} == {gate}


def test_a_condition_ends_as_the_worst_of_its_cells() -> None:
    found = compare_sources([source(troubled=True), source(scale=1.3)], Options(filters=("case=busypoll50",)))
    verdict = judge(found, parse_gate("rtt_p50_us > +5%"))
    assert [result.outcome for result in verdict.results] == ["failed", "not judged"]
    assert "a claim needs" in verdict.results[1].why
    assert verdict.outcome == "failed"
    verdict = judge(found, parse_gate("rtt_p50_us > +60%"))
    assert [result.outcome for result in verdict.results] == ["passed", "not judged"]
    assert verdict.outcome == "not judged"
    by_estimate = judge(found, parse_gate("rtt_p50_us > +5%"), by_estimate=True)
    assert [result.outcome for result in by_estimate.results] == ["failed", "failed"]


def test_a_side_without_valid_runs_or_without_the_cell_is_not_judged() -> None:
    gate = parse_gate("rtt_p50_us > +60%")
    skipped = compare_sources([source(), source(troubled=True)], Options(filters=("case=defer20",)))
    outcomes = {
        dict(result.row.factors)["contention.load"]: (result.outcome, result.why)
        for result in judge(skipped, gate).results
        if result.row
    }
    assert outcomes["100%"] == ("not judged", "B: no valid run (5 skipped)")
    whole = source()
    part = replace(whole, runs=whole.runs[whole.runs["case"] != "defer20"].reset_index(drop=True))
    for sides, absent in (((whole, part), "not in B"), ((part, whole), "not in A")):
        verdict = judge(compare_sources(sides), gate)
        assert verdict.outcome == "not judged"
        assert {result.why for result in verdict.results if result.outcome == "not judged"} == {absent}


def test_nothing_compared_is_not_judged_rather_than_passed() -> None:
    none = compare_sources([source(), source()], Options(metrics=("rtt_p99_us",)))
    verdict = judge(none, parse_gate("rtt_p50_us > +5%"))
    assert (verdict.outcome, verdict.results[0].row) == ("not judged", None)
    assert (verdict.results[0].interval, verdict.results[0].why) == (None, "there is no cell to compare")


@given(
    st.lists(st.floats(1, 1000), min_size=5, max_size=12),
    st.lists(st.floats(1, 1000), min_size=5, max_size=12),
    st.sampled_from([-50, -5, 0, 5, 50]),
)
def test_no_two_opposite_conditions_fail_both(one: list[float], other: list[float], percent: int) -> None:
    sides = [
        Source("hand", pd.DataFrame({"case": "x", "rtt_p50_us": values, "verdict": "valid"})) for values in (one, other)
    ]
    found = compare_sources(sides)
    above, below = (judge(found, parse_gate(f"rtt_p50_us {side} {percent:+d}%")).outcome for side in "><")
    assert {above, below} in ({"failed", "passed"}, {"undecided"}, {"passed"}, {"undecided", "passed"})


def test_a_level_from_few_runs_is_not_judged_as_a_claim_about_it_is_not() -> None:
    options = Options(filters=("case=base", "contention.load=0%"))
    few = compare_sources([source(blocks=3), source(blocks=3)], options)
    (result,) = judge(few, parse_gate("rtt_p50_us > 1us")).results
    assert (result.outcome, result.interval is not None) == ("not judged", True)
    assert result.why == "3 valid runs are too few"
    assert judge(few, parse_gate("rtt_p50_us > 1us"), by_estimate=True).outcome == "failed"


def _with(whole: Source, **columns: float) -> Source:
    return replace(whole, runs=whole.runs.assign(**columns))
