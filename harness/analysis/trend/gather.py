"""Sets brought into histories: which runs are of one, in which order its sets come, and what these are called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import stats
from harness.analysis.compare import Factors
from harness.analysis.compare.align import aligned, resolved
from harness.analysis.compare.choose import COSTS, meant, metrics_of
from harness.analysis.trend.model import MOMENT, History, Moment
from harness.errors import InputError
from harness.tables.cells import NEVER_POOLED, SummaryCell, factor_columns, group_cells, whole_tails
from harness.tables.columnar import Table, Texts
from harness.tables.filters import filtered
from harness.tables.source import Source

COMMIT = "git"
"""The label of sets by the commit that they were made of, as far as it was recorded."""

PLACE = ("place", "host", "accelerator", "cpu_model")
"""Histories are those of one place, unless somebody asks for other columns."""

_EXPERIMENT = "experiment"
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")
_DIGITS = re.compile(r"(\d+)")
_BEFORE = re.compile(r"-rc|~")
_FEW = ("rtt_p50_us", "rtt_p99_us", *COSTS)
"""Of the metrics that are compared by default those of a history: each more makes every claim harder."""

_Key = tuple[str, str, Factors]


@dataclass(frozen=True)
class Member:
    """A source of a history, with the name that was typed for it, and what its set recorded of itself."""

    source: Source
    name: str = ""
    manifest: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Asked:
    """What is to be in histories. by: columns that tell them apart, None: by place; label: MOMENT, COMMIT or a column.

    metrics, filters, include: as `Options` has them.
    """

    metrics: tuple[str, ...] | None = None
    by: tuple[str, ...] | None = None
    label: str = MOMENT
    filters: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


def histories(members: Sequence[Member], asked: Asked) -> tuple[list[History], Factors, list[str]]:
    """The histories, what they have in common, and what has to be known of them, in words.

    Raises InputError for a metric, column or filter that no set has.
    """
    sources = aligned([member.source for member in members])
    chosen = metrics_of(sources, asked.metrics)
    if asked.metrics is None:
        chosen = [name for name in chosen if name in _FEW] or chosen[:3]
    by = _columns(asked.by, sources, "--by")
    label = asked.label
    if label not in (MOMENT, COMMIT):
        (label,) = _columns((label,), sources, "--label") or ("",)
    gathered: dict[_Key, list[Moment]] = {}
    for member, source in zip(members, sources, strict=True):
        for key, moment in _moments(member, source, chosen, PLACE if by is None else by, label, asked):
            gathered.setdefault(key, []).append(moment)
    orders = {key: _ordered(moments, by_name=label not in (MOMENT, COMMIT)) for key, moments in gathered.items()}
    varied, common = _told_apart(list(orders))
    made = [
        History(metric, case, tuple(item for item in factors if item[0] in varied), tuple(moments))
        for (metric, case, factors), moments in orders.items()
    ]
    undated = sum(not moment.begun for moments in gathered.values() for moment in moments)
    notes = ["some sets tell no time: all are in the order in which they were named"] if undated else []
    # By metric, as tables have them; within one as they were met.
    return sorted(made, key=lambda history: chosen.index(history.metric)), common, notes


def _columns(names: Sequence[str] | None, sources: Sequence[Source], option: str) -> tuple[str, ...] | None:
    """The columns as they are called in the tables. InputError for one that no set has."""
    if names is None:
        return None
    there = list(dict.fromkeys(name for source in sources for name in source.table.names))
    called = tuple(resolved(name, sources) for name in names)
    for typed, name in zip(names, called, strict=True):
        if name not in there and name not in PLACE:
            todo = meant(typed, [*there, MOMENT, COMMIT] if option == "--label" else there)
            raise InputError("tell sets apart", f"column {typed!r}", "no set has it", todo, option)
    return called


def _moments(
    member: Member, source: Source, metrics: Sequence[str], by: Sequence[str], label: str, asked: Asked
) -> Iterator[tuple[_Key, Moment]]:
    """What a source has of each history."""
    table = filtered(source.table, asked.filters) if asked.filters else source.table
    if not len(table):
        return
    apart = [name for name in dict.fromkeys((*factor_columns(table), *NEVER_POOLED, *by, label)) if name in table]
    cells = group_cells(table, apart, asked.include)
    table = whole_tails(table, cells)
    experiment = source.label.rpartition("/")[0].rpartition("/")[2]
    begins = _begins(source, table, cells, label)
    for cell in cells:
        at = dict(cell.factors)
        name = at.pop(label, "")
        begun = begins[name]
        if label not in table:
            name = _called(member, source, begun, label)
        # A column that an older set has not yet is blank in it: that says nothing, and tells nothing apart.
        at = {name: value for name, value in at.items() if value or name not in NEVER_POOLED}
        key = tuple((at | {_EXPERIMENT: experiment}).items())
        for metric in metrics:
            estimate = stats.estimate(table.floats(metric)[cell.valid])
            if estimate.median is not None:
                called, figures = member.name or name or begun, (estimate.median, estimate.n, estimate.interval)
                yield (metric, cell.case, key), Moment(called, begun, source.label, *figures)


def _begins(source: Source, table: Table, cells: Sequence[SummaryCell], label: str) -> dict[str, str]:
    """When each set was begun that a table holds, by its name in the column `label`; without one, as ""."""
    if label not in table:
        # Of every run, for all cells of a set are one moment, whichever of its runs were first or are asked for.
        return {"": _begun(source, source.table, np.arange(len(source.table)))}
    rows: dict[str, list[npt.NDArray[np.intp]]] = {}
    for cell in cells:
        rows.setdefault(dict(cell.factors).get(label, ""), []).append(cell.rows)
    return {name: _begun(source, table, np.concatenate(some)) for name, some in rows.items()}


def _called(member: Member, source: Source, begun: str, label: str) -> str:
    """A set's commit, or the minute when it was begun; its own name where nothing tells."""
    if label == COMMIT:
        commit = (member.manifest or {}).get("commit")
        if isinstance(commit, str):
            return commit[:10]
    return begun[:16].replace("T", " ") or source.label


