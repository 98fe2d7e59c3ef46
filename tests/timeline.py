"""Where the time of a test session goes: CPU seconds of each tier, how long each worker had work, and a line a test.

CPU time is of the tests and of whatever they started and waited for. `--timeline FILE` writes the lines, tab-separated:
worker, start and end in seconds of the session, CPU seconds, test.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class Stretch:
    """One test, from its set-up to its end."""

    worker: str
    start: float
    stop: float
    cpu_s: float


def _cpu_s() -> float:
    return sum(os.times()[:4])


class Timeline:
    """Notes when each test ran, where, and what it cost; tells the sums at the end."""

    def __init__(self, file: str | None, tier_of: Callable[[str], str]) -> None:
        self._file, self._tier_of, self._before = file, tier_of, _cpu_s()
        self._tests: dict[str, Stretch] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """In the worker that runs it: what the phase that has ended cost; a report's attributes travel with it."""
        report = yield
        now = _cpu_s()
        report.cpu_s, self._before = now - self._before, now  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of each phase, in the process that tells. The report of a worker that crashed knows no times."""
        worker, cpu_s = getattr(report, "worker_id", "one"), getattr(report, "cpu_s", 0.0)
        start, stop = getattr(report, "start", 0.0), getattr(report, "stop", 0.0)
        if not start:
            return
        stretch = self._tests.setdefault(report.nodeid, Stretch(worker, start, stop, 0.0))
        stretch.stop = max(stretch.stop, stop)
        stretch.cpu_s += cpu_s

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The sums, and the file if one is asked for."""
        if not self._tests:
            return
        began = min(stretch.start for stretch in self._tests.values())
        ended = max(stretch.stop for stretch in self._tests.values())
        tiers: Counter[str] = Counter()
        workers: dict[str, list[Stretch]] = {}
        for nodeid, stretch in self._tests.items():
            tiers[self._tier_of(nodeid)] += stretch.cpu_s  # type: ignore[assignment]
            workers.setdefault(stretch.worker, []).append(stretch)
        terminalreporter.section("time")
        terminalreporter.line("CPU time: " + ", ".join(f"{tier} {cpu_s:.0f} s" for tier, cpu_s in tiers.items()))
        for worker, own in sorted(workers.items()):
            busy = sum(stretch.stop - stretch.start for stretch in own)
            last = max(stretch.stop for stretch in own) - began
            cpu_s = sum(stretch.cpu_s for stretch in own)
            terminalreporter.line(
                f"{worker}: {len(own)} tests in {busy:.0f} s of {ended - began:.0f} s, until {last:.0f} s; "
                f"{cpu_s:.0f} s of CPU time"
            )
        if self._file:
            lines = sorted(
                (one.worker, one.start - began, one.stop - began, one.cpu_s, name) for name, one in self._tests.items()
            )
            Path(self._file).write_text(
                "".join(f"{w}\t{a:.3f}\t{b:.3f}\t{c:.3f}\t{name}\n" for w, a, b, c, name in lines)
            )
