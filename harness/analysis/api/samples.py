"""Raw samples of many runs with memory for the columns asked for: sizes from the footers, then filled in place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.api.tables import LoadedSet
from harness.errors import InputError
from harness.store import ResultSet


class RunSamples(NamedTuple):
    """The samples of one run: the set it is of, its id, and a frame with the columns asked for."""

    set: str
    run_id: str
    samples: pd.DataFrame


@dataclass(frozen=True)
class Sampled:
    """A run that has samples: how many, and in which columns."""

    name: str
    results: ResultSet
    run_id: str
    count: int
    columns: tuple[str, ...]

    def read(self, names: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
        """The named columns. Raises InputError when they cannot be read."""
        unknown = [name for name in names if name not in self.columns]
        if unknown:
            todo = f"there are: {', '.join(self.columns)}"
            raise InputError(
                "read samples", on=f"run {self.run_id}, column {unknown[0]}", got="there is no such column", todo=todo
            )
        arrays = self.results.sample_columns(self.run_id, list(names))
        if arrays is None:
            raise InputError("read samples", on=f"run {self.run_id}", got=self.results.warnings[-1])
        return arrays


def chosen(parts: Sequence[LoadedSet], runs: pd.DataFrame | Iterable[str] | None) -> list[Sampled]:
    """The runs asked for, in that order, leaving out those without samples. Raises InputError for unknown ids."""
    there = {(part.name, run): part.results for part in parts for run in part.run_ids()}
    if isinstance(runs, pd.DataFrame):
        sets = runs["set"].astype(str) if "set" in runs.columns else [parts[0].name] * len(runs)
        keys = list(zip(sets, runs["run_id"].astype(str), strict=True))
    elif runs is None:
        keys = list(there)
    else:
        by_id: dict[str, list[tuple[str, str]]] = {}
        for key in there:
            by_id.setdefault(key[1], []).append(key)
        keys = [key for run in map(str, runs) for key in by_id.get(run, [("", run)])]
    sampled = []
    for key in keys:
        if key not in there:
            raise InputError("read samples", on=f"run {key[1]}", got="there is no such run")
        results = there[key]
        shape = results.sample_shape(key[1]) if results is not None else None
        if results is not None and shape is not None and shape[0]:
            sampled.append(Sampled(key[0], results, key[1], *shape))
    return sampled


def together(runs: Sequence[Sampled], columns: Sequence[str] | None) -> pd.DataFrame:
    """The samples of these runs as one frame; `set` and `run_id` as categories of one to four bytes a row."""
    names = _all_columns(runs) if columns is None else list(dict.fromkeys(map(str, columns)))
    data = [name for name in names if name not in _LABELS]
    counts = np.array([run.count for run in runs], dtype=np.int64)
    arrays = {name: np.empty(int(counts.sum()), dtype=np.int64) for name in data}
    end = 0
    for run in runs if data else ():
        for name, values in run.read(data).items():
            arrays[name][end : end + run.count] = values
        end += run.count
    return pd.DataFrame(
        {name: arrays[name] if name in arrays else _labels(name, runs, counts) for name in names}, copy=False
    )


_LABELS = ("set", "run_id")


def _all_columns(runs: Sequence[Sampled]) -> list[str]:
    """The labels, and the columns that every run has."""
    common = list(runs[0].columns) if runs else ["intended_ns", "latency_ns"]
    return [*_LABELS, *(name for name in common if all(name in run.columns for run in runs))]


def _labels(name: str, runs: Sequence[Sampled], counts: npt.NDArray[np.int64]) -> object:
    labels = [run.name if name == "set" else run.run_id for run in runs]
    categories = list(dict.fromkeys(labels))
    place = {label: at for at, label in enumerate(categories)}
    size = np.int8 if len(categories) < 1 << 7 else np.int16 if len(categories) < 1 << 15 else np.int32
    codes = np.repeat(np.array([place[label] for label in labels], dtype=size), counts)
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(categories), validate=False)
