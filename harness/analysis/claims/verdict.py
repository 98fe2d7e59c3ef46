"""The verdict on a claim: every condition held against the interval of a change, or of a median."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness import stats
from harness.analysis.claims.model import Comparison, Condition, Finding, Outcome, Shown, State
from harness.analysis.compare import Change, Factors, change, paired_values, why_not_valid
from harness.analysis.compare.change import values_of
from harness.analysis.compare.model import LEVEL
from harness.spec.claims import NEEDS, Claim, Expect, Need
from harness.stats import Estimate, Interval
from harness.tables.cells import SummaryCell, group_cells
from harness.tables.source import Source
from harness.tables.tails import whole_tails

_Cells = dict[tuple[str, Factors], SummaryCell]


def judge(
    source: Source, claims: Mapping[str, Claim], have: frozenset[Need] = frozenset()
) -> tuple[Finding, ...]:
    """Every claim of an experiment held against its runs; have: what the place of the runs had of what claims need.

    A claim holds when all its conditions are met, each shown by the whole of an interval; tests of one claim are
    corrected together (Holm). Its first condition says which way it points: shown the other way, it is reversed.
    """
    return tuple(_judged(source, name, claim, have) for name, claim in claims.items())


def _judged(source: Source, name: str, claim: Claim, have: frozenset[Need]) -> Finding:
    lacking = [need for need in claim.needs if need not in have]
    if lacking:
        why = "; ".join(f"{NEEDS[need][0]}: {NEEDS[need][1]}" for need in lacking)
        return Finding(name, claim, "cannot be tested here", reason=why)
    source = counted(source, claim.include)
    cells = group_cells(source.runs, include=tuple(claim.include)) if len(source.runs) else []
    source = replace(source, runs=whole_tails(source.runs, cells))
    by_key = {(cell.case, cell.factors): cell for cell in cells}
    cases = list(dict.fromkeys([*(case for case, _ in source.planned), *(cell.case for cell in cells)]))
    baseline = "base" if "base" in cases or not cases else cases[0]
    given = [_condition(source, by_key, each, baseline) for each in claim.given]
    conditions = _confirmed([_condition(source, by_key, each, baseline) for each in claim.expect])
    outcome, deciding = _granted(given) or _outcome(conditions)
    untestable = deciding is not None and deciding[1].state == "untestable"
    reason = deciding[1].why if deciding and untestable else ""
    place = deciding or (conditions[0], conditions[0].comparisons[0])
    shown = tuple(shown_at(source, by_key, metric, *place) for metric in claim.show)
    return Finding(name, claim, outcome, tuple(conditions), reason, deciding, shown)


def shown_at(source: Source, cells: _Cells, metric: str, condition: Condition, at: Comparison) -> Shown:
    """A metric's medians in the cells of one comparison, the one it is compared with first."""
    expect, values = condition.expect, values_of(source.runs, metric)
    other = tuple((name, expect.against_at.get(name, text)) for name, text in at.factors)
    keys = [(condition.against, other), (expect.case, at.factors)]
    found = [
        (case, factors, stats.estimate(values[cell.valid]).median)
        for case, factors in dict.fromkeys(keys)
        if (cell := cells.get((case, factors))) is not None
    ]
    return Shown(metric, tuple(found))


def counted(source: Source, include: Sequence[str]) -> Source:
    """The source for a claim that counts inert runs as well: those that are in doubt too become suspect."""
    if "inert" not in include or "doubts" not in source.runs or "verdict" not in source.runs:
        return source
    noisy = (source.runs["verdict"] == "inert") & (source.runs["doubts"] > 0)
    return replace(source, runs=source.runs.assign(verdict=source.runs["verdict"].mask(noisy, "suspect")))


