"""Claims with their verdicts and evidence, in words and as data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness import columns
from harness.analysis.claims import Comparison, Condition, Finding, Shown
from harness.analysis.claims.verdict import shares
from harness.analysis.compare import Factors
from harness.report import words
from harness.report.layout import Block, Gap, Para, Style
from harness.stats import Interval

STYLES: dict[str, Style] = {
    "holds": "good",
    "reversed": "bad",
    "does not hold here": "bad",
    "not shown": "warn",
    "cannot be tested here": "dim",
}
_MARKS = {
    "met": "yes",
    "refuted": "no",
    "reversed": "the other way",
    "unclear": "unclear",
    "untestable": "not here",
}
_MANY = 1.5
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_EXPECTED = {
    "lower": "lower",
    "higher": "higher",
    "same": "the same",
    "not-lower": "no lower",
    "not-higher": "no higher",
}


def blocks(found: Sequence[Finding], label: str = "") -> list[Block]:
    """The claims as a part of a document; nothing where there are none. label: of which set."""
    if not found:
        return []
    out: list[Block] = [Para(f"Claims of {label}" if label else "Claims", "bold")]
    for finding in found:
        out.append(
            Para(
                f"{finding.outcome.upper()} ({finding.name}): {one_line(finding.claim.sentence)}",
                STYLES[finding.outcome],
            )
        )
        out += [Para(line, bullet=True) for line in evidence(finding)]
        out.append(Gap())
    return out


def evidence(finding: Finding) -> Iterator[str]:
    """What a verdict rests on, a line per condition; first what else decided it."""
    if finding.reason:
        yield f"{finding.reason}."
    if ungranted(finding):
        assert finding.deciding is not None
        yield f"{ungranted_said(finding)}: {told(*finding.deciding)}"
    for condition in finding.conditions:
        yield f"{_MARKS[condition.state]}: {condition_line(condition)}"
    if finding.shown and (why := why_line(finding)):
        yield f"why: {why}"


def ungranted_said(finding: Finding) -> str:
    """That what a claim takes for granted is not so, or not known to be."""
    return f"what it takes for granted is not {'shown' if finding.outcome == 'not shown' else 'so'}"


def ungranted(finding: Finding) -> bool:
    """Was a condition that it takes for granted what decided?"""
    return finding.deciding is not None and finding.deciding[0] not in finding.conditions


def why_line(finding: Finding) -> str:
    """The figures beside what decided: "sleeps/request: base 1.00, busypoll50 0.00024; ..."."""
    return "; ".join(line for each in finding.shown if (line := _shown_line(each)))


def _shown_line(shown: Shown) -> str:
    column = columns.metric(shown.metric)
    unit = column.unit if column.unit != "count" else ""
    if not any(value is not None for _, _, value in shown.medians):
        return ""
    several = len({case for case, _, _ in shown.medians}) > 1
    common = set.intersection(*(set(factors) for _, factors, _ in shown.medians))
    told = []
    for case, factors, value in shown.medians:
        own = tuple(pair for pair in factors if pair not in common)
        name = " ".join(filter(None, (case if several or not own else "", factors_said(own))))
        told.append(f"{name} {_figures(unit, value)}")
    label = column.label or re.sub(r"_(us|percent|per_request)$", "", column.name).replace("_", " ")
    return f"{label}: {', '.join(told)}"


def condition_line(condition: Condition) -> str:
    """A condition with what was seen: where it was looked at in several places, how it went there."""
    comparisons = condition.comparisons
    if len(comparisons) == 1:
        return told(condition, comparisons[0])
    met = [each for each in comparisons if each.state == "met"]
    others = [each for each in comparisons if each.state != "met"]
    lead = f"{subject(condition)} in {len(met)} of {len(comparisons)} places"
    first, last = comparisons[0], comparisons[-1]
    shown = others[:3] or [first, last]
    listed = "; ".join(f"{_where(each)}{seen(condition, each)}" for each in shown)
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return f"{lead}{' but' if others and met else ''}: {listed}{more}"


def told(condition: Condition, each: Comparison) -> str:
    """One comparison in words: what was expected, and what was seen."""
    where = f" at {factors_said(each.factors)}" if each.factors else ""
    return f"{subject(condition)}{where}: {seen(condition, each)}"


def subject(condition: Condition) -> str:
    """What a condition says: "RTT p50 of busypoll50 lower than of base by 5 % or more"."""
    expect = condition.expect
    if expect.verdict is not None:
        return f"{expect.case} {expect.verdict}"
    label = columns.metric(expect.metric).label
    unit = columns.metric(expect.metric).unit
    if expect.below is not None or expect.above is not None:
        bound = f"below {expect.below:g}" if expect.below is not None else f"above {expect.above:g}"
        return f"{label} of {expect.case} {bound}{f' {unit}' if unit else ''}"
    assert expect.direction is not None
    if expect.against_at:
        than = factors_said(tuple(expect.against_at.items()))
        than = than if condition.against == expect.case else f"{condition.against} at {than}"
    else:
        than = condition.against
    size = (
        f" by {words.share(expect.by)} or more"
        if expect.direction in ("lower", "higher")
        else f" within {words.share(expect.by)}"
    )
    link = "as" if expect.direction == "same" else "than"
    return f"{label} of {expect.case} {_EXPECTED[expect.direction]} {link} {than}{size}"


def seen(condition: Condition, each: Comparison) -> str:
    """What was seen in one comparison: medians and the change with its interval, or why there is nothing."""
    unit = columns.metric(condition.expect.metric).unit
    if each.change is None:
        if each.value is None or each.value.median is None:
            return each.why
        why = f" ({each.why})" if each.why else ""
        interval = words.bracket(_scaled(each.value.interval, _scale(unit, each.value.median)[0]), gap="..")
        return f"{_figures(unit, each.value.median)} {interval}{why}".rstrip()
    found = each.change
    moved = _figures(unit, found.base.median, found.test.median)
    ends = shares(found)
    size = words.times(found) if found.ratio is not None else ""
    between = f" [{_between(ends)}]" if ends and math.isfinite(ends.high) else ""
    why = f" ({each.why})" if each.why else ""
    return f"{moved}{f', {size}' if size else ''}{between}{why}"


def label(condition: Condition) -> str:
    """What a condition looks at, in few words: "server busy-polled of busypoll50"."""
    expect = condition.expect
    return f"{columns.metric(expect.metric).label if expect.verdict is None else expect.verdict} of {expect.case}"


def short_seen(condition: Condition, each: Comparison) -> str:
    """The medians of one comparison alone, or why there are none."""
    unit = columns.metric(condition.expect.metric).unit
    if each.change is not None:
        return _figures(unit, each.change.base.median, each.change.test.median)
    if each.value is None or each.value.median is None:
        return f"({each.why})"
    return _figures(unit, each.value.median)


def _figures(unit: str, *values: float | None) -> str:
    """Medians with their unit: "12.1 -> 9.3 us"; bits per second by the thousand million."""
    there = [abs(value) for value in values if value is not None]
    if not there:
        return " -> ".join("-" for _ in values)
    scale, prefix = _scale(unit, max(there))
    texts = [words.short(None if value is None else value / scale) for value in values]
    return f"{' -> '.join(texts)} {prefix}{unit}".rstrip()


def _scale(unit: str, greatest: float) -> tuple[float, str]:
    """What a figure is divided by, and the prefix that its unit has then."""
    fit = (each for each in _PREFIXES if unit == "bit/s" and greatest >= each[0])
    return next(fit, (1.0, ""))


def _scaled(ends: Interval | None, scale: float) -> Interval | None:
    return ends and replace(ends, low=ends.low / scale, high=ends.high / scale)


def _between(ends: Interval) -> str:
    """The interval of a ratio in the words of its size: 11.9x..12.8x lower, -3.1 %..+2.0 %."""
    if ends.low > 0 and ends.high < 1 / _MANY:
        return f"{words.short(1 / ends.high)}x..{words.short(1 / ends.low)}x lower"
    if ends.low > _MANY:
        return f"{words.short(ends.low)}x..{words.short(ends.high)}x higher"
    return f"{100 * (ends.low - 1):+.1f} %..{100 * (ends.high - 1):+.1f} %"


def _where(each: Comparison) -> str:
    return f"{factors_said(each.factors)}: " if each.factors else ""


def factors_said(factors: Factors) -> str:
    """Factors by the last part of their dotted keys, where that still tells them apart: usecs=50, load=100%."""
    names = [name.rpartition(".")[2] for name, _ in factors]
    if len(set(names)) < len(names):
        return words.factors(factors)
    return ", ".join(f"{name}={value}" for name, (_, value) in zip(names, factors, strict=True))


def one_line(text: str) -> str:
    """Text of a file without its line ends."""
    return " ".join(text.split())


def as_data(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """The claims for programs."""
    return [
        {
            "name": each.name,
            "sentence": one_line(each.claim.sentence),
            "verdict": each.outcome,
            "reason": each.reason,
            "advice": one_line(each.claim.advice),
            "needs": list(each.claim.needs),
            "evidence": [*evidence(each)],
            "shown": [
                {
                    "metric": shown.metric,
                    "medians": [
                        {"case": case, "factors": dict(factors), "median": value}
                        for case, factors, value in shown.medians
                    ],
                }
                for shown in each.shown
            ],
            "conditions": [_condition(condition) for condition in each.conditions],
        }
        for each in found
    ]


def _condition(condition: Condition) -> dict[str, Any]:
    expect = condition.expect
    return {
        "says": subject(condition),
        "state": condition.state,
        "case": expect.case,
        "against": condition.against if expect.direction else None,
        "metric": None if expect.verdict else expect.metric,
        "direction": expect.direction,
        "smallest_effect": expect.by if expect.direction else None,
        "comparisons": [_comparison(each) for each in condition.comparisons],
    }


def _comparison(each: Comparison) -> dict[str, Any]:
    change, ends = each.change, shares(each.change) if each.change else None
    value = each.value
    return {
        "factors": dict(each.factors),
        "state": each.state,
        "why": each.why,
        "base_median": change.base.median if change else None,
        "median": value.median if value else None,
        "low": value.interval.low if value and value.interval else None,
        "high": value.interval.high if value and value.interval else None,
        "ratio": change.ratio.value if change and change.ratio else None,
        "ratio_low": _finite(ends.low) if ends else None,
        "ratio_high": _finite(ends.high) if ends else None,
        "p_holm": change.p if change else None,
        "n": value.n if value else None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