def _begun(source: Source, table: Table, rows: npt.NDArray[np.intp]) -> str:
    """When the first of these runs began, or their set by its name; "" where neither tells."""
    column = table["started_utc"] if "started_utc" in table else Texts.of([])
    if isinstance(column, Texts) and len(column) and (times := sorted(filter(None, column.take(rows).distinct()))):
        return times[0]
    if match := _STAMP.search(source.label):
        year, month, day, hour, minute, second = match.groups()
        return f"{year}-{month}-{day}T{hour}:{minute}:{second}Z"
    return ""


def _ordered(moments: Sequence[Moment], *, by_name: bool) -> list[Moment]:
    """By time, where all tell it; with by_name first by what they are called, numbers within by their size."""
    dated = all(moment.begun for moment in moments)
    times = sorted(moments, key=lambda moment: moment.begun) if dated else list(moments)
    return sorted(times, key=lambda moment: natural(moment.label)) if by_name else times


def natural(text: str) -> list[tuple[int, str]]:
    """A key to sort names by: 6.9 before 6.12, and 7.3-rc1 and 7.3~rc1 before 7.3."""
    parts = _DIGITS.split(text)
    return [(int(part), "") if part.isdecimal() else (-2 if _BEFORE.match(part) else -1, part) for part in parts]


def _told_apart(keys: Sequence[_Key]) -> tuple[set[str], Factors]:
    """The columns that tell histories apart, and the value of each that is the same in all and no one expects."""
    apart = [dict(factors) for _, _, factors in keys]
    names = list(dict.fromkeys(name for factors in apart for name in factors))
    varied = {name for name in names if len({factors.get(name) for factors in apart}) > 1}
    for name in NEVER_POOLED:
        # Mostly the consequence of a factor or of the case, which say it already.
        rest = varied - {name}
        if len({(*key[:2], *(dict(key[2]).get(other) for other in rest)) for key in keys}) == len(keys):
            varied = rest
    common = [name for name in names if name not in varied and name not in NEVER_POOLED and apart[0].get(name)]
    return varied, tuple((name, apart[0][name]) for name in common)
