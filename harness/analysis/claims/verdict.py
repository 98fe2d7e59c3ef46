"""The verdict on a claim: every condition held against the interval of a change, or of a median."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from harness import stats
from harness.analysis.claims.model import ClaimVerdict, ConditionResult, Observation, Outcome, ShownMetric, State
from harness.analysis.compare import Change, Factors, change, paired_values, why_not_valid
from harness.analysis.compare.change import ACCOUNTING, decided, level_off_by, off_by, reach_of, values_of
from harness.analysis.compare.family import family_of
from harness.analysis.compare.model import EXACT, LEVEL, Family, Reach
from harness.spec.claims import NEEDS, Claim, Expect, Need
from harness.stats import Estimate, Interval
from harness.stats.condition import SURE
from harness.tables.cells import SummaryCell, group_cells, whole_tails
from harness.tables.columnar import Texts
from harness.tables.source import Source

_Cells = dict[tuple[str, Factors], SummaryCell]

CLAIMS_LEVEL = LEVEL / 2
"""The chance that any of an experiment's claims is judged wrong; the other half of LEVEL is its page's table's."""


def judge(source: Source, claims: Mapping[str, Claim], have: frozenset[Need] = frozenset()) -> tuple[ClaimVerdict, ...]:
    """The verdict on every claim of an experiment by its runs; have: the needs that the place of the runs met.

    A claim holds when all its conditions are met, each shown by the whole of an interval. Intervals of changes are
    corrected (Bonferroni), so that of all the experiment's claims together none is judged wrong with the chance
    1 - CLAIMS_LEVEL: for the number of claims where a condition is met, since one that is not keeps its claim from
    holding; for the number of all comparisons where it is refuted, since one is enough. The first condition says which
    way a claim points: shown the other way, it is reversed.
    """
    seen = {name: _seen(source, claim, have) for name, claim in claims.items()}
    changes = [found.changes() for found in seen.values()]
    everything = family_of([change for some in changes for change in some], CLAIMS_LEVEL)
    families = (replace(everything, comparisons=max(1, sum(map(bool, changes)))), everything)
    return tuple(_judged(name, claims[name], found, families) for name, found in seen.items())


_Families = tuple[Family, Family]
"""What is judged together: the claims that are about changes, and all comparisons in them."""


@dataclass(frozen=True)
class _Seen:
    """What was seen of a claim's conditions; lacking: why it cannot be tested here, else empty."""

    lacking: str = ""
    given: tuple[ConditionResult, ...] = ()
    expect: tuple[ConditionResult, ...] = ()
    source: Source | None = None
    cells: _Cells = field(default_factory=dict)

    def changes(self) -> list[Change]:
        """Every comparison of the claim."""
        places = [place for condition in self.expect for place in condition.observations]
        return [place.change for place in places if place.change is not None]


def _seen(source: Source, claim: Claim, have: frozenset[Need]) -> _Seen:
    lacking = [need for need in claim.needs if need not in have]
    if lacking:
        why = "; ".join(f"{NEEDS[need][0]}: {NEEDS[need][1]}" for need in lacking)
        return _Seen(why)
    source = counted(source, claim.include)
    cells = group_cells(source.table, include=tuple(claim.include)) if len(source.table) else []
    source = replace(source, runs=whole_tails(source.table, cells))
    by_key = {(cell.case, cell.factors): cell for cell in cells}
    cases = list(dict.fromkeys([*(case for case, _ in source.planned), *(cell.case for cell in cells)]))
    baseline = "base" if "base" in cases or not cases else cases[0]
    given = tuple(_result(source, by_key, expect, baseline) for expect in claim.given)
    expected = tuple(_result(source, by_key, expect, baseline) for expect in claim.expect)
    return _Seen("", given, expected, source, by_key)


def _judged(name: str, claim: Claim, seen: _Seen, families: _Families) -> ClaimVerdict:
    if seen.source is None:
        return ClaimVerdict(name, claim, "cannot be tested here", reason=seen.lacking)
    conditions = _confirmed(seen.expect, families)
    outcome, deciding = _granted(seen.given) or _outcome(conditions)
    untestable = deciding is not None and deciding[1].state == "untestable"
    reason = deciding[1].why if deciding and untestable else ""
    place = deciding or (conditions[0], conditions[0].observations[0])
    shown = tuple(shown_at(seen.source, seen.cells, metric, *place) for metric in claim.show)
    return ClaimVerdict(name, claim, outcome, tuple(conditions), reason, deciding, shown)


