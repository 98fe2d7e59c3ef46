"""`pollbench import`: a result set from other programs' raw output; any OS, no root."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from harness.errors import EXIT_NOT_VALID, EXIT_OK, InputError
from harness.importers import FORMATS, Imported, ImportOptions, import_results
from harness.units import counted

_SHOWN = 5


def import_(arguments: argparse.Namespace) -> int:
    """Import a file or directory, and say what came of it; or list the formats."""
    if arguments.list:
        for listed in FORMATS.values():
            known = [("tried with", listed.tried), ("never known", listed.unknown)]
            parts = [listed.title, *(f"{label}: {text}" for label, text in known if text)]
            print(f"{listed.name:<16}{'; '.join(parts)}")
        print(f"{'auto':<16}whichever of these most of the files look like")
        return EXIT_OK
    if arguments.format is None or arguments.path is None:
        todo = "for example: pollbench import sockperf results/; formats: pollbench import --list"
        raise InputError("import", got="a FORMAT and a PATH are needed", todo=todo)
    source, output, stamp = arguments.path, arguments.output, datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    options = ImportOptions(case=arguments.case, compat=arguments.compat, unit=arguments.unit, basis=arguments.basis)
    name, manifest = arguments.name, {"command": sys.argv}
    done = import_results(arguments.format, source, output, stamp, name=name, options=options, manifest=manifest)
    _report(done)
    return EXIT_OK if any(run.verdict == "valid" for run in done.reading.runs) else EXIT_NOT_VALID


def _report(done: Imported) -> None:
    """Runs by verdict, every conversion, the first findings, and where it all is."""
    runs = done.reading.runs
    verdicts = {verdict: sum(run.verdict == verdict for run in runs) for verdict in ("valid", "suspect", "failed")}
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items() if count)
    cases = len({(run.case, *run.factors.values()) for run in runs})
    if done.why:
        print(f"auto: {done.format}, for {done.why}")
    print(f"{done.format}: {counted(len(runs), 'run')} in {counted(cases, 'cell')}, {counts}")
    for text in done.reading.conversions:
        print(f"  {text}")
    if table := done.reading.tables.get("published.txt"):
        print(f"\n{table.decode()}", end="")
    findings = done.reading.findings
    if findings:
        more = "; the first" if len(findings) > _SHOWN else ""
        print(f"\n{counted(len(findings), 'finding')}, in imports.csv{more}:", file=sys.stderr)
    for finding in findings[:_SHOWN]:
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        print(f"  {place}: {finding.text}", file=sys.stderr)
    if unused := len(done.reading.unused):
        rows = counted(unused, "row")
        print(f"figures without a place in the set: {rows} 'not used' in imports.csv", file=sys.stderr)
    print(f"results: {done.results.path}", file=sys.stderr)
