"""Releases beside each other: what sets of several experiments have of each, and how it differs from the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from harness.analysis.compare import Comparison, Factors, Options, compare_cases, compare_sources
from harness.analysis.compare.sources import pivot
from harness.analysis.trend import Trend, trend
from harness.analysis.trend.gather import Asked, Member, natural
from harness.tables.frames import CellKey
from harness.tables.reading.roles import OF_CASE
from harness.tables.source import Source

_RELEASE = "release"


@dataclass(frozen=True)
class Release:
    """A release: the runs of each experiment under it, by the experiment's name, and all of them as one source.

    against: the release before it, "" of the first; comparison: with that.
    """

    label: str
    parts: dict[str, Source]
    whole: Source
    against: str = ""
    comparison: Comparison | None = None


def releases(sets: Sequence[tuple[str, Source]], factor: str, metrics: tuple[str, ...] | None = None) -> list[Release]:
    """The releases that sets of runs have in their column `factor`, 6.9 before 6.12 and 7.3-rc1 before 7.3.

    sets: of each experiment by its name, oldest first; of a release that several have the newest counts. All cells of a
    release are compared with those of the one before as one family. Raises InputError.
    """
    parts: dict[str, dict[str, Source]] = {}
    for experiment, source in sets:
        for label, runs in source.runs.groupby(factor, sort=False):
            rest, planned = runs.drop(columns=factor).reset_index(drop=True), _planned(source, factor, str(label))
            parts.setdefault(str(label), {})[experiment] = replace(source, runs=rest, planned=planned)
    made: list[Release] = []
    for label in sorted(parts, key=natural):
        release = Release(label, parts[label], _whole(label, parts[label]))
        if made:
            release = replace(release, against=made[-1].label, comparison=_compared(made[-1], release, metrics))
        made.append(release)
    return made


def _planned(source: Source, factor: str, label: str) -> dict[CellKey, int]:
    """The planned cells of one release, without the factor that tells it: those of others are no part of it."""
    return {
        (case, tuple(pair for pair in factors if pair[0] != factor)): count
        for (case, factors), count in source.planned.items()
        if dict(factors).get(factor, label) == label
    }


def history(made: Sequence[Release], metrics: tuple[str, ...] | None = None) -> Trend:
    """Every cell over the releases, and the changes of level that so many of them allow to claim."""
    members = [Member(replace(one.whole, runs=_named(one))) for one in made]
    view = trend(members, Asked(metrics=metrics, label=_RELEASE))
    return replace(view, histories=tuple(replace(one, factors=_given(one.factors)) for one in view.histories))


def _compared(last: Release, release: Release, metrics: tuple[str, ...] | None) -> Comparison:
    """A release with the last one; where every set has runs of both, which took turns, paired by block."""
    options = Options(metrics=metrics)
    if _origins(last) != _origins(release):
        changes = compare_sources([last.whole, release.whole], options)
        return replace(changes, rows=tuple(replace(row, factors=_given(row.factors)) for row in changes.rows))
    both = replace(release.whole, runs=pd.concat([_named(last), _named(release)], ignore_index=True))
    source, baseline = pivot(both, f"{_RELEASE}={last.label}")
    return _as_sets(compare_cases(source, baseline, options), (last.label, release.label))


def _as_sets(changes: Comparison, labels: Sequence[str]) -> Comparison:
    """The comparison of a factor's values as one of two sets, with the cells of either."""
    rows = []
    for row in changes.rows:
        factors = dict(row.factors)
        rows.append(replace(row, case=factors.pop(OF_CASE), factors=_given(tuple(factors.items()))))
    inputs = tuple(
        replace(side, letter=letter, label=label)
        for letter, label, side in zip("AB", labels, changes.inputs, strict=True)
    )
    return replace(changes, kind="sets", inputs=inputs, rows=tuple(rows))


def _given(factors: Factors) -> Factors:
    """Those factors that the experiment of a cell has."""
    return tuple(item for item in factors if item[1])


def _origins(release: Release) -> dict[str, str]:
    return {name: part.label for name, part in release.parts.items()}


def _named(release: Release) -> pd.DataFrame:
    return release.whole.runs.assign(**{_RELEASE: release.label})


def _whole(label: str, parts: dict[str, Source]) -> Source:
    """The runs of all experiments, whose cases are called EXPERIMENT/CASE."""
    tables = [source.runs.assign(case=f"{name}/" + source.runs["case"]) for name, source in parts.items()]
    # Claims of these runs have a share of what may be wrong.
    claims = {name: True for source in parts.values() for name in (source.plan.get("document") or {}).get("claims", ())}
    return Source(label, pd.concat(tables, ignore_index=True), plan={"document": {"claims": claims}})