def shown_at(source: Source, cells: _Cells, metric: str, condition: ConditionResult, at: Observation) -> ShownMetric:
    """A metric's medians in the cells of one comparison, the one it is compared with first."""
    expect, values = condition.expect, values_of(source.table, metric)
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
    if "inert" not in include or "doubts" not in source.table or "verdict" not in source.table:
        return source
    verdicts = source.table.texts("verdict")
    noisy = verdicts.are(lambda verdict: verdict == "inert") & (source.table.floats("doubts") > 0)
    judged = Texts.of(np.where(noisy, "suspect", verdicts.rows()).tolist())
    return replace(source, runs=source.table.assign({"verdict": judged}))


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
    values = values_of(source.table, expect.metric)
    value = stats.estimate(values[test.valid])
    if expect.direction is None:
        return _of_level(expect, factors, value, reach_of(expect.metric, *[(source.table, test.valid)] * 2)[1])
    other = tuple((name, expect.against_at.get(name, text)) for name, text in factors)
    base = cells.get((against, other))
    if base is None or not base.valid.size:
        return _no_runs(source, base, factors)
    pairs = paired_values(source.table, expect.metric, base, test)
    reach = reach_of(expect.metric, (source.table, base.valid), (source.table, test.valid))
    sides = (values[base.valid], values[test.valid])
    moved = change(expect.metric, *sides, pairs=pairs, smallest_effect=expect.by, reach=reach)
    ends = shares(moved)
    if ends is None:
        return Observation(factors, "unclear", moved, value, moved.note or "too few valid runs")
    state = _state(expect, moved, ends)
    open_by_accounting = state != _state(expect, replace(moved, reach=(EXACT, EXACT)), ends)
    return Observation(factors, state, moved, value, ACCOUNTING if open_by_accounting else "")


def _of_level(expect: Expect, factors: Factors, value: Estimate, reach: Reach) -> Observation:
    """A condition about a median itself."""
    if value.interval is None or value.interval.confidence < SURE:
        few = f"{value.n} valid runs are too few" if value.n else "no value"
        return Observation(factors, expect.condition.judge(value.interval), value=value, why=few)
    state = expect.condition.judge(level_off_by(reach, value.interval))
    open_by_accounting = state != expect.condition.judge(value.interval)
    return Observation(factors, state, value=value, why=ACCOUNTING if open_by_accounting else "")


def _no_runs(source: Source, cell: SummaryCell | None, factors: Factors) -> Observation:
    """Skipped runs say that the host lacks something; any others that nothing is known yet."""
    if cell is None:
        return Observation(factors, "unclear", why="not run yet")
    if cell.verdicts["skipped"] == cell.rows.size:
        table = source.table
        reasons = table.texts("reasons").take(cell.rows).rows().tolist() if "reasons" in table else []
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


def shares(moved: Change, interval: Interval | None = None) -> Interval | None:
    """The interval of a change as a ratio; from the difference where a value of 0 leaves no ratio.

    interval: default the change's own.
    """
    decides, base = moved.decides, moved.base.median
    interval = interval or (decides.interval if decides else None)
    if moved.ratio is not None or interval is None:
        return interval
    ends = (interval.low, interval.high)
    if not base:
        # From nothing to something is more than any factor; nothing to nothing is the same.
        low, high = (1.0 if not end else math.inf if end > 0 else 0.0 for end in ends)
    else:
        low, high = sorted(1 + end / base for end in ends)
    return replace(interval, low=low, high=high)


def _confirmed(conditions: Sequence[ConditionResult], families: _Families) -> list[ConditionResult]:
    """Unclear after all is what a change's own interval shows, and the corrected one does not."""
    found = [
        replace(item, observations=tuple(_corrected(item.expect, place, families) for place in item.observations))
        for item in conditions
    ]
    return _rank_tested(found)


def _rank_tested(conditions: Sequence[ConditionResult]) -> list[ConditionResult]:
    """With the p values of the claim's rank tests, corrected (Holm); they decide nothing."""
    places = [place for item in conditions for place in item.observations]
    ranked = [place for place in places if place.change is not None and place.change.rank is not None]
    ps = stats.holm([place.change.rank.p for place in ranked if place.change and place.change.rank])
    of = {id(place): p for place, p in zip(ranked, ps, strict=True)}

    def tested(place: Observation) -> Observation:
        return replace(place, change=place.change and replace(place.change, p=of.get(id(place))))

    return [replace(item, observations=tuple(map(tested, item.observations))) for item in conditions]


def _corrected(expect: Expect, found: Observation, families: _Families) -> Observation:
    if found.change is None or shares(found.change) is None:
        return found
    met = found.state == "met"
    family = families[0 if met else 1]
    moved = decided(expect.metric, found.change, expect.by, family)
    ends = shares(moved, moved.together) if moved.together else None
    if found.state == "unclear" or (ends is not None and _state(expect, moved, ends) == found.state):
        return replace(found, change=moved)
    of = "claim" if met else "comparison"
    number = f"{family.comparisons} {of}{'' if family.comparisons == 1 else 's'}{'' if met else ' of all claims'}"
    why = f"its own interval shows it, the one corrected for {number} does not"
    return replace(found, state="unclear", change=moved, why=why)


def _state(expect: Expect, moved: Change, ends: Interval) -> State:
    """What the interval of a change, as a ratio, says of a condition."""
    ends = off_by(moved.leeway, ends)
    if expect.opposite is not None and expect.opposite.judge(ends) == "met":
        return "reversed"
    return expect.condition.judge(ends)


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
