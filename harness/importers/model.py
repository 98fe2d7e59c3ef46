"""What an importer hands over: runs, a finding for everything odd, and every conversion it made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from harness.formats import NOT_USED, Head, ReadOptions, Result
from harness.importers.files import SourceFiles
from harness.store.record import Columns, KnobRow

MAX_FINDINGS = 100
"""Findings of one file that are listed, and unused figures likewise: a file of another kind would make one a line."""


@dataclass(frozen=True)
class ImportOptions(ReadOptions):
    """What the user said about the files, beside unit and basis.

    case: the name of every run's case, "" to take it from file names; compat: "published" or "".
    """

    case: str = ""
    compat: Literal["published", ""] = ""


@dataclass(frozen=True)
class ImportFinding:
    """Something in a file that was not as expected. line: from 1, 0 for the file as a whole."""

    file: str
    line: int
    text: str


@dataclass
class ImportedRun(Result):
    """A result with its place in the set: the parts of a run record that foreign files can fill.

    key: what tells it from other runs of the set (its files' names); block: repetition, from 1; nodes, cpus, knobs:
    rows of these tables, by the names of their columns.
    """

    key: str = ""
    case: str = ""
    block: int = 1
    factors: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, Columns] = field(default_factory=dict)
    cpus: dict[str, dict[str, float]] = field(default_factory=dict)
    knobs: list[KnobRow] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.environment = {"place": "elsewhere"} | self.environment


@dataclass
class ImportedRuns:
    """Everything an importer made of the files. tables: further files of the set, by name.

    unused: what was read and has no place in the set, a row for each kind of it.
    """

    runs: list[ImportedRun] = field(default_factory=list)
    findings: list[ImportFinding] = field(default_factory=list)
    unused: list[ImportFinding] = field(default_factory=list)
    conversions: list[str] = field(default_factory=list)
    tables: dict[str, bytes] = field(default_factory=dict)
    _noted: dict[tuple[str, bool], int] = field(default_factory=dict)

    def note(self, file: str, line: int, text: str) -> None:
        """Add a finding; after MAX_FINDINGS in a file, one that says there are more."""
        listed = self.unused if (unused := text.startswith(NOT_USED)) else self.findings
        known = self._noted.get((file, unused), 0) + 1
        self._noted[file, unused] = known
        if known == MAX_FINDINGS + 1:
            text = f"{NOT_USED if unused else ''}there is more like this; {MAX_FINDINGS} findings a file are listed"
        if known <= MAX_FINDINGS + 1:
            listed.append(ImportFinding(file, line, text))


class Importer:
    """Turns files into runs. name: what the user types; title: one line for `--list`; one_run: what makes a run.

    tried: versions whose output it was tried with; unknown: what that never says.
    """

    name: str = ""
    title: str = ""
    one_run: str = ""
    tried: str = ""
    unknown: str = ""

    def sniff(self, head: Head) -> bool:
        """Does this file look like this format? Never raises."""
        raise NotImplementedError

    def read(self, files: SourceFiles, options: ImportOptions) -> ImportedRuns:
        """Runs and findings; nothing in a file makes this raise. InputError only for missing options."""
        raise NotImplementedError
