"""The verdict on a claim: every condition held against the interval of a change, or of a median."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness import stats
from harness.analysis.claims.model import ClaimVerdict, ConditionResult, Observation, Outcome, ShownMetric, State
from harness.analysis.compare import Change, Factors, change, paired_values, why_not_valid
from harness.analysis.compare.change import values_of
from harness.analysis.compare.model import LEVEL
from harness.spec.claims import NEEDS, Claim, Expect, Need
from harness.stats import Interval
from harness.stats.condition import SURE
from harness.tables.cells import SummaryCell, group_cells, whole_tails
from harness.tables.source import Source

_Cells = dict[tuple[str, Factors], SummaryCell]


def judge(source: Source, claims: Mapping[str, Claim], have: frozenset[Need] = frozenset()) -> tuple[ClaimVerdict, ...]:
    """The verdict on every claim of an experiment by its runs; have: the needs that the place of the runs met.

    A claim holds when all its conditions are met, each shown by the whole of an interval; tests of one claim are
    corrected together (Holm). Its first condition says which way it points: shown the other way, it is reversed.
    """
    return tuple(_judged(source, name, claim, have) for name, claim in claims.items())


def _judged(source: Source, name: str, claim: Claim, have: frozenset[Need]) -> ClaimVerdict:
    lacking = [need for need in claim.needs if need not in have]
    if lacking:
        why = "; ".join(f"{NEEDS[need][0]}: {NEEDS[need][1]}" for need in lacking)
        return ClaimVerdict(name, claim, "cannot be tested here", reason=why)
    source = counted(source, claim.include)
    cells = group_cells(source.runs, include=tuple(claim.include)) if len(source.runs) else []
    source = replace(source, runs=whole_tails(source.runs, cells))
    by_key = {(cell.case, cell.factors): cell for cell in cells}
    cases = list(dict.fromkeys([*(case for case, _ in source.planned), *(cell.case for cell in cells)]))
    baseline = "base" if "base" in cases or not cases else cases[0]
    given = [_result(source, by_key, expect, baseline) for expect in claim.given]
    conditions = _confirmed([_result(source, by_key, expect, baseline) for expect in claim.expect])
    outcome, deciding = _granted(given) or _outcome(conditions)
    untestable = deciding is not None and deciding[1].state == "untestable"
    reason = deciding[1].why if deciding and untestable else ""
    place = deciding or (conditions[0], conditions[0].observations[0])
    shown = tuple(shown_at(source, by_key, metric, *place) for metric in claim.show)
    return ClaimVerdict(name, claim, outcome, tuple(conditions), reason, deciding, shown)


def shown_at(source: Source, cells: _Cells, metric: str, condition: ConditionResult, at: Observation) -> ShownMetric:
    """A metric's medians in the cells of one comparison, the one it is compared with first."""
    expect, values = condition.expect, values_of(source.runs, metric)
    other = tuple((name, expect.against_at.get(name, text)) for name, text in at.factors)
    keys = [(condition.against, other), (expect.case, at.factors)]
    medians = [
        (case, factors, stats.estimate(values[cell.valid]).median)
        for case, factors in dict.fromkeys(keys)
        if (cell := cells.get((case, factors))) is not None
    ]
    return ShownMetric(metric, tuple(medians))


def counted(source: Source, include: Sequence[str]) -> Source:
    """The source for a claim that counts inert runs as well: those that are in doubt too become suspect."""
    if "inert" not in include or "doubts" not in source.runs or "verdict" not in source.runs:
        return source
    noisy = (source.runs["verdict"] == "inert") & (source.runs["doubts"] > 0)
    return replace(source, runs=source.runs.assign(verdict=source.runs["verdict"].mask(noisy, "suspect")))


def _result(source: Source, cells: _Cells, expect: Expect, baseline: str) -> ConditionResult:
    against = expect.against or (expect.case if expect.against_at else baseline)
    places = _places(source, cells, expect)
    if not places:
        nothing = Observation(tuple(expect.at.items()), "unclear", why=f"no run of {expect.case}")
        return ConditionResult(expect, against, (nothing,))
    return ConditionResult(
        expect, against, tuple(_observed(source, cells, expect, against, factors) for factors in places)
    )


def _places(source: Source, cells: _Cells, expect: Expect) -> list[Factors]:
    """The combinations of factors that a condition is about, in the plan's order."""
    keys = dict.fromkeys([*source.planned, *cells])
    return [
        factors
        for case, factors in keys
        if case == expect.case and all(dict(factors).get(name) == value for name, value in expect.at.items())
    ]