def _condition(source: Source, cells: _Cells, expect: Expect, baseline: str) -> Condition:
    against = expect.against or (expect.case if expect.against_at else baseline)
    places = _places(source, cells, expect)
    if not places:
        nothing = Comparison(tuple(expect.at.items()), "unclear", why=f"no run of {expect.case}")
        return Condition(expect, against, (nothing,))
    found = [_compared(source, cells, expect, against, factors) for factors in places]
    return Condition(expect, against, tuple(found))


def _places(source: Source, cells: _Cells, expect: Expect) -> list[Factors]:
    """The combinations of factors that a condition is about, in the plan's order."""
    keys = dict.fromkeys([*source.planned, *cells])
    return [
        factors
        for case, factors in keys
        if case == expect.case and all(dict(factors).get(name) == value for name, value in expect.at.items())
    ]


def _compared(source: Source, cells: _Cells, expect: Expect, against: str, factors: Factors) -> Comparison:
    test = cells.get((expect.case, factors))
    if expect.verdict is not None:
        return _went(test, expect, factors)
    if test is None or not test.valid.size:
        return _no_runs(source, test, factors)
    values = values_of(source.runs, expect.metric)
    value = stats.estimate(values[test.valid])
    if expect.direction is None:
        state, why = _level(expect, value)
        return Comparison(factors, state, value=value, why=why)
    other = tuple((name, expect.against_at.get(name, text)) for name, text in factors)
    base = cells.get((against, other))
    if base is None or not base.valid.size:
        return _no_runs(source, base, factors)
    pairs = paired_values(source.runs, expect.metric, base, test)
    found = change(
        expect.metric, values[base.valid], values[test.valid], pairs=pairs, smallest_effect=expect.by
    )
    state, why = _moved(expect, found)
    return Comparison(factors, state, found, value, why)


def _no_runs(source: Source, cell: SummaryCell | None, factors: Factors) -> Comparison:
    """Skipped runs say that the host lacks something; any others that nothing is known yet."""
    if cell is None:
        return Comparison(factors, "unclear", why="not run yet")
    if cell.verdicts["skipped"] == cell.rows.size:
        reasons = source.runs["reasons"].iloc[cell.rows].tolist() if "reasons" in source.runs else []
        why = next((str(each) for each in reasons if each), "this host lacks what the case needs")
        return Comparison(factors, "untestable", why=why)
    return Comparison(factors, "unclear", why=why_not_valid(cell))


def _went(cell: SummaryCell | None, expect: Expect, factors: Factors) -> Comparison:
    """Runs by verdict: all have it, none has it, or it is not that simple."""
    assert expect.verdict is not None
    if cell is None or cell.verdicts["skipped"] == cell.rows.size:
        return Comparison(
            factors, "untestable" if cell else "unclear", why="skipped" if cell else "not run yet"
        )
    # What noise spoilt says nothing of how a knob works.
    told = {name: cell.verdicts[name] for name in ("valid", "inert", "failed")}
    count, whole = told[expect.verdict], sum(told.values())
    if not whole:
        return Comparison(factors, "unclear", why=why_not_valid(cell))
    state: State = "met" if count == whole else "unclear" if count else "refuted"
    return Comparison(factors, state, why=f"{count} of {whole} runs {expect.verdict}")


def _level(expect: Expect, value: Estimate) -> tuple[State, str]:
    """The interval of a median against a bound."""
    if value.interval is None or value.interval.confidence < _SURE:
        return "unclear", f"{value.n} valid runs are too few" if value.n else "no value"
    low, high = value.interval.low, value.interval.high
    if expect.below is not None:
        return ("met" if high < expect.below else "refuted" if low >= expect.below else "unclear"), ""
    assert expect.above is not None
    return ("met" if low > expect.above else "refuted" if high <= expect.above else "unclear"), ""


