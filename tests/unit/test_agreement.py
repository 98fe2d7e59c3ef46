"""Do two sets lead to the same conclusions: effects by sign, cases by order."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from harness.analysis.agreement import agreement, places_differ
from harness.analysis.compare import Options, compare_cases
from harness.analysis.compare.sources import pivot
from harness.errors import InputError
from harness.report.agreement import document
from harness.report.layout import to_markdown, to_text
from harness.tables import Source
from harness.tables.reading.roles import OF_CASE
from tests.unit import synthetic


def in_guest(source: Source, swapped: bool = False) -> Source:
    """The set as a guest would have made it: other times; swapped: the cases changed round."""
    runs = source.runs.assign(place="vm", accelerator="tcg-virtual")
    for name in ("rtt_p50_us", "rtt_p99_us"):
        runs[name] *= 7
    if swapped:
        cases = list(dict.fromkeys(runs["case"]))
        names = dict(zip(cases, reversed(cases), strict=True))
        runs["case"] = runs["case"].map(names)
    return replace(source, label="guest", runs=runs)


def test_other_times_with_the_same_signs_agree() -> None:
    host = synthetic.source()
    guest = in_guest(host)
    found = agreement(host, guest)
    assert places_differ([host, guest])
    assert not places_differ([host, host])
    assert {each.subject for each in found} >= {"rtt_p50_us", "order by p50"}
    assert [each for each in found if each.agree is False] == []
    assert any(each.agree for each in found)
    text = to_text(document(found), 100, color=False)
    assert f"{len(found)} of {len(found)} conclusions agree." in text
    assert max(map(len, text.splitlines())) <= 100
    assert "| case |" in to_markdown(document(found))


def test_turned_round_they_do_not_agree() -> None:
    host = synthetic.source()
    found = agreement(host, in_guest(host, swapped=True))
    orders = [each for each in found if each.subject == "order by p50"]
    assert orders
    assert not any(each.agree for each in orders)
    assert " NO" in to_text(document(found), 80, color=False)


def test_a_factor_may_stand_in_the_place_of_the_case() -> None:
    source = synthetic.source()
    base = source.runs.assign(**{"vm.kernel": "6.12"})
    newer = source.runs.assign(**{"vm.kernel": "7.3"}, rtt_p50_us=source.runs["rtt_p50_us"] * 2)
    both = replace(source, runs=pd.concat([base, newer], ignore_index=True))
    found = compare_cases(*pivot(both, "vm.kernel=6.12"), Options(metrics=("rtt_p50_us",)))
    assert {row.case for row in found.rows} == {"7.3"}
    assert {dict(row.factors)[OF_CASE] for row in found.rows} == set(source.runs["case"])
    ratios = [row.change.ratio.value for row in found.rows if row.change.ratio]
    assert ratios and all(abs(ratio - 2) < 1e-9 for ratio in ratios)
    with pytest.raises(InputError, match=r"no run has vm\.kernel '6\.2'; there are 6\.12, 7\.3"):
        pivot(both, "vm.kernel=6.2")
    with pytest.raises(InputError, match=r"there is no factor 'vm\.colour'"):
        pivot(both, "vm.colour=red")
