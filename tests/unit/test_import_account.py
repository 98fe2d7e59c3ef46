"""Nothing is dropped in silence: every number of an output changes what is read of it, or is listed as not used."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.formats import load_formats
from harness.formats.text import without_colour
from harness.importers import FORMATS, ImportOptions
from harness.importers.files import gather
from harness.importers.irqsuspend.kinds import READERS
from harness.importers.model import ImportedRuns
from tests.unit import foreign
from tests.unit.real_outputs import OUTPUTS, REAL, Output

_NUMBER = re.compile(r"(?<![A-Za-z_\d.])\d+(?:[.,]\d+)*")
# Every digit another one; none becomes a zero in front, which JSON would not take.
_OTHER = str.maketrans("0123456789", "1234567898")
_MOST = 400


def reading_of(name: str, path: Path, unit: str) -> ImportedRuns:
    return FORMATS[name].read(gather(path), ImportOptions(unit=unit))


def figures(reading: ImportedRuns) -> str:
    """Everything that was read, as text to compare."""
    parts = []
    for run in reading.runs:
        facts = {key: value for key, value in vars(run).items() if key != "samples"}
        samples = run.samples.tobytes() if run.samples is not None else b""
        parts.append(f"{facts} {hashlib.sha256(samples).hexdigest()}")
    return "\n".join([*parts, *(f"{finding.line} {finding.text}" for finding in reading.findings)])


def tokens(text: str) -> Iterator[re.Match[str]]:
    """Numbers of the output; of lines that are alike but for their digits the first ones alone."""
    shapes: dict[str, int] = {}
    chosen = 0
    for line in re.finditer(r"[^\n]+", text):
        shape = re.sub(r"\d+", "0", line[0])
        shapes[shape] = shapes.get(shape, 0) + 1
        if shapes[shape] > 2:
            continue
        for number in _NUMBER.finditer(text, line.start(), line.end()):
            chosen += 1
            if chosen <= _MOST:
                yield number


def is_listed(text: str, number: re.Match[str], listed: str) -> bool:
    """Is this number, or its key, its column or a line like its own, among what was not used?"""
    start, end = text.rfind("\n", 0, number.start()) + 1, text.find("\n", number.end())
    line = text[start : end if end >= 0 else len(text)]
    if re.search(rf"(?<![\d.]){re.escape(number[0])}(?![\d.])", listed):
        return True
    if re.search(rf"\.{re.escape(number[0])}(?=[.:\n])", listed):
        return True
    keys = re.findall(r"\"([^\"]+)\"\s*:\s*(?:\[\s*)?(?:\"[^\"]*|[^,\"{}]*)$", text[: number.start()][-2000:])
    keys += re.findall(r"\"([^\"]+)\"\s*:\s*\[[^\]{}]*$", text[: number.start()][-20_000:])
    if keys and re.search(rf"(?<!\w){re.escape(keys[-1])}(?!\w)", listed):
        return True
    # Lines that are alike but for their digits, and the blanks that align these, are one row.
    shape = re.sub(r"\d+", "0", " ".join(line.split()))[:50]
    if shape and shape in re.sub(r"\d+", "0", " ".join(listed.split())):
        return True
    columns = [name.strip().strip('"') for name in text.split("\n", 1)[0].split(",")]
    cell = line[: number.start() - start].count(",")
    if "columns " in listed and len(columns) > 3 and cell < len(columns):
        return re.search(rf"(?<!\w){re.escape(columns[cell])}(?![\w/])", listed) is not None
    return "percentile table" in listed or "of every row" in listed or "histogram" in listed


@pytest.mark.parametrize("output", OUTPUTS, ids=[output.file for output in OUTPUTS])
def test_every_number_is_used_or_listed(tmp_path: Path, output: Output) -> None:
    file, name, unit = output.file, output.format, output.unit
    text = without_colour((REAL / file).read_text())
    path = tmp_path / Path(file).name
    path.write_text(text)
    whole = reading_of(name, path, unit)
    before = figures(whole)
    listed = "\n".join(row.text for row in whole.unused)
    lost = []
    for number in tokens(text):
        if is_listed(text, number, listed):
            continue
        for other in (number[0].translate(_OTHER), "0"):
            # A new file: the disk would wait for what one that is cut short had held.
            path.unlink()
            path.write_text(text[: number.start()] + other + text[number.end() :])
            if figures(reading_of(name, path, unit)) != before:
                break
        else:
            lost.append(f"{number[0]} at {number.start()}: {text[max(0, number.start() - 60) : number.end() + 20]!r}")
    assert not lost, "\n".join(lost[:10])


def test_every_format_accounts_for_its_numbers() -> None:
    assert [name for name, made in load_formats().items() if not made.accounts] == []
    assert all(importer.tried and importer.unknown for importer in FORMATS.values())


def test_what_is_not_used_stands_apart_from_what_was_odd(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(foreign.NETPERF_KEYS + "TRANSPORT_MSS=1448\n" + "port 7 of 9\nport 8 of 9\n")
    reading = reading_of("netperf", tmp_path, "")
    assert reading.findings == []
    rows = [(row.line, row.text) for row in reading.unused]
    assert (10, "not used: 1448 of 'TRANSPORT_MSS=1448'") in rows
    assert (11, "not used: 7, 9 of 'port 7 of 9' (and 1 lines like it)") in rows
    assert any("LOCAL_CPU_UTIL -1.00: not measured" in text for _, text in rows)


def test_numbers_of_json_are_listed_by_their_place(tmp_path: Path) -> None:
    document: dict[str, object] = {
        "start": {"version": "iperf 3.12", "test_start": {"tos": 7}},
        "end": {"sum": {"bits_per_second": 5}},
    }
    document["intervals"] = [{"sum": {"bytes": 1, "start": 2}}, {"sum": {"bytes": 3}}]
    (tmp_path / "a.json").write_text(json.dumps(document))
    rows = [row.text for row in reading_of("iperf3", tmp_path, "").unused]
    assert rows == ["not used: start.test_start: tos", "not used: intervals[].sum: bytes, start"]


def test_unused_rows_of_a_file_are_limited_and_say_so(tmp_path: Path) -> None:
    lines = "".join(f"{'x' * number} 1\n" for number in range(1, 500))
    (tmp_path / "a.txt").write_text(foreign.NETPERF_KEYS + lines)
    unused = reading_of("netperf", tmp_path, "").unused
    assert len(unused) == 101 and "there is more like this" in unused[-1].text


def test_every_number_of_a_campaign_is_used_or_listed(tmp_path: Path) -> None:
    foreign.irqsuspend(tmp_path, [(200_000, "base")], runs=1)
    whole = reading_of("irqsuspend", tmp_path, "")
    before, listed = figures(whole), "\n".join(row.text for row in whole.unused)
    lost, tried = [], 0
    for path in sorted(tmp_path.iterdir()):
        text = path.read_text()
        for number in tokens(text):
            tried += 1
            for other in (number[0].translate(_OTHER), "0"):
                path.write_text(text[: number.start()] + other + text[number.end() :])
                if figures(reading_of("irqsuspend", tmp_path, "")) != before or is_listed(text, number, listed):
                    break
            else:
                line = text.count("\n", 0, number.start())
                lost.append(f"{path.name}: {number[0]} of {text.splitlines()[line]!r}")
        path.write_text(text)
    assert not lost and tried > 100, "\n".join(lost[:10])


def test_lines_alike_of_a_campaign_are_one_row_of_its_first_file(tmp_path: Path) -> None:
    unused = reading_of("irqsuspend", foreign.irqsuspend(tmp_path / "one", [(200_000, "base")], runs=1), "").unused
    more = reading_of("irqsuspend", foreign.irqsuspend(tmp_path / "all"), "").unused
    assert {row.file for row in more} <= {f"{kind}-200000-base-0.out" for kind in READERS}
    assert len(more) == len(unused)
    assert "not used: 5th of the read row (33.3)" in {row.text for row in more}