def _observed(source: Source, cells: _Cells, expect: Expect, against: str, factors: Factors) -> Observation:
    test = cells.get((expect.case, factors))
    if expect.verdict is not None:
        return _verdicts_of(test, expect.verdict, factors)
    if test is None or not test.valid.size:
        return _no_runs(source, test, factors)
    values = values_of(source.runs, expect.metric)
    value = stats.estimate(values[test.valid])
    if expect.direction is None:
        state = expect.condition.judge(value.interval)
        sure = value.interval is not None and value.interval.confidence >= SURE
        few = f"{value.n} valid runs are too few" if value.n else "no value"
        return Observation(factors, state, value=value, why="" if sure else few)
    other = tuple((name, expect.against_at.get(name, text)) for name, text in factors)
    base = cells.get((against, other))
    if base is None or not base.valid.size:
        return _no_runs(source, base, factors)
    pairs = paired_values(source.runs, expect.metric, base, test)
    moved = change(expect.metric, values[base.valid], values[test.valid], pairs=pairs, smallest_effect=expect.by)
    ends = shares(moved)
    if ends is None:
        return Observation(factors, "unclear", moved, value, moved.note or "too few valid runs")
    state = expect.condition.judge(ends)
    reversed_ = expect.opposite is not None and expect.opposite.judge(ends) == "met"
    return Observation(factors, "reversed" if reversed_ else state, moved, value)


def _no_runs(source: Source, cell: SummaryCell | None, factors: Factors) -> Observation:
    """Skipped runs say that the host lacks something; any others that nothing is known yet."""
    if cell is None:
        return Observation(factors, "unclear", why="not run yet")
    if cell.verdicts["skipped"] == cell.rows.size:
        reasons = source.runs["reasons"].iloc[cell.rows].tolist() if "reasons" in source.runs else []
        why = next((str(reason) for reason in reasons if reason), "this host lacks what the case needs")
        return Observation(factors, "untestable", why=why)
    return Observation(factors, "unclear", why=why_not_valid(cell))


def _verdicts_of(cell: SummaryCell | None, expected: str, factors: Factors) -> Observation:
    """Met where every run of the cell has the verdict, refuted where none has it, unclear in between."""
    if cell is None or cell.verdicts["skipped"] == cell.rows.size:
        state: State = "untestable" if cell else "unclear"
        return Observation(factors, state, why="skipped" if cell else "not run yet")
    # A run that noise spoilt says nothing about how a knob works.
    counts = {name: cell.verdicts[name] for name in ("valid", "inert", "failed")}
    count, whole = counts[expected], sum(counts.values())
    if not whole:
        return Observation(factors, "unclear", why=why_not_valid(cell))
    state = "met" if count == whole else "unclear" if count else "refuted"
    return Observation(factors, state, why=f"{count} of {whole} runs {expected}")


def shares(moved: Change) -> Interval | None:
    """The interval of a change as a ratio; from the difference where a value of 0 leaves no ratio."""
    if moved.ratio is not None:
        return moved.ratio.interval
    base, difference = moved.base.median, moved.difference
    if difference is None or difference.interval is None:
        return None
    ends = (difference.interval.low, difference.interval.high)
    if not base:
        # From nothing to something is more than any factor; nothing to nothing is the same.
        low, high = (1.0 if not end else math.inf if end > 0 else 0.0 for end in ends)
    else:
        low, high = sorted(1 + end / base for end in ends)
    return Interval(low, high, difference.interval.confidence)


def _confirmed(conditions: Sequence[ConditionResult]) -> list[ConditionResult]:
    """Unclear after all is what an interval shows but the rank test, corrected over the claim, does not confirm."""
    ranks = [
        p
        for condition in conditions
        for observation in condition.observations
        if (p := _rank_p(condition, observation)) is not None
    ]
    corrected = iter(stats.holm(ranks))

    def confirmed(condition: ConditionResult, observation: Observation) -> Observation:
        if observation.change is None or _rank_p(condition, observation) is None:
            return observation
        p = next(corrected)
        observation = replace(observation, change=replace(observation.change, p=p))
        if p <= LEVEL or observation.state not in ("met", "reversed"):
            return observation
        why = f"the interval shows it, the rank test over {len(ranks)} comparisons does not (p {p:.2g})"
        return replace(observation, state="unclear", why=why)

    return [
        replace(condition, observations=tuple(confirmed(condition, at) for at in condition.observations))
        for condition in conditions
    ]


def _rank_p(condition: ConditionResult, observation: Observation) -> float | None:
    """P of the rank test where the proof is a difference; that there is none is proved by the interval alone."""
    if observation.change is None or condition.expect.direction not in ("lower", "higher"):
        return None
    return observation.change.rank.p if observation.change.rank else None


def _outcome(conditions: Sequence[ConditionResult]) -> tuple[Outcome, tuple[ConditionResult, Observation] | None]:
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


def _granted(given: Sequence[ConditionResult]) -> tuple[Outcome, tuple[ConditionResult, Observation] | None] | None:
    """The verdict where what a claim takes for granted is not so, or not known to be; None where all of it is."""
    for condition in given:
        state = condition.state
        if state != "met":
            return "not shown" if state == "unclear" else "cannot be tested here", _first(condition, state, "reversed")
    return None


def _first(condition: ConditionResult, *states: State) -> tuple[ConditionResult, Observation]:
    """The first comparison in one of these states."""
    return condition, next(at for at in condition.observations if at.state in states)
