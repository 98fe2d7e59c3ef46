"""Progress: of runs one live line on a terminal, of a fleet a table of hosts; in a pipe a plain line per event."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from harness.cli.terminal import ERASE, columns, is_live, say
from harness.plan import Run
from harness.store import RunRecord

# More lines than a screen has cannot be redrawn: beyond this many hosts only counts are live.
_MOST = 40
# What `Progress.finished` says in a pipe: of a run its number, of how many, its verdict; how long the others take.
_FINISHED = re.compile(
    r"(\d+)/(\d+)  (?!.*: made again: ).*?: (valid|inert|suspect|failed|skipped)\b.*?(?:  ((?:\d+ min )?\d+ s) left)?$"
)


class Progress:
    """The Watcher of a terminal.

    It has no thread and no timer: a redraw during a measurement would be measured with it.
    """

    def __init__(self, names: Mapping[str, str] | None = None, expected_s: Mapping[str, float] | None = None) -> None:
        """names: by run, what stands before its cell where runs of several experiments are made together.

        expected_s: by run, of all that are to be made, how long it may take; where absent, all take alike.
        """
        self._names, self._expected_s = names or {}, expected_s or {}
        self._live = is_live(sys.stderr)
        self._begun = time.monotonic()
        self._number = self._total = 0
        self._done = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

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
        p50 = record.metrics.get("rtt_p50_us")
        model = "model " if str(record.environment.get("accelerator", "")).startswith("tcg") else ""
        figure = f"  p50 {p50:.2f} {model}us" if p50 is not None else ""
        reason = f"  ({record.reasons[0]})" if record.reasons else ""
        self._clear()
        if not self._live or record.verdict != "valid":
            head = f"{self._number}/{self._total}  {self._cell_of(run)}  repetition {run.block}"
            left = "" if self._live else self._left()
            say(f"{head}: {record.verdict}{figure}{reason}{left}")

    def rejected(self, run: Run, record: RunRecord) -> None:
        """Say that noise spoilt an attempt, and that the run is made again."""
        self._clear()
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
        """Draw the live line; a narrow terminal cuts off the end of `activity`, not the time."""
        if self._live:
            bar = "=" * round(20 * self._number / self._total)
            say(f"[{bar:<20}] {number}{self._left()}  {activity}"[: columns() - 1], end="", lead=ERASE)

    def _clear(self) -> None:
        if self._live:
            say("", end="", lead=ERASE)


@dataclass
class _HostRow:
    """What a board knows of a host. text: its last words; left: how long it still takes, in its own words."""

    text: str = "waiting"
    kind: str = "waiting"
    made: int = 0
    total: int = 0
    doubts: int = 0
    left: str = ""


class HostBoard:
    """The Board of a terminal: a table with a line for each host, or above so many their sums and who failed."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._rows = {host: _HostRow() for host in hosts}
        self._live = is_live(sys.stderr)
        self._drawn = 0
        self._width = max((len(host) for host in hosts), default=0)

    def tell(self, host: str, text: str, kind: str = "at work") -> None:
        """What the host does now, or said last; kind: "done" with its share, or "failed", with the reason."""
        row = self._rows.setdefault(host, _HostRow())
        if kind == "at work" and row.text == text:
            return
        row.text, row.kind = text, kind
        if self._live:
            self._draw()
        # In a pipe only what comes of it is worth a line, for each of a thousand hosts.
        elif text != "looking":
            say(f"{host:<{self._width}}  " + (text if kind == "at work" else f"{kind}: {text}"))

    def heard(self, host: str, lines: Sequence[str]) -> None:
        """New lines of the host's own progress: each run is counted, the last line shown."""
        row = self._rows.setdefault(host, _HostRow())
        for line in lines:
            if event := _FINISHED.match(line):
                row.made, row.total, row.left = int(event[1]), int(event[2]), event[4] or ""
                row.doubts += event[3] != "valid"
        self.tell(host, lines[-1])

    def _draw(self) -> None:
        width = columns()
        if self._drawn:
            say("", end="", lead=f"\x1b[{self._drawn}A")
        lines = self._lines()
        for line in lines + [""] * (self._drawn - len(lines)):
            say(line[: width - 1], lead=ERASE)
        self._drawn = max(self._drawn, len(lines))

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
