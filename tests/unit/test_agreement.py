"""Do two sets lead to the same conclusions: effects by sign, cases by order."""

from __future__ import annotations

from dataclasses import replace

from harness.agreement import agreement, places_differ
from harness.report.agreement import document
from harness.report.layout import to_markdown, to_text
from harness.tables import Source
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
    assert {each.what for each in found} >= {"rtt_p50_us", "order by p50"}
    assert [each for each in found if each.agree is False] == []
    assert any(each.agree for each in found)
    text = to_text(document(found), 100, color=False)
    assert f"{len(found)} of {len(found)} conclusions agree." in text
    assert max(map(len, text.splitlines())) <= 100
    assert "| case |" in to_markdown(document(found))


def test_turned_round_they_do_not_agree() -> None:
    host = synthetic.source()
    found = agreement(host, in_guest(host, swapped=True))
    orders = [each for each in found if each.what == "order by p50"]
    assert orders
    assert not any(each.agree for each in orders)
    assert " NO" in to_text(document(found), 80, color=False)
