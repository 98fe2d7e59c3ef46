"""What an importer hands over: runs, a finding for everything odd, and every conversion it made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy.typing as npt

from harness.importers.files import Files
from harness.store.record import Columns, KnobRow, Metrics, Verdict

Basis = Literal["rtt", "half-rtt", "one-way"]
"""What a recorded latency is: a whole round trip, half of one, or one direction only."""

MAX_FINDINGS = 100
"""Findings of one file that are listed: a large file of another kind would make one a line."""


@dataclass(frozen=True)
class Head:
    """The beginning of a file and its name, to sniff at."""

    text: str
    name: str


@dataclass(frozen=True)
class Options:
    """What the user said about the files.

    case: the name of every run's case, "" to take it from file names; compat: "published" or ""; unit and basis
    of the values, for formats that do not say; "" where the user did not either.
    """

    case: str = ""
    compat: Literal["published", ""] = ""
    unit: str = ""
    basis: Basis | Literal[""] = ""


@dataclass(frozen=True)
class Finding:
    """Something in a file that was not as expected. line: from 1, 0 for the file as a whole."""

    file: str
    line: int
    text: str


@dataclass
class ImportedRun:
    """One run as found: the parts of a run record that foreign files can fill.

    key: what tells it from other runs of the set (its files' names); block: repetition, from 1; parts are as in
    a run record. verdict is "valid" until something speaks against it.
    """

    key: str
    case: str
    block: int = 1
    factors: dict[str, str] = field(default_factory=dict)
    verdict: Verdict = "valid"
    reasons: list[str] = field(default_factory=list)
    started_utc: str = ""
    metrics: Metrics = field(default_factory=dict)
    environment: Columns = field(default_factory=dict)
    workload: Columns = field(default_factory=dict)
    nodes: dict[str, Columns] = field(default_factory=dict)
    cpus: dict[str, dict[str, Any]] = field(default_factory=dict)
    knobs: list[KnobRow] = field(default_factory=list)
    samples: npt.NDArray[Any] | None = None
    files: list[str] = field(default_factory=list)

    def fail(self, reason: str) -> None:
        """It has no numbers that count."""
        self.verdict = "failed"
        self.reasons.append(reason)

    def doubt(self, reason: str) -> None:
        """Its numbers are there and cannot be trusted; a failed run stays failed."""
        self.verdict = "suspect" if self.verdict == "valid" else self.verdict
        self.reasons.append(reason)


@dataclass
class Reading:
    """Everything an importer made of the files. tables: further files of the set, by name."""

    runs: list[ImportedRun] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    conversions: list[str] = field(default_factory=list)
    tables: dict[str, bytes] = field(default_factory=dict)
    _noted: dict[str, int] = field(default_factory=dict)

    def note(self, file: str, line: int, text: str) -> None:
        """Add a finding; after MAX_FINDINGS in a file, one that says there are more."""
        known = self._noted.get(file, 0) + 1
        self._noted[file] = known
        if known <= MAX_FINDINGS:
            self.findings.append(Finding(file, line, text))
        elif known == MAX_FINDINGS + 1:
            self.findings.append(
                Finding(file, line, f"there is more like this; {MAX_FINDINGS} findings a file are listed")
            )

    def converted(self, text: str) -> None:
        """Record a conversion once."""
        if text not in self.conversions:
            self.conversions.append(text)


class Format:
    """One format: how to tell it, and how to read it. Subclasses are small and hold no state.

    name: what the user types; title: one line for `--list`.
    """

    name: str = ""
    title: str = ""

    def sniff(self, head: Head) -> bool:
        """Does this file look like this format? Never raises."""
        raise NotImplementedError

    def read(self, files: Files, options: Options) -> Reading:
        """Runs and findings; nothing in a file makes this raise. InputError only for missing options."""
        raise NotImplementedError
