"""Foreign files to a result set on disk: in the layout of our own, with a manifest that names the source."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import InputError
from harness.formats import Head, load_formats
from harness.formats.text import plain
from harness.importers.files import SourceFiles, gather
from harness.importers.irqsuspend import IrqSuspend
from harness.importers.model import ImportedRun, ImportedRuns, Importer, ImportFinding, ImportOptions
from harness.importers.single_files import SingleFiles
from harness.store import ResultSet, RunRecord
from harness.tables import to_csv, write_tables

# A campaign knows its files by their names, whatever is in them, and so is asked first.
_ALL: tuple[Importer, ...] = (IrqSuspend(), *map(SingleFiles, load_formats().values()))
FORMATS: dict[str, Importer] = {importer.name: importer for importer in _ALL}
"""Every format by the name the user types, in the order in which they are tried."""

AUTO = "auto"
_SNIFFED = 50
FINDINGS = "imports.csv"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._+-]+")


def choose_format(name: str, files: SourceFiles) -> Importer:
    """The format of that name; for "auto" the one that most of the first files look like. Raises InputError."""
    return _chosen(name, files)[0]


def _chosen(name: str, files: SourceFiles) -> tuple[Importer, str]:
    """The format, and for "auto" why it is that one."""
    if name in FORMATS:
        return FORMATS[name], ""
    if name != AUTO:
        close = difflib.get_close_matches(name, [*FORMATS, AUTO], n=1)
        todo = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(FORMATS)}, and auto"
        raise InputError("import", on=f"format {name!r}", got="there is no such format", todo=todo)
    votes: dict[str, int] = {}
    tried = files.files[:_SNIFFED]
    for file in tried:
        head = Head(file.head(), file.stem())
        looks = next((importer.name for importer in FORMATS.values() if importer.sniff(head)), "")
        votes[looks] = votes.get(looks, 0) + 1
    ranked = sorted((looks for looks in votes if looks), key=lambda looks: -votes[looks])
    if not ranked:
        got, todo = "no file looks like a format that is known", f"name one of {', '.join(FORMATS)}"
        raise InputError("import", on=str(files.root), got=got, todo=todo)
    best, *others = ranked
    others += [""] if "" in votes else []
    more = [f"{votes[looks]} like {looks or 'none that is known'}" for looks in others]
    first = "the first " if len(files.files) > len(tried) else ""
    why = f"{votes[best]} of {first}{len(tried)} files look like it" if len(tried) > 1 else "the file looks like it"
    return FORMATS[best], "; ".join([why, *more])


@dataclass(frozen=True)
class Imported:
    """What became of an import. format: the one that was found or named; why: what told it, where it was not named."""

    results: ResultSet
    format: str
    reading: ImportedRuns
    why: str = ""


@dataclass(frozen=True)
class _Plan:
    """A plan as the store sees it, made from what was found: which cells there are, and their runs."""

    name: str
    description: str
    ids: tuple[str, ...]
    runs: tuple[ImportedRun, ...]

    @property
    def plan_hash(self) -> str:
        return _digest([self.name, *self.ids], 64)

    def to_json(self) -> dict[str, Any]:
        cells: dict[str, dict[str, Any]] = {}
        runs: list[dict[str, Any]] = []
        for run_id, run in zip(self.ids, self.runs, strict=True):
            cell_id = _digest([run.case, run.factors], 12)
            cells.setdefault(cell_id, {"cell_id": cell_id, "case": run.case, "factors": run.factors})
            runs.append({"run_id": run_id, "cell_id": cell_id, "block": run.block, "order": len(runs)})
        return {
            "name": self.name,
            "description": self.description,
            "imported": True,
            "plan_hash": self.plan_hash,
            "cells": list(cells.values()),
            "runs": runs,
        }


def import_results(
    format_name: str,
    path: str | Path,
    base_dir: str | Path,
    stamp: str,
    *,
    name: str = "",
    options: ImportOptions | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Imported:
    """Read foreign files and write base_dir/NAME/STAMP.

    name: of the set, default after the path. Whatever is odd in the files is a finding (imports.csv) and never
    an error. Raises InputError when there is no such path or format, or not a single run; PollbenchError when
    the disk refuses.
    """
    files = gather(path)
    chosen, why = _chosen(format_name, files)
    options = options or ImportOptions()
    reading = chosen.read(files, options)
    if not reading.runs:
        first = "".join(f" ({finding.file}: {finding.text})" for finding in reading.findings[:1])
        todo = "`pollbench import --list` says what each format reads"
        raise InputError(f"import {chosen.name}", on=str(path), got=f"there is no run in it{first}", todo=todo)
    whole = Path(path).resolve()
    name = name or _NOT_IN_A_NAME.sub("-", whole.name if whole.is_dir() else whole.stem).strip("-.") or chosen.name
    results = _write(files, chosen, options, reading, (Path(base_dir), name, stamp), manifest or {})
    return Imported(results, chosen.name, reading, why)


def _write(
    files: SourceFiles,
    chosen: Importer,
    options: ImportOptions,
    reading: ImportedRuns,
    where: tuple[Path, str, str],
    manifest: Mapping[str, Any],
) -> ResultSet:
    base_dir, name, stamp = where
    ids = _run_ids(chosen.name, reading.runs)
    plan = _Plan(name, f"Imported from {chosen.name} output", ids, tuple(reading.runs))
    document = dict(manifest) | {"import": _origin(files, chosen, options, reading)}
    experiment = b"# There is no experiment file: these runs were imported; manifest.json says from what.\n"
    results = ResultSet.create(base_dir, name, stamp, experiment, plan, document)
    for order, (run_id, run) in enumerate(zip(ids, reading.runs, strict=True)):
        results.save_run(_record(run_id, order, run), run.samples)
    for table, data in reading.tables.items():
        results.write_file(table, data)
    results.write_file(FINDINGS, to_csv(findings_frame([*reading.findings, *reading.unused])))
    write_tables(results)
    return results


def _run_ids(format_name: str, runs: list[ImportedRun]) -> tuple[str, ...]:
    """Ids that the same files always get; file names that print alike are told apart by their order."""
    ids: dict[str, None] = {}
    for run in runs:
        parts: list[Any] = [format_name, run.key]
        while (run_id := _digest(parts, 12)) in ids:
            parts.append("again")
        ids[run_id] = None
    return tuple(ids)


def _origin(files: SourceFiles, chosen: Importer, options: ImportOptions, reading: ImportedRuns) -> dict[str, Any]:
    """The manifest's account: source, format, what was said and assumed, and every file with its hash."""
    listed = []
    for file in files.files:
        try:
            digest = file.sha256()
        except OSError as error:
            reading.note(file.name, 0, f"cannot be hashed: {error.strerror or error}")
            digest = ""
        listed.append({"name": file.name, "bytes": file.bytes, "sha256": digest})
    return {
        "format": chosen.name,
        "source": plain(str(files.root.resolve()), 1000),
        "options": {key: value for key, value in vars(options).items() if value},
        "conversions": reading.conversions,
        "findings": len(reading.findings),
        "unused": len(reading.unused),
        "first_findings": [f"{finding.file}: {finding.text}" for finding in reading.findings[:3]],
        "files": listed,
    }


def _record(run_id: str, order: int, run: ImportedRun) -> RunRecord:
    """The run record; `order` is the place in the import, for when runs were made is seldom known."""
    return RunRecord(
        run_id=run_id,
        case=run.case,
        verdict=run.verdict,
        factors=dict(run.factors),
        block=run.block,
        order=order,
        started_utc=run.started_utc,
        reasons=tuple(plain(reason, 500) for reason in run.reasons),
        environment={**run.environment},
        workload={**run.workload},
        metrics={**run.metrics},
        nodes=run.nodes,
        cpus={cpu: {**shares} for cpu, shares in run.cpus.items()},
        knobs=tuple(run.knobs),
        source_files=tuple(run.files),
    )


def findings_frame(findings: list[ImportFinding]) -> pd.DataFrame:
    """imports.csv: one row per finding, file by file; then what was not used."""
    return pd.DataFrame(
        {
            "file": pd.array([finding.file for finding in findings], dtype="str"),
            "line": pd.array([finding.line or None for finding in findings], dtype="float64"),
            "finding": pd.array([finding.text for finding in findings], dtype="str"),
        }
    )


def _digest(parts: list[Any], length: int) -> str:
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:length]
