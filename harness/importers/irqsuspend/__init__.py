"""The kernel IRQ-suspension campaign's directory of KIND-QPS-TESTCASE-RUN.out files as runs of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from harness.formats import NOT_USED, Head, Line, Note
from harness.formats.text import plain, ratio
from harness.importers.files import SourceFile, SourceFiles
from harness.importers.irqsuspend.kinds import LOST, READERS
from harness.importers.irqsuspend.names import Name, Parts, load_text, natural, parse_name
from harness.importers.irqsuspend.published import published_tables
from harness.importers.model import ImportedRun, ImportedRuns, Importer, ImportOptions
from harness.importers.single_files import Rest, checked

EXPECTED = ("mutilate", "memcached", "sar", "perf", "irq", "tcp", "setup")
"""Kinds of file that every run of the campaign has; a missing one is a finding."""

MAX_SHORTFALL = 0.005
"""Suspect beyond this: what a run's rate lacks of the offered one. As `checks.max_rate_error` of runs of our own."""

MAX_LOST_SHARE = 0.001
"""Suspect beyond this share of the requests: those of one kind that were lost. Fewer are less than a tenth of what lies
beyond the 99 % quantile, the highest that the campaign has."""

_IGNORED = ("dmesg",)
_MARKER = re.compile(r"\b(?:([A-Z]{1,20}) )?FAILED\b")
# A step of the campaign's script that timed out or ended with an error, and where its harm would be seen.
_MARKED = {
    "SERVER": "the server did not answer within 30 s before the run; without it there are no figures",
    "AGENTS": "a client did not answer within 30 s before the run; mutilate waits for all of them, or gives no figures",
    "LOAD": "storing the keys before the run timed out or failed; missing keys are counted as Misses",
    "WARMUP": "the warm-up before the run timed out or failed; what is measured comes after it",
}


class IrqSuspend(Importer):
    """Reads a whole directory; several files make one run."""

    name = "irqsuspend"
    one_run = "all files of one QPS, test case and run"
    tried = "the campaign's eighth version, by look-alikes of its files"
    unknown = "the load that MAX stands for; the kernel's settings where a run has no setup file"
    title = "directory of KIND-QPS-TESTCASE-RUN.out files: mutilate, sar, perf, irq, tcp, setup, stats, poll, epoll"

    def sniff(self, head: Head) -> bool:
        """By the file's name alone: the contents are of ten kinds."""
        name = parse_name(head.name)
        return name is not None and name.kind in READERS

    def read(self, files: SourceFiles, options: ImportOptions) -> ImportedRuns:
        """Every run that any file names, in the order of the published tables."""
        published = options.compat == "published"
        reading = ImportedRuns(conversions=_conversions(published))
        for name, why in files.skipped:
            reading.note(name, 0, why)
        groups = _groups(files.files, reading)
        unused = _Unused(reading)
        for key in sorted(groups, key=natural):
            reading.runs.append(_run(groups[key], reading, unused, published))
        unused.tell()
        reading.tables |= published_tables(reading.runs)
        return reading


def _groups(
    files: Iterable[SourceFile], reading: ImportedRuns
) -> dict[tuple[str, int, str, int], list[tuple[Name, SourceFile]]]:
    groups: dict[tuple[str, int, str, int], list[tuple[Name, SourceFile]]] = {}
    for file in files:
        name = parse_name(file.stem())
        if name is None:
            reading.note(file.name, 0, "its name is not KIND-QPS-TESTCASE-RUN.out; it is left out")
        elif name.kind not in READERS:
            why = "it holds no numbers" if name.kind in _IGNORED else "its kind is not known"
            reading.note(file.name, 0, f"{why}; it is left out")
        elif any(other.kind == name.kind for other, _ in groups.get(name.key, ())):
            # Run 1 may also be written 01.
            reading.note(file.name, 0, "there is another file of this kind for this run; it is left out")
        else:
            groups.setdefault(name.key, []).append((name, file))
    return groups


class _Unused:
    """What nobody used of a campaign's files: a row for all lines of one kind of file that are alike."""

    _DIGIT = re.compile(r"\d+")

    def __init__(self, reading: ImportedRuns) -> None:
        self._reading = reading
        self._rest = {kind: Rest() for kind in READERS}
        self._listed: set[str] = set()

    def of(self, name: Name, file: SourceFile, lines: Iterator[Line]) -> Iterator[Line]:
        """The lines of a file; what its reader leaves of them is a row of this file, if no file had such a line."""
        return self._rest[name.kind].of(lines, lambda line, text: self._reading.note(file.name, line, plain(text)))

    def is_new(self, kind: str, text: str) -> bool:
        """Did no file of this kind say so before, but for the digits?"""
        key = f"{kind} {self._DIGIT.sub('0', text)}"
        known = key in self._listed
        self._listed.add(key)
        return not known

    def tell(self) -> None:
        """List them."""
        for kind, rest in self._rest.items():
            rest.tell(lambda line, text, kind=kind: self._reading.note(kind, line, text))


