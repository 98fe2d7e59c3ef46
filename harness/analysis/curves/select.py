"""The part of a set that a figure is about: some cases, some values of factors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from harness.analysis.curves.gather import Study
from harness.errors import InputError
from harness.tables.source import Source


def narrowed(study: Study, cases: Collection[str] = (), at: Mapping[str, str] | None = None) -> Study:
    """The study with only these cases and these values of factors; nothing given keeps everything.

    Raises InputError for a case or a value that no run has.
    """
    source, levels = study.source, dict(at or {})
    keep = np.ones(len(source.runs), dtype=bool)
    if cases:
        _known("case", source, "case", cases)
        keep &= source.runs["case"].isin(list(cases)).to_numpy()
    for name, value in levels.items():
        _known(f"{name}={value}", source, name, [value])
        keep &= (source.runs[name] == value).to_numpy()
    planned = {
        key: count
        for key, count in source.planned.items()
        if (not cases or key[0] in cases)
        and all(dict(key[1]).get(name) == value for name, value in levels.items())
    }
    return replace(
        study, source=replace(source, runs=source.runs[keep].reset_index(drop=True), planned=planned)
    )


def _known(asked: str, source: Source, name: str, values: Collection[str]) -> None:
    there = [str(value) for value in source.runs[name].unique()] if name in source.runs.columns else []
    missing = [value for value in values if value not in there]
    if missing:
        todo = f"there are: {', '.join(there[:12])}" if there else "no run has such a column"
        raise InputError("choose what to draw", on=asked, got=f"no run has {missing[0]!r}", todo=todo)
