"""Imports formats whose files stand for themselves: every file gives runs or a finding, and names their case."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from harness import stats
from harness.errors import InputError
from harness.formats import NOT_USED, Format, Head, Line, Note, Result
from harness.formats.text import looks_binary, plain
from harness.importers.files import SourceFile, SourceFiles
from harness.importers.model import MAX_FINDINGS, ImportedRun, ImportedRuns, Importer, ImportOptions

_DECIMALS = re.compile(r"\d(?:[.](\d+))?\W*$")
_REPETITION = re.compile(r"(.+?)[-_.](\d{1,6})")
_SUFFIXES = (".out", ".txt", ".log", ".csv", ".json", ".hlog", ".hgrm", ".flent")


class SingleFiles(Importer):
    """Imports one format of harness/formats/."""

    def __init__(self, file_format: Format) -> None:
        self.format = file_format
        self.name, self.title, self.one_run = file_format.name, file_format.title, file_format.one_run
        self.tried, self.unknown = file_format.tried, file_format.unknown

    def sniff(self, head: Head) -> bool:
        """Does the format take this file for its own?"""
        return self.format.sniff(head)

    def read(self, files: SourceFiles, options: ImportOptions) -> ImportedRuns:
        """One run per result. A file without results is a failed run with its reason, and a finding.

        Beside results, directories hold scripts and notes: a file whose ending no result has, and that does not look
        like one, is left out with a finding. So is a summary of a run whose every request is there as well.
        """
        if not options.unit:
            self._check_unit(files)
        reading = ImportedRuns(conversions=list(self.format.conversions_with(options)))
        blocks = _Blocks(options)
        for name, why in files.skipped:
            reading.note(name, 0, why)
        for file in files.files:
            ending = PurePath(file.stem()).suffix
            if ending and ending not in _SUFFIXES and not self.sniff(Head(file.head(), file.name)):
                reading.note(file.name, 0, "it does not look like a result; it is left out")
                continue
            for number, result in enumerate(self._results(file, reading, options), 1):
                if result.samples is not None:
                    result.metrics |= stats.summarise(result.samples["latency_ns"])
                case, block = blocks.name(file, result.tag)
                key = file.name if number == 1 else f"{file.name}#{number}"
                reading.runs.append(ImportedRun(**vars(result), key=key, case=case, block=block, files=[file.name]))
        _drop_doubles(reading)
        return reading

    def _check_unit(self, files: SourceFiles) -> None:
        for file in files.files:
            if self.format.needs_unit(Head(file.head(), file.name)):
                got, todo = "it does not say the unit of its values", "say it: --unit us (or ns, ms, s)"
                raise InputError("import a percentile table", on=file.name, got=got, todo=todo, where="--unit")

    def _results(self, file: SourceFile, reading: ImportedRuns, options: ImportOptions) -> list[Result]:
        """The results of one file; one that failed where there is none."""

        def note(line: int, text: str) -> None:
            reading.note(file.name, line, plain(text, 2000 if text.startswith(NOT_USED) else 200))

        if not file.bytes:
            note(0, "it is empty")
            return [Result(verdict="failed", reasons=[f"{file.name}: it is empty"])]
        results: list[Result] = []
        broken: list[int] = []
        rest = Rest()
        damage = ""
        try:
            lines = checked(file.lines(), note, None if self.format.tells_its_end else broken, lenient=True)
            lines = rest.of(lines, note) if self.format.accounts else lines
            results.extend(self.format.parse(lines, note, options))
            for _ in lines:
                pass
        except OSError as error:
            damage = plain(error.strerror or str(error))
            note(0, damage)
        rest.tell(note)
        results = results or [Result()]
        for result in results:
            for text in result.left_out:
                note(0, f"{NOT_USED}{text}")
        if damage:
            results[-1].doubt(f"{file.name}: {damage}")
        if broken:
            # The result it is in is the last of the file.
            results[-1].doubt(f"{file.name}: it ends inside line {broken[0]}")
        if not results[0].has_figures() and results[0].verdict == "valid":
            note(0, "it holds no result of this format")
            results[0].fail(f"{file.name}: it holds no result")
        return results


class _Blocks:
    """Names runs after their files: CASE-3.txt is the third run of CASE; without a number, or twice, they count up."""

    def __init__(self, options: ImportOptions) -> None:
        self._case = plain(options.case) if options.case else ""
        self._taken: dict[str, set[int]] = {}

    def name(self, file: SourceFile, tag: str) -> tuple[str, int]:
        """Case and block of the next result of a file."""
        folder, _, stem = file.stem().rpartition("/")
        for suffix in _SUFFIXES:
            stem = stem.removesuffix(suffix)
        match = _REPETITION.fullmatch(stem)
        stem, block = (match[1], int(match[2])) if match else (stem or file.name, 0)
        case = f"{folder}/{stem}" if folder else stem
        if self._case:
            case, block = self._case, 0
        case = f"{case} {tag}" if tag else case
        taken = self._taken.setdefault(case, set())
        block = block if block and block not in taken else max(taken, default=0) + 1
        taken.add(block)
        return case, block


class Rest:
    """The numbers of files that nobody used: one row for lines that are alike but for their digits."""

    _DIGIT = re.compile(r"\d+")

    def __init__(self) -> None:
        self._lines: dict[str, tuple[Line, Note, int]] = {}
        self._more = 0

    def of(self, lines: Iterator[Line], note: Note) -> Iterator[Line]:
        """The lines; each is looked at again when the next is asked for, by when its reader is done with it.

        note: takes the row of a line of this file, if it is the first of its kind.
        """
        for line in lines:
            yield line
            if line.unused():
                self._add(line, note)

    def _add(self, line: Line, note: Note) -> None:
        shape = self._DIGIT.sub("0", " ".join(line.text[:200].split()))
        first, its_note, count = self._lines.get(shape, (line, note, 0))
        if count or len(self._lines) < MAX_FINDINGS:
            self._lines[shape] = first, its_note, count + 1
        else:
            self._more += 1

    def tell(self, last: Note) -> None:
        """List them. last: takes how many there are beyond those that are listed."""
        for line, note, count in self._lines.values():
            alike = f" (and {count - 1:,} lines like it)" if count > 1 else ""
            numbers = ", ".join(line.unused()[:20])
            note(line.number, f"{NOT_USED}{plain(numbers, 60)} of {plain(line.text.strip(), 120)!r}{alike}")
        if self._more:
            last(0, f"{NOT_USED}numbers of {self._more:,} further lines of other kinds")


def checked(
    lines: Iterator[Line], note: Note, broken: list[int] | None = None, *, lenient: bool = False
) -> Iterator[Line]:
    """The lines, with one finding for the first that is cut and the first that holds no text.

    broken: gets the number of a last line without its end, which is left out: of 20.025 only 20 may have been written.
    lenient: only where it looks cut. None takes any last line as it is.
    """
    seen = set()
    before = ""
    for line in lines:
        if not line.ended and broken is not None and line.text:
            if not lenient or _may_be_cut(line.text, before):
                broken.append(line.number)
                note(line.number, "the file ends inside this line, which is left out")
                continue
            note(line.number, "the last line has no line end; it is taken as whole")
        before = line.text
        if line.cut and "cut" not in seen:
            seen.add("cut")
            note(line.number, "the line is too long; its end is left out")
        if "binary" not in seen and looks_binary(line.text):
            seen.add("binary")
            note(line.number, "there are bytes in it that are no text")
        yield line


def _may_be_cut(text: str, before: str) -> bool:
    """May a last line have been cut inside a number? Of a program that prints all with so many decimals, fewer say so.

    A row of fewer cells than the one before has lost its end as well.
    """
    cells = before.count(",")
    if cells >= 3 and ", " not in before and text.count(",") < cells:
        return True
    last, other = _DECIMALS.search(text), _DECIMALS.search(before)
    return last is not None and other is not None and len(last[1] or "") != len(other[1] or "")


def _drop_doubles(reading: ImportedRuns) -> None:
    """The summary of a run also heads its full log: one run, kept with its samples."""
    logs = {_fingerprint(run): run for run in reading.runs if run.samples is not None}
    kept = []
    for run in reading.runs:
        twin = logs.get(_fingerprint(run))
        if run.samples is None and twin is not None and run.metrics.get("requests"):
            reading.note(run.key, 0, f"the same run as {twin.key}, which has every request; left out")
            if twin.case == run.case:
                twin.block = min(twin.block, run.block)
        else:
            kept.append(run)
    reading.runs[:] = kept


def _fingerprint(run: ImportedRun) -> tuple[float | None, ...]:
    """What two records of the same run agree in."""
    maximum = run.metrics.get("rtt_max_us")
    counts = (run.metrics.get(name) for name in ("requests", "elapsed_s", "lost"))
    return *counts, None if maximum is None else round(maximum, 1)
