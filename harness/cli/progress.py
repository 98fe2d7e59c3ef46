"""Progress: on a terminal a live table, of cells or of a fleet's hosts; in a pipe a plain line per event."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from harness.cli.terminal import ERASE, columns, height, is_live, say
from harness.plan import Plan, Run
from harness.store import RunRecord

# More lines than a screen has cannot be redrawn: beyond this many hosts only counts are live.
_MOST = 40
# What `Progress.finished` says in a pipe: of a run its number, of how many, its verdict; how long the others take.
_FINISHED = re.compile(
    r"(\d+)/(\d+)  (?!.*: made again: ).*?: (valid|inert|suspect|failed|skipped)\b.*?(?:  ((?:\d+ min )?\d+ s) left)?$"
)


class _Block:
    """Lines at the foot of a terminal, drawn over themselves; none is wider than the terminal."""

    def __init__(self) -> None:
        self._drawn = 0

    def draw(self, lines: Sequence[str]) -> None:
        """Draw these in place of the lines before."""
        width = columns()
        if self._drawn:
            say("", end="", lead=f"\x1b[{self._drawn}A")
        for line in [*lines, *[""] * (self._drawn - len(lines))]:
            say(line[: width - 1], lead=ERASE)
        self._drawn = max(self._drawn, len(lines))

    def clear(self) -> None:
        """Leave nothing of them."""
        if self._drawn:
            say("", end="", lead=f"\x1b[{self._drawn}A\x1b[J")
        self._drawn = 0


class Progress:
    """The Watcher of a terminal.

    It has no thread and no timer: a redraw during a measurement would be measured with it.
    """

    def __init__(
        self,
        names: Mapping[str, str] | None = None,
        expected_s: Mapping[str, float] | None = None,
        plan: Plan | None = None,
        made: Sequence[RunRecord] = (),
    ) -> None:
        """names: by run, what stands before its cell where runs of several experiments are made together.

        expected_s: by run, of all that are to be made, how long it may take; where absent, all take alike. plan: what
        the table of cells is of, without one there is none; made: the runs of it that are on disk already.
        """
        self._names, self._expected_s = names or {}, expected_s or {}
        self._live = is_live(sys.stderr)
        self._block = _Block()
        self._table = CellTable(plan, made) if plan is not None and self._live else None
        self._begun = time.monotonic()
        self._number = self._total = 0
        self._done = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._block.clear()

    def booting(self, kernel: str, number: int, total: int) -> None:
        """Say that a guest comes up, after so many runs."""
        self._number, self._total = number, total
        self._show(f"{number}/{total}", f"booting a guest with kernel {kernel}")

    def starting(self, run: Run, number: int, total: int) -> None:
        """Show which run is going on, and how long all of them will still take."""
        self._number, self._total = number, total
        self._show(f"{number + 1}/{total}", f"{self._cell_of(run)}  repetition {run.block}")

    def finished(self, run: Run, record: RunRecord) -> None:
        """Say the verdict, p50 and the first reason; on a terminal only of a run that is not valid."""
        self._number += 1
        self._done += self._expected_s.get(run.run_id, 1.0)
        if self._table is not None:
            self._table.take(run.cell.cell_id, record)
        p50 = record.metrics.get("rtt_p50_us")
        model = "model " if str(record.environment.get("accelerator", "")).startswith("tcg") else ""
        figure = f"  p50 {p50:.2f} {model}us" if p50 is not None else ""
        reason = f"  ({record.reasons[0]})" if record.reasons else ""
        self._block.clear()
        if not self._live or record.verdict != "valid":
            head = f"{self._number}/{self._total}  {self._cell_of(run)}"
            if self._live:
                # A line of the terminal: what has no room is said again at the end.
                say(f"{head}: {record.verdict}{reason}"[: columns() - 1])
            else:
                say(f"{head}  repetition {run.block}: {record.verdict}{figure}{reason}{self._left()}")

    def rejected(self, run: Run, record: RunRecord) -> None:
        """Say that noise spoilt an attempt, and that the run is made again."""
        self._block.clear()
        if not self._live:
            head = f"{self._number + 1}/{self._total}  {self._cell_of(run)}  repetition {run.block}"
            say(f"{head}: made again: {'; '.join(record.reasons)}")

    def _cell_of(self, run: Run) -> str:
        return " ".join(filter(None, (self._names.get(run.run_id), run.cell.label())))

    def _left(self) -> str:
        if not self._done:
            return ""
        whole = sum(self._expected_s.values()) or float(self._total)
        left_s = (time.monotonic() - self._begun) / self._done * (whole - self._done)
        minutes, seconds = divmod(round(left_s), 60)
        return f"  {minutes} min {seconds} s left" if minutes else f"  {seconds} s left"

    def _show(self, number: str, activity: str) -> None:
        """Draw the table and the bar; a narrow terminal cuts off the end of `activity`, not the time."""
        if self._live:
            bar = "=" * round(20 * self._number / self._total)
            rows = self._table.lines(columns(), height()) if self._table is not None else []
            self._block.draw([*rows, f"[{bar:<20}] {number}{self._left()}  {activity}"])


class CellTable:
    """The cells of a plan with what their runs say so far: the median of p50, its interval, verdicts."""

    def __init__(self, plan: Plan, made: Sequence[RunRecord] = ()) -> None:
        self._labels = {cell.cell_id: cell.label() for cell in plan.cells}
        self._planned = Counter(run.cell.cell_id for run in plan.runs)
        self._records: dict[str, dict[str, RunRecord]] = {cell_id: {} for cell_id in self._labels}
        cells = {run.run_id: run.cell.cell_id for run in plan.runs}
        for record in made:
            if record.run_id in cells:
                self.take(cells[record.run_id], record)

    def take(self, cell_id: str, record: RunRecord) -> None:
        """Count a run; one that was made again replaces the former."""
        # The newest last: what is shown where not all cells have room.
        mine = self._records.pop(cell_id, {})
        self._records[cell_id] = {**mine, record.run_id: record}

    def lines(self, width: int, most: int) -> list[str]:
        """The table, no wider than `width`, in at most so many lines: of more cells those that were measured last."""
        room = max(most - 3, 1)
        shown = list(self._labels) if len(self._labels) <= room else list(self._records)[-room:]
        rows = [self._row(cell_id) for cell_id in self._labels if cell_id in shown]
        if all(not row[2] for row in rows):
            rows = [(*row[:2], "", "", row[4]) for row in rows]
        least = max(12, width - 44)
        heads = ("case", "runs", "p50 us", "[interval]", "not counted")
        widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(4)]
        widths[0] = min(widths[0], least)
        texts = [
            f"{row[0][: widths[0]]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  "
            f"{row[3]:<{widths[3]}}  {row[4]}".rstrip()[: width - 1]
            for row in (heads, *rows)
        ]
        more = len(self._labels) - len(rows)
        return [*texts, *([f"and {more} more cells"] if more else [])]

    def _row(self, cell_id: str) -> tuple[str, str, str, str, str]:
        # Imported here: the command starts without numpy.
        from harness import stats
        from harness.report import words

        records = list(self._records[cell_id].values())
        valid = [record.metrics.get("rtt_p50_us") for record in records if record.verdict == "valid"]
        p50 = stats.estimate([value for value in valid if value is not None])
        verdicts = Counter(record.verdict for record in records)
        del verdicts["valid"]
        median = "" if p50.median is None else words.short(p50.median)
        doubts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        runs = f"{len(valid)}/{self._planned[cell_id]}"
        return self._labels[cell_id], runs, median, words.bracket(p50.interval), doubts


@dataclass
class _HostRow:
    """What a board knows of a host. text: its last words; left: how long it still takes, in its own words.

    before: how many runs of earlier slices it has made; number: of the slice at hand.
    """

    text: str = "waiting"
    kind: str = "waiting"
    made: int = 0
    total: int = 0
    doubts: int = 0
    left: str = ""
    before: int = 0
    number: int = 0


class HostBoard:
    """The Board of a terminal: a table with a line for each host, or above so many their sums and who failed."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._rows = {host: _HostRow() for host in hosts}
        self._live = is_live(sys.stderr)
        self._block = _Block()
        self._width = max((len(host) for host in hosts), default=0)

    def tell(self, host: str, text: str, kind: str = "at work") -> None:
        """What the host does now, or said last; kind: "done" with its share, or "failed", with the reason."""
        row = self._rows.setdefault(host, _HostRow())
        if kind == "at work" and row.text == text:
            return
        row.text, row.kind = text, kind
        if self._live:
            self._block.draw(self._lines())
        # In a pipe only what comes of it is worth a line, for each of a thousand hosts.
        elif text != "looking":
            say(f"{host:<{self._width}}  " + (text if kind == "at work" else f"{kind}: {text}"))

    def heard(self, host: str, lines: Sequence[str]) -> None:
        """New lines of the host's own progress: each run is counted, the last line shown."""
        row = self._rows.setdefault(host, _HostRow())
        for line in lines:
            if event := _FINISHED.match(line):
                number = int(event[1])
                # Each slice of a host's work counts from one.
                row.before += row.number if number <= row.number else 0
                row.number, row.left = number, event[4] or ""
                row.made, row.total = row.before + number, row.before + int(event[2])
                row.doubts += event[3] != "valid"
        self.tell(host, lines[-1])

    def _lines(self) -> list[str]:
        rows = self._rows
        if len(rows) > _MOST:
            counts = Counter(row.kind for row in rows.values())
            made, total, doubts = (
                sum(getattr(row, key) for row in rows.values()) for key in ("made", "total", "doubts")
            )
            runs = f"; {made} of {total} runs, {doubts} in doubt" if total else ""
            failed = [f"! {host}  {row.text}" for host, row in rows.items() if row.kind == "failed"]
            more = [f"! and {len(failed) - 9} more failed"] if len(failed) > 10 else []
            return [
                ", ".join(f"{count} {kind}" for kind, count in counts.items()) + runs,
                *(failed[:9] + more if more else failed),
            ]
        mark = {"waiting": " ", "at work": ">", "done": "+", "failed": "!"}
        lines = [f"  {'host':<{self._width}}  {'runs':>9}  doubts  {'left':>11}"]
        for host, row in rows.items():
            runs = f"{row.made}/{row.total}" if row.total else ""
            doubts, left = (str(row.doubts) if row.total else ""), (row.left if row.kind == "at work" else "")
            lines.append(f"{mark[row.kind]} {host:<{self._width}}  {runs:>9}  {doubts:>6}  {left:>11}  {row.text}")
        return lines
