"""mtr's JSON, CSV and report: round trips to each hop of a path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from harness.formats.jsontext import objects
from harness.formats.latency import put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount, plain

_TIMES = {"Best": "min", "Avg": "mean", "Wrst": "max", "StDev": "sd"}
_TITLES = re.compile(r"^HOST: \S+ +(\S.*)$")
# Whom an address belongs to (-z, -y) has the place of the bars.
_HOP = re.compile(r"^ *(\d{1,3})\.(?:\|--)? (\S.*)$")
_CELL = re.compile(r"-?\d+(?:[.,]\d+)?%?")
_CSV = "Mtr_Version,"


class MtrJson(Format):
    """One run per hop."""

    name = "mtr-json"
    title = "mtr --json"
    one_run = "a hop"
    tried = "0.95, 0.96"
    unknown = "quantiles; which hop is the destination, where that did not answer"
    conversions = ("a hop that answers slowly may only be slow to answer: it forwards before it answers",)
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its list of hops."""
        return '"hubs"' in head.text and '"Wrst"' in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per hop."""
        for document in objects(lines, note):
            report = document.at("report")
            size = amount(report.text("mtr", "psize"))
            hops = report.at("hubs").items()
            for hop in hops:
                named = {name: hop.number(name) for name in ("Snt", "Loss%", *_TIMES)}
                tag = f"{hop.number('count') or 0:.0f} {hop.text('host')}"
                yield _of_path(_result(tag, named, size), len(hops))
            document.unused(note)


class MtrReport(Format):
    """One run per hop."""

    name = "mtr"
    title = "mtr --report, with whatever columns (-o)"
    one_run = "a hop"
    tried = "0.95, 0.96"
    unknown = "sizes, quantiles; times below 0.1 ms, which it prints as 0.0"
    conversions = (*MtrJson.conversions, "mtr's report has tenths of a millisecond: a time of 0.0 is left out")
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its titles and the mark of a hop."""
        return "HOST: " in head.text and bool(re.search(r"(?m)^ *1\.(\|--)? \S.* \d", head.text))

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per hop."""
        titles: list[str] = []
        results: list[Result] = []
        for line in lines:
            if match := line.search(_TITLES):
                titles = match[1].split()
            elif match := _HOP.search(line.text):
                words = match[2].split()
                host, cells = words[: -len(titles)], words[-len(titles) :]
                if not host or not titles or not all(map(_CELL.fullmatch, cells)) or _CELL.fullmatch(host[-1]):
                    note(line.number, "it has other columns than its titles; left out")
                    continue
                line.use()
                tag = f"{match[1]} {plain(' '.join(host), 80)}"
                results.append(_of_cells(tag, dict(zip(titles, cells, strict=True))))
        yield from (_of_path(result, len(results)) for result in results)


class MtrCsv(Format):
    """One run per hop."""

    name = "mtr-csv"
    title = "mtr --csv, with whatever columns (-o)"
    one_run = "a hop"
    tried = "0.95, 0.96"
    unknown = "sizes, quantiles; times below 0.01 ms, which it prints as 0.00"
    conversions = (*MtrJson.conversions, "mtr's CSV has hundredths of a millisecond: a time of 0.00 is left out")
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its first title."""
        return head.text.lstrip("\ufeff").startswith(_CSV)

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per hop."""
        titles: list[str] = []
        results: list[Result] = []
        for line in lines:
            cells = line.text.split(",")
            if line.text.lstrip("\ufeff").startswith(_CSV):
                titles = cells
            elif not titles or len(cells) < len(titles) - 1:
                # Its titles end in a comma, and its rows do not.
                note(line.number, "it has other columns than its titles; left out")
                continue
            else:
                named = {name: cell for name, cell in zip(titles, cells, strict=False) if name.strip()}
                facts = {name: named.pop(name, "") for name in ("Mtr_Version", "Start_Time", "Status", "Host")}
                hop, host = named.pop("Hop", ""), " ".join(filter(None, (named.pop("Asn", ""), named.pop("Ip", ""))))
                result = _of_cells(plain(f"{hop} {host}", 80), named)
                result.environment["program_version"] = plain(facts["Mtr_Version"].replace("MTR.", "mtr ", 1), 20)
                if started := amount(facts["Start_Time"]):
                    result.started_utc = datetime.fromtimestamp(min(started, 1e11), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                results.append(result)
            line.use()
        yield from (_of_path(result, len(results)) for result in results)


def _of_cells(tag: str, cells: dict[str, str]) -> Result:
    """A row of a table, by its titles."""
    result = _result(tag, {name: amount(cell.rstrip("%")) for name, cell in cells.items()}, None)
    others = [f"{name} {cell}" for name, cell in cells.items() if name not in _READ]
    result.left_out += [plain(", ".join(others))] if others else []
    return result


def _of_path(result: Result, hops: int) -> Result:
    """A path's only hop needs no name among others."""
    if hops == 1:
        result.left_out.append(f"which hop it was: {result.tag}")
        result.tag = ""
    return result


_READ = ("Loss%", "Snt", *_TIMES)


def _result(tag: str, figures: dict[str, float | None], size: float | None) -> Result:
    result = Result(tag, workload={"kind": "mtr", "loop": "open"})
    if size is not None:
        result.workload["size_bytes"] = size
    sent, lost = figures.get("Snt"), figures.get("Loss%")
    result.metrics |= {"sent": sent, "lost_percent": lost}
    answered = None if sent is None or lost is None else round(sent * (1 - lost / 100))
    result.metrics["requests"] = answered
    if answered == 0:
        result.fail(f"mtr: none of {sent or 0:,.0f} packets was answered")
        return result
    coarse = [theirs for theirs in _TIMES if figures.get(theirs) == 0]
    if coarse:
        result.left_out.append(f"{', '.join(coarse)} 0: below what is printed")
    values = {ours: figures.get(theirs) for theirs, ours in _TIMES.items() if theirs not in coarse}
    known = {name: value * 1e3 for name, value in values.items() if value is not None}
    put_latencies(result, known, "rtt", answered)
    result.environment["latency_from"] = "sent"
    return result
