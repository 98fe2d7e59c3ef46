"""Verdicts on claims: each outcome from runs whose truth is known, and what must never be claimed from noise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.analysis.claims import ClaimVerdict, agreed, findings, judge
from harness.analysis.claims.source import available
from harness.analysis.curves import Study
from harness.analysis.summary import overview
from harness.report.claims import as_data, blocks, evidence
from harness.report.html import page
from harness.spec.claims import written
from harness.tables import Source
from harness.tables.frames import factor_text
from tests.unit import claims, synthetic
from tests.unit.claims import around, claim, runs

LOWER = {"case": "test", "direction": "lower", "by": "10%"}


def outcome(source: Source, *expect: dict[str, Any], **more: Any) -> ClaimVerdict:
    (found,) = judge(source, claim(*expect, **more))
    return found


@pytest.mark.parametrize(
    ("level", "direction", "verdict"),
    [
        (5.0, "lower", "holds"),
        (9.5, "lower", "does not hold here"),  # lower, but by less than matters
        (10.0, "lower", "does not hold here"),
        (20.0, "lower", "reversed"),
        (20.0, "higher", "holds"),
        (10.2, "higher", "does not hold here"),
        (5.0, "higher", "reversed"),
        (10.0, "same", "holds"),
        (5.0, "same", "does not hold here"),
        (10.0, "not-higher", "holds"),
        (5.0, "not-higher", "holds"),
        (20.0, "not-higher", "reversed"),
        (5.0, "not-lower", "reversed"),
        (20.0, "not-lower", "holds"),
    ],
)
def test_a_change_against_the_smallest_that_matters(level: float, direction: str, verdict: str) -> None:
    source = runs({"base": around(10.0), "test": around(level)})
    assert outcome(source, LOWER | {"direction": direction}).outcome == verdict


@pytest.mark.parametrize("direction", ["lower", "higher", "same", "not-lower", "not-higher"])
def test_wide_noise_shows_nothing(direction: str) -> None:
    source = runs({"base": around(10.0, 0.5), "test": around(10.0, 0.5, seed=2)})
    found = outcome(source, LOWER | {"direction": direction})
    assert found.outcome == "not shown"
    assert found.deciding is not None


def test_too_few_runs_show_nothing_however_large_the_effect() -> None:
    source = runs({"base": around(10.0, count=3), "test": around(1.0, count=3)})
    found = outcome(source, LOWER)
    assert found.outcome == "not shown" and found.deciding is not None
    observed = found.deciding[1]
    assert (observed.state, observed.why) == ("unclear", "a claim needs 4 valid runs on either side")
    assert observed.value is not None and observed.value.n == 3 and observed.change is not None
    level = {"case": "test", "below": 5}
    assert outcome(runs({"test": around(1.0, count=4)}), level).outcome == "not shown"
    assert outcome(runs({"test": around(1.0, count=5)}), level).outcome == "holds"


def test_levels() -> None:
    source = runs({"test": around(10.0)})
    for bound, verdict in (
        ({"below": 11}, "holds"),
        ({"below": 9}, "does not hold here"),
        ({"below": 10}, "not shown"),
    ):
        assert outcome(source, {"case": "test"} | bound).outcome == verdict
    for bound, verdict in (
        ({"above": 9}, "holds"),
        ({"above": 11}, "does not hold here"),
        ({"above": 10}, "not shown"),
    ):
        assert outcome(source, {"case": "test"} | bound).outcome == verdict


def test_a_value_of_zero_has_no_ratio_but_a_verdict() -> None:
    source = runs({"base": around(1.0), "test": [0.0] * 8})
    assert outcome(source, LOWER).outcome == "holds"
    assert outcome(runs({"base": [0.0] * 8, "test": around(1.0)}), LOWER | {"direction": "higher"}).outcome == "holds"
    assert outcome(runs({"base": [0.0] * 8, "test": [0.0] * 8}), LOWER | {"direction": "same"}).outcome == "holds"


def test_every_place_must_bear_it_out() -> None:
    cells = {"base@a": around(10.0), "test@a": around(5.0), "base@b": around(10.0), "test@b": around(20.0)}
    source = runs(cells, "load.kind")
    # Lower here and higher there is not reversed: it depends.
    assert outcome(source, LOWER).outcome == "does not hold here"
    assert outcome(source, LOWER | {"at": {"load.kind": "a"}}).outcome == "holds"
    assert outcome(source, LOWER | {"at": {"load.kind": "b"}}).outcome == "reversed"
    across = {"case": "test", "at": {"load.kind": "b"}, "against_at": {"load.kind": "a"}, "direction": "higher"}
    found = outcome(source, across)
    assert (found.outcome, found.conditions[0].against) == ("holds", "test")


def test_the_first_condition_is_the_claim_the_others_its_evidence() -> None:
    source = runs({"base": around(10.0), "test": around(5.0), "other": around(20.0)})
    other = {"case": "other", "direction": "lower"}
    assert outcome(source, LOWER, other).outcome == "does not hold here"
    assert outcome(source, other, LOWER).outcome == "reversed"
    unclear = runs({"base": around(10.0), "test": around(10, 0.5), "other": around(20.0)})
    # What is refuted stays so, whatever else is not known.
    assert outcome(unclear, LOWER, other).outcome == "does not hold here"


def test_runs_by_verdict() -> None:
    source = runs({"base": around(10.0), "test": "inert"})
    assert outcome(source, {"case": "test", "verdict": "inert"}).outcome == "holds"
    assert outcome(source, {"case": "base", "verdict": "inert"}).outcome == "does not hold here"
    assert outcome(source, LOWER).outcome == "not shown"
    values = runs({"base": around(10.0), "test": around(5.0)})
    values.runs.loc[values.runs["case"] == "test", "verdict"] = "inert"
    assert outcome(values, LOWER).outcome == "not shown"
    assert outcome(values, LOWER, include=["inert"]).outcome == "holds"


def test_an_inert_run_in_doubt_does_not_count_even_where_inert_ones_do() -> None:
    values = runs({"base": around(10.0), "test": [*around(5.0, count=6), 50.0, 60.0]})
    values.runs.loc[values.runs["case"] == "test", "verdict"] = "inert"
    inert = {"case": "test", "verdict": "inert"}
    values.runs["doubts"] = [0.0] * 14 + [1.0] * 2
    found = outcome(values, LOWER, inert, include=["inert"])
    assert found.outcome == "holds"
    value = found.conditions[0].observations[0].value
    assert (value.n if value else 0) == 6
    values = replace(values, runs=values.runs.assign(doubts=0.0))
    assert outcome(values, LOWER, include=["inert"]).outcome == "not shown"


def test_what_is_skipped_or_lacking_cannot_be_tested() -> None:
    found = outcome(runs({"base": around(10.0), "test": "skipped"}), LOWER)
    assert (found.outcome, found.reason) == ("cannot be tested here", "no netem here")
    source = runs({"base": around(10.0), "test": around(5.0)})
    claims_ = claim(LOWER, needs=["numa"])
    (found,) = judge(source, claims_)
    assert found.outcome == "cannot be tested here"
    assert "one NUMA node" in found.reason
    assert "try --in-vm" in found.reason
    (found,) = judge(source, claims_, frozenset({"numa"}))
    assert found.outcome == "holds"
    assert outcome(runs({"base": around(10.0)}), LOWER).outcome == "not shown"


def test_what_a_claim_takes_for_granted_decides_whether_it_is_tested() -> None:
    source = runs({"base": around(10.0), "test": around(5.0), "idle": around(10.0)})
    met = {"case": "test", "direction": "lower", "by": "20%"}
    (found,) = judge(source, claim(LOWER, given=[met]))
    assert found.outcome == "holds"
    (found,) = judge(source, claim(LOWER, given=[{**met, "case": "idle"}]))
    assert (found.outcome, found.reason) == ("cannot be tested here", "")
    assert found.deciding is not None and found.deciding[0] not in found.conditions
    assert next(evidence(found)).startswith("what it takes for granted is not so: RTT p50 of idle lower than base")
    (found,) = judge(source, claim(LOWER, given=[{**met, "case": "absent"}]))
    assert found.outcome == "not shown"


def test_shows_why_in_the_cells_that_decided() -> None:
    source = runs({"base": around(10.0), "test": around(5.0)})
    (found,) = judge(source, claim(LOWER, show=["rtt_p50_us", "drops"]))
    assert [case for case, _, _ in found.shown[0].medians] == ["base", "test"]
    assert [*evidence(found)][-1] == "why: RTT p50: base 10.0 us, test 5.00 us"


def test_claims_of_an_experiment_are_corrected_together() -> None:
    cells = {"base": around(10.0, 0.03, 5)} | {f"t{at}": around(8.8, 0.03, 5, at) for at in range(20)}
    source = runs(cells)
    claims_ = {f"c{at}": claim({"case": f"t{at}", "direction": "lower", "by": "1%"})["it"] for at in range(20)}
    alone = [judge(source, {name: each})[0].outcome for name, each in claims_.items()]
    together = judge(source, claims_)
    assert 0 < [each.outcome for each in together].count("holds") < alone.count("holds")
    unsure = next(each for each, before in zip(together, alone, strict=True) if each.outcome != before)
    assert unsure.outcome == "not shown"
    assert "the one corrected for 20 claims does not" in unsure.conditions[0].observations[0].why


def test_a_claim_of_many_conditions_needs_no_more_to_hold() -> None:
    """It holds where all conditions are met; that one is, by chance, is not enough."""
    cells = {"base": around(10.0, 0.02, 6)} | {f"t{at}": around(8.0, 0.02, 6, at) for at in range(20)}
    expect = [{"case": f"t{at}", "direction": "lower"} for at in range(20)]
    assert outcome(runs(cells), *expect).outcome == "holds"
    # To be refuted one is enough: that is corrected for how many there are.
    found = outcome(runs(cells), *({**each, "direction": "higher"} for each in expect))
    place = found.conditions[0].observations[0]
    assert place.change is not None and place.change.comparisons == 20


def test_noise_alone_is_seldom_claimed() -> None:
    wrong = 0
    for seed in range(200):
        source = runs({"base": around(10.0, 0.1, 6, seed), "test": around(10.0, 0.1, 6, seed + 1000)})
        found = outcome(source, {"case": "test", "direction": "lower", "by": "1%"})
        wrong += found.outcome in ("holds", "reversed")
    assert wrong <= 14  # of 200; 3.1 % are expected of six blocks, less what lies within 1 %


def test_a_set_judges_its_own_claims_and_says_what_it_had() -> None:
    found = {each.name: each.outcome for each in findings(claims.source())}
    assert found == {
        "faster": "holds",
        "cheaper": "reversed",
        "harmless": "reversed",
        "spread": "not shown",
        "iommu": "cannot be tested here",
    }
    assert findings(claims.runs({"base": [1.0]})) == ()


@pytest.mark.parametrize(
    ("level", "said"), [(9.94e9, "9.94 -> 19.9 Gbit/s"), (2.5e5, "250 -> 500 kbit/s"), (40.0, "40.0 -> 80.0 bit/s")]
)
def test_bits_per_second_have_a_prefix(level: float, said: str) -> None:
    source = runs({"base": around(level, 0), "test": around(2 * level, 0)})
    source = replace(source, runs=source.runs.assign(background_bps=source.runs["rtt_p50_us"]))
    found = outcome(source, LOWER | {"direction": "higher", "metric": "background_bps"})
    (line, *_) = evidence(found)
    assert said in line


def test_no_reason_is_told_where_there_is_none() -> None:
    source = runs({"base": "suspect", "test": "suspect"})
    (found,) = judge(source, claim(LOWER, show=["drops"]))
    assert found.shown and not [line for line in evidence(found) if line.startswith("why")]


def test_a_verdict_that_flips_between_reruns_is_not_shown() -> None:
    def found(level: float) -> tuple[ClaimVerdict, ...]:
        return judge(runs({"base": around(10.0), "test": around(level)}), claim(LOWER))

    assert agreed([("one", found(5.0)), ("two", found(5.1))])[0].outcome == "holds"
    (flipped,) = agreed([("one", found(5.0)), ("two", found(10.0))])
    assert flipped.outcome == "not shown"
    assert "holds (one)" in flipped.reason
    assert "does not hold here (two)" in flipped.reason
    assert agreed([]) == ()


@pytest.mark.parametrize("value", ["100%", 50, 0.5, True, None, 20000])
def test_factors_are_matched_as_tables_write_them(value: Any) -> None:
    assert written(value) == factor_text(value)


def test_infinite_changes_can_be_printed() -> None:
    found = judge(runs({"base": [0.0] * 8, "test": around(1.0)}), claim(LOWER | {"direction": "higher"}))
    assert blocks(found)
    (one,) = json.loads(json.dumps(as_data(found)))
    assert one["conditions"][0]["comparisons"][0]["ratio_high"] is None
    assert np.isfinite(one["conditions"][0]["comparisons"][0]["median"])


def test_the_report_of_a_set_shows_its_claims() -> None:
    made = claims.source()
    text = page([(Study(made), overview(made))])
    assert "REVERSED (cheaper): It costs less CPU." in text
    assert 'id="s0-claims"' in text
    plain = synthetic.source()
    assert 'id="s0-claims"' not in page([(Study(plain), overview(plain))])


@pytest.mark.parametrize(
    ("place", "manifest", "have"),
    [
        ("host", {}, set()),
        ("host", {"numa": {"0": {}}}, set()),
        ("host", {"numa": {"0": {}, "1": {}}}, {"numa"}),
        ("vm", {"numa": {"0": {}, "1": {}}}, {"vm"}),
    ],
)
def test_what_the_place_of_runs_has_of_the_needs(place: str, manifest: dict[str, Any], have: set[str]) -> None:
    assert available(Source("", pd.DataFrame({"place": [place]}), manifest=manifest)) == have