def _run(
    members: list[tuple[Name, SourceFile]], reading: ImportedRuns, unused: _Unused, published: bool
) -> ImportedRun:
    first = members[0][0]
    run = ImportedRun(
        key="/".join(map(str, first.key)),
        case=f"{first.folder}/{first.case}" if first.folder else first.case,
        # Runs are numbered from 0 there and blocks from 1 here.
        block=first.run + 1,
        factors={"load": load_text(first.qps)},
        environment={"latency_basis": "rtt"},
        workload={"kind": "memcached", "protocol": "tcp", "from": "clients", "to": "server"},
        files=[file.name for _, file in members],
    )
    parts = Parts(run, offered=first.qps)
    for name, file in members:
        _read_kind(name, file, parts, reading, unused)
    there = {name.kind for name, _ in members}
    for kind in EXPECTED:
        if kind not in there:
            reading.note(f"{kind}-{first.label}", 0, "there is no such file; what it holds is blank in the run")
    parts.finish(published)
    _judge(run, parts, published)
    return run


def _read_kind(name: Name, file: SourceFile, parts: Parts, reading: ImportedRuns, unused: _Unused) -> None:
    def note(line: int, text: str) -> None:
        if not text.startswith(NOT_USED) or unused.is_new(name.kind, text):
            reading.note(file.name, line, plain(text))

    if not file.bytes:
        note(0, "it is empty")
        return
    broken: list[int] = []
    try:
        lines = unused.of(name, file, checked(file.lines(), note, broken))
        READERS[name.kind](_without_markers(lines, parts, note), parts, note)
    except OSError as error:
        note(0, error.strerror or str(error))
    parts.broken += [f"{file.name} ends inside line {line}" for line in broken]


def _without_markers(lines: Iterator[Line], parts: Parts, note: Note) -> Iterator[Line]:
    """The lines, but for the campaign's own "... FAILED" markers: findings, and words beside what went wrong."""
    for line in lines:
        marker = _MARKER.search(line.text) if "FAILED" in line.text else None
        if marker is None:
            yield line
            continue
        parts.markers.append(marker[0])
        meaning = f" ({_MARKED[marker[1]]})" if marker[1] in _MARKED else ""
        note(line.number, f"the campaign marked the run: {marker[0]}{meaning}")


def _judge(run: ImportedRun, parts: Parts, published: bool) -> None:
    """Failed without the load generator's numbers; suspect where harm shows in them, whatever the campaign marked.

    With --compat published runs count as the published tables counted them: whenever there are numbers.
    """
    marks = f" (marked {', '.join(dict.fromkeys(parts.markers))})" if parts.markers else ""
    if run.metrics.get("rate_rps") is None or run.metrics.get("rtt_mean_us") is None:
        run.fail(f"mutilate gave no Total QPS or no read row{marks}")
    elif not published:
        for harm in _harms(parts):
            run.doubt(harm + marks)
    for reason in parts.broken:
        run.doubt(reason)


def _harms(parts: Parts) -> Iterator[str]:
    """What makes the figures others than those of the offered load, with its size."""
    rate = parts.run.metrics.get("rate_rps") or 0.0
    short = 1 - rate / parts.offered if parts.offered else 0.0
    if short > MAX_SHORTFALL:
        yield (
            f"{rate:,.0f} of the {parts.offered:,} requests offered per second were answered: {short:.2%} short, "
            f"over {MAX_SHORTFALL:.1%}"
        )
    for what, number in parts.lost.items():
        share = ratio(number, parts.queries)
        if share is None or share > MAX_LOST_SHARE:
            of_all = "nobody says of how many" if share is None else f"{share:.2%}, over {MAX_LOST_SHARE:.1%}"
            yield f"{number:,} requests ({of_all}) {LOST[what]}"


def _conversions(published: bool) -> list[str]:
    per_query = (
        "cycles and instructions per query are the perf window's counts over the queries of the WHOLE run, "
        "as the early published tables have them (--compat published): too small by run time / window"
        if published
        else "cycles and instructions per query: the queries are scaled to the perf window"
    )
    return [
        "latencies are mutilate's `read` row: request sent to reply received, the whole round trip",
        "cpu is 100 - %idle of sar's average lines, mean over the CPUs of the set",
        per_query,
    ]
