"""What one result set says: per cell the medians and the change against a baseline, and what was left out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from harness import columns, stats
from harness.analysis.awake import METRIC, KeptAwake, kept_awake
from harness.analysis.claims import ClaimVerdict, findings
from harness.analysis.compare import Change, Factors, Options, paired_values, why_not_valid
from harness.analysis.compare.change import decided, measured, reach_of
from harness.analysis.compare.choose import COSTS, level_of, meant, metrics_measured, smallest_effect, splitting_notes
from harness.analysis.compare.environment import texts_of
from harness.analysis.compare.family import family_of
from harness.analysis.compare.limits import looser_than_default
from harness.analysis.compare.model import ALONE, Family
from harness.analysis.compare.pairing import blocks_of, interleaving, looks_of
from harness.analysis.compare.verdict import NOT_INTERLEAVED, model_time
from harness.analysis.effects import EffectCount, Settings, effects_of, settings_of
from harness.analysis.hints import hints_of
from harness.analysis.phases import PhaseView, phase_views
from harness.analysis.queues import QueueView, queue_views
from harness.errors import InputError
from harness.stats import Estimate
from harness.tables.cells import SummaryCell, group_cells, made_again, whole_tails
from harness.tables.columnar import Table
from harness.tables.frames import CellKey
from harness.tables.reading.account import Reading
from harness.tables.source import Source

CHANGED = ("rtt_p50_us", "rtt_p99_us", *COSTS, "latency_p50", "latency_p99")
"""The metrics that are compared with the baseline case, where any run has them; the last two state no unit."""
CHANGED_BESIDE = CHANGED[:2]
"""What is compared so of every workload that is measured beside the first: the price that it pays."""

_MOST_OTHERS = 5

_FACTS = (*(column.name for column in columns.ENVIRONMENT), "datapath", "workload_kind", "workload_loop")
_SETUP = (
    "links_tried",
    "workload_timed",
    "workload_protocol",
    "workload_client_wait",
    "workload_server_wait",
    "workload_size_bytes",
)

_DETAIL = re.compile(r"\([^()]*\)|\d+(\.\d+)?")


@dataclass(frozen=True)
class CellView:
    """One cell: how its runs went, the median of each main metric, and its changes against the baseline.

    planned: runs the plan holds, 0 when unknown. changes: by metric, empty for the baseline itself and for
    a cell that has no baseline. note: why there are no numbers, when there are none. inert: medians of the runs in
    which a knob took no effect; they are in no estimate. inert_changes: those held against the baseline's valid runs.
    """

    case: str
    factors: Factors
    planned: int
    total: int
    verdicts: dict[str, int]
    estimates: dict[str, Estimate]
    changes: dict[str, Change]
    effects: tuple[EffectCount, ...]
    note: str
    inert: dict[str, Estimate] = field(default_factory=dict)
    inert_changes: dict[str, Change] = field(default_factory=dict)

    def beside(self) -> list[str]:
        """The metrics that were compared of workloads measured beside the first."""
        return columns.beside(self.changes, CHANGED_BESIDE)

    def median(self, metric: str) -> float | None:
        """The median of a metric; None where no valid run has a value."""
        estimate = self.estimates.get(metric)
        return estimate.median if estimate else None


def workloads_beside(cells: Sequence[CellView]) -> list[str]:
    """The names of the workloads that were measured beside the first in any of these cells."""
    names = dict.fromkeys(columns.of_workload(name)[0] for cell in cells for name in (*cell.estimates, *cell.inert))
    return [name for name in names if name]


def cost_of(cells: Sequence[CellView]) -> str:
    """The metric that tells what a request costs in these cells: the best of COSTS that any of them has."""
    return next((name for name in COSTS if any(cell.median(name) is not None for cell in cells)), COSTS[0])


@dataclass(frozen=True)
class LeftOut:
    """Runs that do not count, gathered by verdict and reason; `reason` is the first one's, word for word.

    p50_us: the median of their median round trips where they are inert and of one cell; else None.
    """

    verdict: str
    reason: str
    runs: int
    cells: tuple[CellKey, ...]
    p50_us: float | None = None


@dataclass(frozen=True)
class Overview:
    """One result set, ready to be printed.

    baseline: the case that others are held against, "" when there is only one. missing: planned runs not
    made yet. facts: the environment and set-up of the runs, by column, every value met. headline: the cells
    that answer the question best, most telling first. calibration: what an A/A run on such a host found, in words.
    claims: the experiment's claims with their verdicts. family: what its changes are judged as, together. awake: cells
    that a hog made faster, by keeping their CPUs awake. made_again: attempts in whose place others were made, and which
    are in no other figure here. readings: how the columns of a CSV file were read.
    phases: latency by the phases of links that change; queues: what waited in links' queues. share: as of the source.
    """

    label: str
    name: str
    description: str
    baseline: str
    cells: tuple[CellView, ...]
    headline: tuple[CellView, ...]
    verdicts: dict[str, int]
    missing: int
    left_out: tuple[LeftOut, ...]
    facts: dict[str, tuple[str, ...]]
    warnings: tuple[str, ...]
    calibration: tuple[str, ...] = ()
    claims: tuple[ClaimVerdict, ...] = ()
    family: Family = ALONE
    awake: tuple[KeptAwake, ...] = ()
    made_again: int = 0
    readings: tuple[Reading, ...] = ()
    phases: tuple[PhaseView, ...] = ()
    queues: tuple[QueueView, ...] = ()
    share: str = ""

    @property
    def model_time(self) -> str:
        """What has to be said of latencies under an emulated CPU; empty where none was."""
        return model_time(self.facts.get("accelerator", ()))


def overview(source: Source, baseline: str | None = None) -> Overview:
    """Everything `show` prints about a source.

    baseline: default the case "base", else the plan's first that has a valid run. Raises InputError for a case
    that is not there.
    """
    cells = group_cells(source.table)
    source = replace(source, runs=whole_tails(source.table, cells))
    apart = splitting_notes([source.table])
    if apart:
        # The plan knows nothing of these cells: how many runs of each were to be made is unknown.
        source = replace(source, runs=source.table, planned={})
    by_key = {(cell.case, cell.factors): cell for cell in cells}
    keys = list(dict.fromkeys([*source.planned, *by_key]))
    cases = list(dict.fromkeys(case for case, _ in keys))
    baseline = _baseline(cases, baseline, {key[0] for key, cell in by_key.items() if cell.valid.size})
    metrics = _metrics(source.table)
    settings = settings_of(source.knobs)
    found = [_view(source, key, by_key, baseline, metrics, settings) for key in keys]
    views, awake, family = _judged_together(found, list(kept_awake(source.table, cells)), source)
    plan = source.plan
    return Overview(
        label=source.label,
        name=str(plan.get("name") or source.label),
        description=" ".join(str(plan.get("description") or "").split()),
        baseline=baseline,
        cells=views,
        headline=_headline(views),
        verdicts={verdict: sum(view.verdicts[verdict] for view in views) for verdict in columns.VERDICTS},
        missing=sum(max(0, view.planned - view.total) for view in views),
        left_out=_left_out(source.table, cells),
        facts={name: texts for name in (*_FACTS, *_SETUP) if (texts := texts_of(source.table, name))},
        warnings=(
            *source.warnings,
            *apart,
            *_sequence(source.table, cells, baseline),
            *looser_than_default(source),
            *hints_of(source.table, cells),
        ),
        claims=findings(source),
        family=family,
        awake=awake,
        made_again=made_again(source.table),
        readings=() if source.reading is None else (source.reading,),
        phases=tuple(phase_views(source, keys)),
        queues=tuple(queue_views(source, keys)),
        share=source.share,
    )


def _sequence(table: Table, cells: Sequence[SummaryCell], baseline: str) -> list[str]:
    """That the runs of a case and its baseline were not made in turns, where that is on record."""
    bases = {cell.factors: cell for cell in cells if cell.case == baseline}
    pairs = ((bases[cell.factors], cell) for cell in cells if cell.case != baseline and cell.factors in bases)
    return [NOT_INTERLEAVED] if any(interleaving(table, *pair) == "apart" for pair in pairs) else []


def _judged_together(
    views: Sequence[CellView], awake: Sequence[KeptAwake], source: Source
) -> tuple[tuple[CellView, ...], tuple[KeptAwake, ...], Family]:
    """The cells with what their changes claim as one family, those that a hog made faster, and the family."""
    changes = [change for view in views for side in (view.changes, view.inert_changes) for change in side.values()]
    changes += [item.change for item in awake]
    family, smallest = family_of(changes, level_of([source])), smallest_effect([source], Options())

    def judged(changes: dict[str, Change]) -> dict[str, Change]:
        return {name: decided(name, change, smallest, family) for name, change in changes.items()}

    decided_awake = [replace(item, change=decided(METRIC, item.change, smallest, family)) for item in awake]
    return (
        tuple(replace(view, changes=judged(view.changes), inert_changes=judged(view.inert_changes)) for view in views),
        tuple(item for item in decided_awake if item.change.outcome == "lower"),
        family,
    )


def _baseline(cases: Sequence[str], asked: str | None, measured: Collection[str]) -> str:
    """The case asked for, else "base", else the first that was measured: one without a run compares nothing."""
    if asked is None:
        if len(cases) < 2:
            return ""
        return "base" if "base" in cases else next((case for case in cases if case in measured), cases[0])
    if asked not in cases:
        raise InputError(
            "compare with a baseline", on=f"case {asked!r}", got="there is no such case", todo=meant(asked, cases)
        )
    return asked


def _view(
    source: Source,
    key: CellKey,
    cells: dict[CellKey, SummaryCell],
    baseline: str,
    metrics: Sequence[str],
    settings: Settings,
) -> CellView:
    cell = cells.get(key)
    planned = source.planned.get(key, 0)
    if cell is None:
        nothing = dict.fromkeys(columns.VERDICTS, 0)
        return CellView(*key, planned, 0, nothing, {}, {}, (), "not run yet")
    table = source.table
    base = cells.get((baseline, cell.factors)) if baseline and cell.case != baseline else None
    inert = replace(cell, valid=_inert_rows(table, cell))
    return CellView(
        case=cell.case,
        factors=cell.factors,
        planned=planned,
        total=int(cell.rows.size),
        verdicts=cell.verdicts,
        estimates=_estimates(table, cell, metrics),
        changes=_changes(source, base, cell) if base is not None else {},
        effects=effects_of(settings, table.texts("run_id").take(cell.valid).distinct()) if settings else (),
        note="" if cell.valid.size else why_not_valid(cell),
        inert=_estimates(table, inert, metrics) if inert.valid.size else {},
        inert_changes=_changes(source, base, inert) if base is not None and inert.valid.size else {},
    )


def _metrics(table: Table) -> list[str]:
    """The metrics that are summarised: the main ones, and where a table has few of those, others that it has."""
    names = columns.main_of(table.names) + columns.beside(table.names, columns.WORK_BESIDE)
    if len(names) < _MOST_OTHERS:
        # A table of another origin: what it measures beside, or instead.
        others = [name for name in metrics_measured(table) if name not in names]
        names += others[:_MOST_OTHERS]
    return names


def _estimates(table: Table, cell: SummaryCell, metrics: Sequence[str]) -> dict[str, Estimate]:
    return {name: stats.estimate(table.floats(name)[cell.valid]) for name in metrics}


def _inert_rows(table: Table, cell: SummaryCell) -> npt.NDArray[np.intp]:
    """The runs of a cell in which a knob took no effect, and which do not count."""
    left_out = np.setdiff1d(cell.rows, cell.valid)
    if "verdict" not in table:
        return left_out[:0]
    return left_out[table.texts("verdict").are(lambda verdict: verdict == "inert")[left_out]]


def _changes(source: Source, base: SummaryCell, cell: SummaryCell) -> dict[str, Change]:
    changes, table, looks = {}, source.table, looks_of(source.plan)
    for name in (*CHANGED, *columns.beside(table.names, CHANGED_BESIDE)):
        values = table.floats(name)
        if np.isnan(values).all():
            continue
        pairs = paired_values(table, name, base, cell)
        sides = (values[base.valid], values[cell.valid])
        unsure = reach_of(name, (table, base.valid), (table, cell.valid))
        blocks = blocks_of(table, base, cell)
        changes[name] = measured(name, *sides, pairs=pairs, looks=looks, blocks=blocks, reach=unsure)
    return changes


def _headline(views: Sequence[CellView]) -> tuple[CellView, ...]:
    """At most two cells: of the case that changed p50 most where nothing contends, there and at the far end.

    The first combination of factors is the plan's mildest and the last its harshest, by how sweeps are
    written; with one combination only, the two cases that changed most.
    """
    changed = [view for view in views if view.changes]
    if not changed:
        return ()
    groups = list(dict.fromkeys(view.factors for view in changed))
    first = sorted((view for view in changed if view.factors == groups[0]), key=_weight, reverse=True)
    if len(groups) == 1:
        return tuple(first[:2])
    same = [view for view in changed if view.case == first[0].case and view.factors == groups[-1]]
    return (first[0], *same)


def _weight(view: CellView) -> tuple[bool, float]:
    change = view.changes.get(CHANGED[0])
    if change is None or change.factor is None:
        return False, 0.0
    # An improvement is the better answer to "does it help"; a loss is told when there is none.
    return change.outcome in ("lower", "higher"), change.factor if change.judged == "better" else change.factor / 1e6


def _left_out(table: Table, cells: Sequence[SummaryCell]) -> tuple[LeftOut, ...]:
    """Reasons that differ only in numbers, or in what they say in brackets, are one reason."""
    groups: dict[tuple[str, str], list[tuple[str, SummaryCell, int]]] = {}
    if "verdict" not in table:
        return ()
    verdicts = table.texts("verdict").rows()
    reasons = table.texts("reasons").rows() if "reasons" in table else None
    for cell in cells:
        for row in np.setdiff1d(cell.rows, cell.valid):
            reason = str(reasons[row]) if reasons is not None else ""
            alike = _DETAIL.sub("#", reason)
            groups.setdefault((str(verdicts[row]), alike), []).append((reason, cell, int(row)))
    rank = {verdict: place for place, verdict in enumerate(columns.VERDICTS)}
    groups_left = []
    for (verdict, _), members in sorted(groups.items(), key=lambda item: rank[item[0][0]]):
        where = dict.fromkeys((cell.case, cell.factors) for _, cell, _ in members)
        rows = [row for _, _, row in members]
        known = verdict == "inert" and len(where) == 1 and "rtt_p50_us" in table
        p50_us = stats.estimate(table.floats("rtt_p50_us")[rows]).median if known else None
        groups_left.append(LeftOut(verdict, members[0][0], len(members), tuple(where), p50_us))
    return tuple(groups_left)