def _moved(expect: Expect, found: Change) -> tuple[State, str]:
    """The interval of a change against the smallest effect that matters."""
    ends = shares(found)
    if ends is None:
        return "unclear", found.note or "too few valid runs"
    low, high = ends.low, ends.high
    more, less = 1 + expect.by, 1 / (1 + expect.by)
    match expect.direction:
        case "lower":
            return (
                "met" if high < less else "reversed" if low > more else "refuted" if low > less else "unclear"
            ), ""
        case "higher":
            return (
                "met"
                if low > more
                else "reversed"
                if high < less
                else "refuted"
                if high < more
                else "unclear"
            ), ""
        case "not-lower":
            return ("met" if low >= less else "reversed" if high < less else "unclear"), ""
        case "not-higher":
            return ("met" if high <= more else "reversed" if low > more else "unclear"), ""
    return ("met" if ends.within(less, more) else "refuted" if low > more or high < less else "unclear"), ""


def shares(found: Change) -> Interval | None:
    """The interval of a change as a ratio; from the difference where a value of 0 leaves no ratio."""
    if found.ratio is not None:
        return found.ratio.interval
    base, apart = found.base.median, found.difference
    if apart is None or apart.interval is None:
        return None
    if not base:
        # From nothing to something is more than any factor; nothing to nothing is the same.
        infinite = float("inf")
        ends = (apart.interval.low, apart.interval.high)
        low, high = (1.0 if not end else infinite if end > 0 else 0.0 for end in ends)
        return Interval(low, high, apart.interval.confidence)
    low, high = sorted((1 + apart.interval.low / base, 1 + apart.interval.high / base))
    return Interval(low, high, apart.interval.confidence)


def _confirmed(conditions: Sequence[Condition]) -> list[Condition]:
    """What an interval shows but the rank test, corrected over the claim, does not confirm, is unclear after all."""
    places = [
        (at, inner)
        for at, condition in enumerate(conditions)
        for inner, each in enumerate(condition.comparisons)
        if each.change is not None and each.change.rank is not None and condition.expect.direction in _TESTED
    ]
    ranks = [conditions[at].comparisons[inner].change.rank.p for at, inner in places]  # type: ignore[union-attr]
    held = [list(condition.comparisons) for condition in conditions]
    for (at, inner), p in zip(places, stats.holm(ranks), strict=True):
        each = held[at][inner]
        assert each.change is not None
        each = replace(each, change=replace(each.change, p=p))
        if p > LEVEL and each.state in ("met", "reversed"):
            why = f"the interval shows it, the rank test over {len(places)} comparisons does not (p {p:.2g})"
            each = replace(each, state="unclear", why=why)
        held[at][inner] = each
    return [
        replace(condition, comparisons=tuple(each)) for condition, each in zip(conditions, held, strict=True)
    ]


_SURE = 0.9
"""What the interval of a level must hold, as five runs do: four cannot, whatever they show."""

_TESTED = ("lower", "higher")
"""The directions whose proof is a difference; that there is none is proved by the interval alone."""


def _outcome(conditions: Sequence[Condition]) -> tuple[Outcome, tuple[Condition, Comparison] | None]:
    """The verdict, and the comparison that decided it; none where the claim holds."""
    for at, condition in enumerate(conditions):
        if condition.state == "untestable":
            return "cannot be tested here", _first(condition, "untestable")
        if condition.state == "reversed" and at == 0:
            return "reversed", _first(condition, "reversed")
    for condition in conditions:
        if condition.state in ("refuted", "reversed"):
            return "does not hold here", _first(condition, "refuted", "reversed")
    for condition in conditions:
        if condition.state == "unclear":
            return "not shown", _first(condition, "unclear")
    return "holds", None


def _granted(
    given: Sequence[Condition],
) -> tuple[Outcome, tuple[Condition, Comparison] | None] | None:
    """The verdict where what a claim takes for granted is not so, or not known to be; None where all of it is."""
    for condition in given:
        state = condition.state
        if state != "met":
            return "not shown" if state == "unclear" else "cannot be tested here", _first(
                condition, state, "reversed"
            )
    return None


def _first(condition: Condition, *states: State) -> tuple[Condition, Comparison]:
    """The first comparison in one of these states."""
    return condition, next(each for each in condition.comparisons if each.state in states)
