"""Claims with their verdicts and evidence, in words and as data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from harness import columns
from harness.analysis.claims import ClaimVerdict, ConditionResult, Observation, ShownMetric
from harness.analysis.claims.verdict import shares
from harness.analysis.compare import Factors
from harness.report import words
from harness.report.layout import Block, Gap, Para, Style
from harness.report.words import Json
from harness.stats import Interval

STYLES: dict[str, Style] = {
    "holds": "good",
    "reversed": "bad",
    "does not hold here": "bad",
    "not shown": "warn",
    "cannot be tested here": "dim",
}
_MARKS = {"met": "yes", "refuted": "no", "reversed": "the other way", "unclear": "unclear", "untestable": "not here"}
_MANY = 1.5
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def blocks(claims: Sequence[ClaimVerdict], label: str = "") -> list[Block]:
    """The claims as a part of a document; nothing where there are none. label: of which set."""
    if not claims:
        return []
    out: list[Block] = [Para(f"Claims of {label}" if label else "Claims", "bold")]
    for claim in claims:
        head = f"{claim.outcome.upper()} ({claim.name}): {one_line(claim.claim.sentence)}"
        out += [Para(head, STYLES[claim.outcome]), *(Para(line, bullet=True) for line in evidence(claim)), Gap()]
    return out


def evidence(claim: ClaimVerdict) -> Iterator[str]:
    """What a verdict rests on: a line per condition, after anything else that decided it."""
    if claim.reason:
        yield f"{claim.reason}."
    if lead := not_granted(claim):
        yield lead
    for condition in claim.conditions:
        yield f"{_MARKS[condition.state]}: {_condition_line(condition)}"
    if why := why_line(claim):
        yield f"why: {why}"


def not_granted(claim: ClaimVerdict) -> str:
    """What decided, where it was a condition that the claim takes for granted; else nothing."""
    if claim.deciding is None or claim.deciding[0] in claim.conditions:
        return ""
    shown = "shown" if claim.outcome == "not shown" else "so"
    return f"what it takes for granted is not {shown}: {in_words(*claim.deciding)}"


def why_line(claim: ClaimVerdict) -> str:
    """The figures beside what decided: "sleeps/request: base 1.00, busypoll50 0.00024; ..."."""
    return "; ".join(line for shown in claim.shown if (line := _shown_line(shown)))


def _shown_line(shown: ShownMetric) -> str:
    column = columns.metric(shown.metric)
    unit = column.unit if column.unit != "count" else ""
    if not any(value is not None for _, _, value in shown.medians):
        return ""
    several = len({case for case, _, _ in shown.medians}) > 1
    common = set.intersection(*(set(factors) for _, factors, _ in shown.medians))
    texts = []
    for case, factors, value in shown.medians:
        own = tuple(pair for pair in factors if pair not in common)
        name = " ".join(filter(None, (case if several or not own else "", short_factors(own))))
        texts.append(f"{name} {_figures(unit, value)}")
    label = column.label or re.sub(r"_(us|percent|per_request)$", "", column.name).replace("_", " ")
    return f"{label}: {', '.join(texts)}"


def _condition_line(condition: ConditionResult) -> str:
    """A condition with what was seen: where it was looked at in several places, how it went there."""
    places = condition.observations
    if len(places) == 1:
        return in_words(condition, places[0])
    others = [place for place in places if place.state != "met"]
    met = len(places) - len(others)
    listed = "; ".join(
        f"{short_factors(place.factors)}: {seen(condition, place)}" if place.factors else seen(condition, place)
        for place in others[:3] or [places[0], places[-1]]
    )
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return f"{subject(condition)} in {met} of {len(places)} places{' but' if others and met else ''}: {listed}{more}"


def in_words(condition: ConditionResult, place: Observation) -> str:
    """One observation in words: what was expected, and what was seen."""
    where = f" at {short_factors(place.factors)}" if place.factors else ""
    return f"{subject(condition)}{where}: {seen(condition, place)}"


def subject(condition: ConditionResult) -> str:
    """What a condition demands: "RTT p50 of busypoll50 lower than base by 5 % or more"."""
    expect = condition.expect
    if expect.verdict is not None:
        return f"{expect.case} {expect.verdict}"
    than = condition.against
    if expect.against_at:
        at = short_factors(tuple(expect.against_at.items()))
        than = at if than == expect.case else f"{than} at {at}"
    column = columns.metric(expect.metric)
    return f"{column.label} of {expect.case} {expect.condition.words(column.unit, than)}"


def seen(condition: ConditionResult, place: Observation) -> str:
    """What was seen in one place: medians and the change with its interval, or why there is nothing."""
    unit = columns.metric(condition.expect.metric).unit
    why = f" ({place.why})" if place.why else ""
    if place.change is None:
        if place.value is None or place.value.median is None:
            return place.why
        interval = words.bracket(place.value.interval, scale=_scale(unit, place.value.median)[0])
        return f"{_figures(unit, place.value.median)} {interval}{why}".rstrip()
    change = place.change
    ends = shares(change)
    size = f", {words.times(change)}" if change.ratio is not None else ""
    between = f" [{_between(ends)}]" if ends and math.isfinite(ends.high) else ""
    return f"{_figures(unit, change.base.median, change.test.median)}{size}{between}{why}"


def label(condition: ConditionResult) -> str:
    """What a condition looks at, in few words: "server busy-polled of busypoll50"."""
    expect = condition.expect
    return f"{columns.metric(expect.metric).label if expect.verdict is None else expect.verdict} of {expect.case}"


def medians_seen(condition: ConditionResult, place: Observation) -> str:
    """The medians of one place alone, or why there are none."""
    unit = columns.metric(condition.expect.metric).unit
    if place.change is not None:
        return _figures(unit, place.change.base.median, place.change.test.median)
    if place.value is None or place.value.median is None:
        return f"({place.why})"
    return _figures(unit, place.value.median)


def _figures(unit: str, *values: float | None) -> str:
    """Medians with their unit: "12.1 -> 9.3 us"; bits per second by the thousand million."""
    there = [abs(value) for value in values if value is not None]
    if not there:
        return " -> ".join("-" for _ in values)
    scale, prefix = _scale(unit, max(there))
    texts = [words.short(value, scale) for value in values]
    return f"{' -> '.join(texts)} {prefix}{unit}".rstrip()


def _scale(unit: str, greatest: float) -> tuple[float, str]:
    """What a figure is divided by, and the prefix that its unit has then."""
    fit = (prefix for prefix in _PREFIXES if unit == "bit/s" and greatest >= prefix[0])
    return next(fit, (1.0, ""))


def _between(ends: Interval) -> str:
    """The interval of a ratio in the words of its size: 11.9x..12.8x lower, -3.1 %..+2.0 %."""
    if ends.low > 0 and ends.high < 1 / _MANY:
        return f"{words.short(1 / ends.high)}x..{words.short(1 / ends.low)}x lower"
    if ends.low > _MANY:
        return f"{words.short(ends.low)}x..{words.short(ends.high)}x higher"
    return f"{100 * (ends.low - 1):+.1f} %..{100 * (ends.high - 1):+.1f} %"


def short_factors(factors: Factors) -> str:
    """Factors by the last parts of their dotted keys that tell them apart: usecs=50, load=100%."""
    return words.factors(words.last_parts(factors, 1))


def one_line(text: str) -> str:
    """Text of a file without its line ends."""
    return " ".join(text.split())


def as_data(claims: Sequence[ClaimVerdict]) -> list[Mapping[str, Json]]:
    """The claims as a JSON document has them: verdict, evidence in words, and every condition with its figures."""
    return [
        {
            "name": claim.name,
            "sentence": one_line(claim.claim.sentence),
            "verdict": claim.outcome,
            "reason": claim.reason,
            "advice": one_line(claim.claim.advice),
            "needs": list(claim.claim.needs),
            "evidence": [*evidence(claim)],
            "shown": [_shown_data(shown) for shown in claim.shown],
            "conditions": [_condition_data(condition) for condition in claim.conditions],
        }
        for claim in claims
    ]


def _shown_data(shown: ShownMetric) -> Mapping[str, Json]:
    medians = [{"case": case, "factors": dict(factors), "median": value} for case, factors, value in shown.medians]
    return {"metric": shown.metric, "medians": medians}


def _condition_data(condition: ConditionResult) -> Mapping[str, Json]:
    expect = condition.expect
    return {
        "says": subject(condition),
        "state": condition.state,
        "case": expect.case,
        "against": condition.against if expect.direction else None,
        "metric": None if expect.verdict else expect.metric,
        "direction": expect.direction,
        "smallest_effect": expect.by if expect.direction else None,
        "comparisons": [_observation_data(place) for place in condition.observations],
    }


def _observation_data(place: Observation) -> Mapping[str, Json]:
    change, value = place.change, place.value
    ends = shares(change) if change else None
    together = shares(change, change.together) if change and change.together else None
    return {
        "factors": dict(place.factors),
        "state": place.state,
        "why": place.why,
        "base_median": change.base.median if change else None,
        "median": value.median if value else None,
        "low": value.interval.low if value and value.interval else None,
        "high": value.interval.high if value and value.interval else None,
        "ratio": change.ratio.value if change and change.ratio else None,
        "ratio_low": _finite(ends.low) if ends else None,
        "ratio_high": _finite(ends.high) if ends else None,
        "p_holm": change.p if change else None,
        "together_low": _finite(together.low) if together else None,
        "together_high": _finite(together.high) if together else None,
        "comparisons": change.comparisons if change else None,
        "n": value.n if value else None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
