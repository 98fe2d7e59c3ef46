"""Where runs come from: a result set or a CSV file, read into one value with everything known about it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.tables.cells import summary_frame
from harness.tables.columnar import Table, table_of
from harness.tables.csvin import repaired
from harness.tables.csvout import to_csv
from harness.tables.frames import CellKey, Tables, cell_key, frames
from harness.tables.reading.account import Mapping as Columns
from harness.tables.reading.account import Reading
from harness.tables.reading.table import read, with_cases_renamed

if TYPE_CHECKING:
    import pandas as pd

    from harness.store import ResultSet


ALL_SHARES = "all"
"""The share of a set that was merged of shares."""


class _Runs:
    """The runs of a source as pandas has them, which is loaded where somebody asks for that."""

    def __get__(self, source: Source | None, owner: type[Source]) -> pd.DataFrame:
        if source is None:
            raise AttributeError("a source has runs, its class has none")
        runs = vars(source)["_runs"]
        if isinstance(runs, Table):
            vars(source)["table"] = runs
            runs = vars(source)["_runs"] = runs.frame()
        return runs

    def __set__(self, source: Source, runs: Table | pd.DataFrame) -> None:
        vars(source)["_runs"] = runs


@dataclass(frozen=True)
class Source:
    """Runs and what is known about them.

    label: what tables call it; runs: given as pandas has them, or as a Table; planned: how many runs of each cell the
    plan holds, empty when unknown; knobs: the knobs table, None for a CSV file; warnings: what was damaged or partial,
    in words. reading: how the columns of a CSV file were read, None for a set. phases, queues: as in
    phases.csv and queues.csv.
    """

    label: str
    runs: _Runs = _Runs()
    knobs: pd.DataFrame | None = None
    planned: dict[CellKey, int] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    reading: Reading | None = None
    phases: pd.DataFrame | None = None
    queues: pd.DataFrame | None = None

    @property
    def share(self) -> str:
        """Which share of its plan it is, as "1/2"; ALL_SHARES of what was merged of such, "" of any other."""
        share = self.manifest.get("share")
        if isinstance(share, dict):
            return f"{share.get('number')}/{share.get('of')}"
        return ALL_SHARES if "merged" in self.manifest else ""

    @cached_property
    def table(self) -> Table:
        """The runs as a Table, for whatever does without pandas."""
        return table_of(vars(self)["_runs"])


def load_source(path: str | Path, typed: Columns | None = None) -> Source:
    """A result set's directory, an experiment's directory (its newest set), or a CSV file of runs.

    typed: what the user says of the columns of a CSV file. Raises InputError when it is none of these, or cannot be
    read.
    """
    path, typed = Path(path), typed or Columns()
    results = find_set(path)
    if results is not None:
        source = from_set(results)
        runs, _ = with_cases_renamed(source.table, typed.rename, source.label)
        return source if runs is source.table else replace(source, runs=runs)
    runs, reading = read(path / "runs.csv" if path.is_dir() else path, typed)
    runs, repairs = repaired(runs, reading)
    plan = _experiment_beside(path) if path.is_dir() else {}
    warnings = tuple(f"in {path.name}, {text}" for text in repairs)
    return Source(str(path), runs, plan=plan, warnings=warnings, reading=reading)


def counting(source: Source, verdicts: Collection[str]) -> Source:
    """The source with runs of these verdicts counted as valid ones, and a warning that says so."""
    if not verdicts or "verdict" not in source.table:
        return source
    runs = source.runs.copy()
    here = runs["verdict"].isin(list(verdicts))
    count = int(here.sum())
    runs["verdict"] = runs["verdict"].where(~here, "valid")
    text = f"{count} {' or '.join(verdicts)} run{'' if count == 1 else 's'} counted as valid, as asked by --include"
    return replace(source, runs=runs, warnings=(text, *source.warnings)) if count else source


def _experiment_beside(directory: Path) -> dict[str, Any]:
    """Name, description and document of the experiment file beside a runs.csv; {} where it cannot be read."""
    # Imported here: a CSV file alone needs none of it.
    from harness.spec.yaml_tree import read_file

    try:
        _, tree = read_file(directory / "experiment.yaml")
    except InputError:
        return {}
    document = tree.plain()
    if not isinstance(document, dict):
        return {}
    return {key: document.get(key, "") for key in ("name", "description")} | {"document": document}


def find_set(path: str | Path) -> ResultSet | None:
    """The result set at `path`, or the newest one of an experiment's directory, or of a directory of these.

    None where a CSV file stands for it.

    Raises InputError when there is neither.
    """
    path = Path(path)
    if not path.is_dir():
        if not path.exists():
            raise InputError("read results", on=str(path), got="there is no such file or directory")
        return None
    # Imported here: a CSV file needs none of it.
    from harness.store import ResultSet

    if not (path / "runs").is_dir():
        newest = ResultSet.latest(path.resolve().parent, path.resolve().name)
        if newest is not None or (path / "runs.csv").is_file():
            return newest
        # Where `-o` points to: the directories of several experiments.
        sets = [ResultSet.latest(path, inner.name) for inner in sorted(path.iterdir()) if inner.is_dir()]
        if there := [results for results in sets if results is not None]:
            return max(there, key=lambda results: results.path.name)
    return ResultSet.open(path)


def sets_below(path: Path) -> list[Path]:
    """Every result set in a directory and below it, and a CSV file itself; sorted. InputError where there is none."""
    if not path.exists():
        raise InputError("read results", on=str(path), got="there is no such file or directory")
    if not path.is_dir():
        return [path]
    sets = []
    for directory, inner, files in os.walk(path):
        if "runs.csv" in files or ("plan.json" in files and "runs" in inner):
            sets.append(Path(directory))
            inner.clear()
    if not sets:
        raise InputError("read results", on=str(path), got="there is no result set in it or below it")
    return sorted(sets)


def load_runs_of(path: Path, typed: Columns) -> Source:
    """The runs of a set by its runs.csv where there is one, which is quicker than reading every run; or a CSV file.

    Nothing is known of its plan then. Raises InputError.
    """
    table = path / "runs.csv"
    if not path.is_dir() or not table.is_file():
        return load_source(path, typed)
    stamped = path.resolve()
    return replace(load_source(table, typed), label=f"{stamped.parent.name}/{stamped.name}")


def from_set(results: ResultSet) -> Source:
    """Everything in a result set; whatever is damaged becomes a warning."""
    plan = results.plan
    planned = planned_cells(plan)
    tables = frames(results.records(), list(planned))
    return Source(
        label=results.name,
        runs=tables.runs,
        knobs=tables.knobs,
        planned=planned,
        manifest=results.manifest,
        plan=plan,
        warnings=(*results.warnings, *_imported(results.manifest)),
        phases=tables.phases,
        queues=tables.queues,
    )


def _imported(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """One sentence on what was odd in imported files, as a tuple of one; imports.csv of the set has it all."""
    origin = manifest.get("import")
    if not isinstance(origin, dict) or not (count := origin.get("findings")):
        return ()
    firsts = origin.get("first_findings")
    first = f"; the first: {firsts[0]}" if isinstance(firsts, list) and firsts else ""
    return (f"the imported files have {count} oddities, all in imports.csv{first}",)


def write_tables(results: ResultSet) -> Tables:
    """Write runs.csv, nodes.csv, knobs.csv, cpus.csv, summary.csv; phases.csv and queues.csv where there is any row.

    They are made from the runs on disk. Each is replaced whole or not at all. Raises PollbenchError when the disk
    refuses.
    """
    tables = frames(results.records(), list(planned_cells(results.plan)))
    for name in ("nodes", "knobs", "cpus"):
        results.write_file(f"{name}.csv", to_csv(getattr(tables, name)))
    for name in ("phases", "queues"):
        if len(table := getattr(tables, name)):
            results.write_file(f"{name}.csv", to_csv(table))
    results.write_file("summary.csv", to_csv(summary_frame(tables.runs)))
    # Last, so that whoever sees it sees the others as well.
    results.write_file("runs.csv", to_csv(tables.runs))
    return tables


def planned_cells(plan: Mapping[str, Any]) -> dict[CellKey, int]:
    """How often each cell of a plan is run, in the plan's order; empty for a plan not understood."""
    try:
        names = {cell["cell_id"]: cell_key(str(cell["case"]), dict(cell["factors"])) for cell in plan["cells"]}
        counts = dict.fromkeys(names.values(), 0)
        # A plan that adapts may end after its least number of repetitions: only those can be missing.
        least = (plan.get("adaptive") or {}).get("least")
        for run in plan["runs"]:
            if least is None or run["block"] <= least:
                counts[names[run["cell_id"] if "cell_id" in run else run["cell"]]] += 1
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    return counts
