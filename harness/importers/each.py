"""What formats with one run per file share: every file is read or has a finding, and names cases by file name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePath

from harness.importers.files import Files, Line, SourceFile, looks_binary, plain
from harness.importers.model import Head, ImportedRun, Options, Reading

_REPETITION = re.compile(r"(.+?)[-_.](\d{1,6})")
_SUFFIXES = (".out", ".txt", ".log", ".csv", ".json", ".hlog", ".hgrm")

Note = Callable[[int, str], None]
"""Add a finding about the file at hand: line (0 for the whole) and text."""

Parse = Callable[[ImportedRun, Iterator[Line], Note], "list[ImportedRun] | None"]
"""Fill a run from a file's lines; leaves `metrics` empty when the file is not of the format.

Further results in the same file are returned as further runs, made by `another`.
"""


def read_each(
    files: Files,
    options: Options,
    reading: Reading,
    parse: Parse,
    sniff: Callable[[Head], bool],
    *,
    in_lines: bool = True,
) -> Reading:
    """One run per file. A file without numbers is a failed run with its reason, and a finding.

    in_lines: a line counts once it has its end; False for formats that tell by themselves where they are cut.

    Beside results, directories hold scripts and notes: a file whose ending no result has, and that does not look
    like one, is left out with a finding.
    """
    blocks: dict[str, set[int]] = {}
    for name, why in files.skipped:
        reading.note(name, 0, why)
    for file in files.files:
        ending = PurePath(file.name).suffix
        if ending and ending not in _SUFFIXES and not sniff(Head(file.head(), file.name)):
            reading.note(file.name, 0, "it does not look like a result; it is left out")
            continue
        run = named(file, options, blocks)
        reading.runs.append(run)

        def note(line: int, text: str, file: SourceFile = file) -> None:
            reading.note(file.name, line, plain(text))

        if not file.bytes:
            run.fail(f"{file.name}: it is empty")
            note(0, "it is empty")
            continue
        more: list[ImportedRun] = []
        broken: list[int] = []
        try:
            more = parse(run, checked(file.lines(), note, broken if in_lines else None), note) or []
        except OSError as error:
            note(0, error.strerror or str(error))
        if broken:
            # The result it is in is the last of the file.
            (more or [run])[-1].doubt(f"{file.name}: it ends inside line {broken[0]}")
        for extra in more:
            extra.block = _next(blocks, extra.case, 0)
            reading.runs.append(extra)
        if not any(value is not None for value in run.metrics.values()) and run.verdict == "valid":
            note(0, "it holds no result of this format")
            run.fail(f"{file.name}: it holds no result")
    return reading


def another(run: ImportedRun, number: int, case: str = "") -> ImportedRun:
    """A further run from the same file: the `number`th, of another case where one is named."""
    made = ImportedRun(f"{run.key}#{number}", case or run.case, environment={"place": "elsewhere"})
    made.files = list(run.files)
    return made


def named(file: SourceFile, options: Options, blocks: dict[str, set[int]]) -> ImportedRun:
    """A run named after its file: CASE-3.txt is the third run of CASE; without a number, or twice, they count up."""
    folder, _, stem = file.name.rpartition("/")
    for suffix in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    found = _REPETITION.fullmatch(stem)
    stem, block = (found[1], int(found[2])) if found else (stem or file.name, 0)
    case = f"{folder}/{stem}" if folder else stem
    if options.case:
        case, block = plain(options.case), 0
    block = _next(blocks, case, block)
    return ImportedRun(file.name, case, block, environment={"place": "elsewhere"}, files=[file.name])


def _next(blocks: dict[str, set[int]], case: str, wanted: int) -> int:
    """The block wanted, or one after all others when it is taken or none is wanted."""
    taken = blocks.setdefault(case, set())
    block = wanted if wanted and wanted not in taken else max(taken, default=0) + 1
    taken.add(block)
    return block


def checked(lines: Iterator[Line], note: Note, broken: list[int] | None = None) -> Iterator[Line]:
    """The lines, with one finding for the first that is cut and the first that holds no text.

    broken: gets the number of a last line without its end, which is left out: of 200025 only 20 may have been written.
    None takes it as it is.
    """
    seen = set()
    for line in lines:
        if not line.ended and broken is not None:
            broken.append(line.number)
            note(line.number, "the file ends inside this line, which is left out")
            continue
        if line.cut and "cut" not in seen:
            seen.add("cut")
            note(line.number, "the line is too long; its end is left out")
        if "binary" not in seen and looks_binary(line.text):
            seen.add("binary")
            note(line.number, "there are bytes in it that are no text")
        yield line
