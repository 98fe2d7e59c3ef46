"""What a format is: how to tell a program's output, and how to turn it into figures in our columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from harness.formats.text import Line, lines_of

if TYPE_CHECKING:
    import numpy.typing as npt

Basis = Literal["rtt", "half-rtt", "one-way"]
"""What a recorded latency is: a whole round trip, half of one, or one direction only."""

Note = Callable[[int, str], None]
"""Add a finding about the output at hand: line (from 1, 0 for the whole) and text."""

NOT_USED = "not used: "
"""How a finding begins that lists figures of an output which have no place in the result."""

Verdict = Literal["valid", "suspect", "failed"]


@dataclass(frozen=True)
class Head:
    """The beginning of a file and its name, to sniff at."""

    text: str
    name: str


@dataclass(frozen=True)
class ReadOptions:
    """Unit and basis of the values, for formats that do not state them; "" where the user did not either."""

    unit: str = ""
    basis: Basis | Literal[""] = ""


@dataclass
class Result:
    """One measurement as a program printed it.

    tag: names it among several of one output ("" where nothing does). metrics: columns of runs.csv; workload,
    environment: facts of the run, by their columns' names without prefix. settle_requests: requests sent outside the
    measured window. samples: every request (intended_ns, latency_ns). verdict is "valid" until something speaks against
    it, which `reasons` say. left_out: figures that were read and are not given, with why.
    """

    tag: str = ""
    verdict: Verdict = "valid"
    reasons: list[str] = field(default_factory=list)
    started_utc: str = ""
    metrics: dict[str, float | None] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    workload: dict[str, str | float] = field(default_factory=dict)
    settle_requests: int | None = None
    samples: npt.NDArray[Any] | None = None
    left_out: list[str] = field(default_factory=list)

    def has_figures(self) -> bool:
        """Is there any figure in it?"""
        return self.samples is not None or any(value is not None for value in self.metrics.values())

    def fail(self, reason: str) -> None:
        """Record that it has no numbers that count."""
        self.verdict = "failed"
        self.reasons.append(reason)

    def doubt(self, reason: str) -> None:
        """Record that its numbers cannot be trusted; a failed result stays failed."""
        self.verdict = "suspect" if self.verdict == "valid" else self.verdict
        self.reasons.append(reason)


class Format:
    """One format. Subclasses hold no state and take no arguments; a named one in this package is registered by that.

    name: what the user types; title: one line for `pollbench import --list`; one_run: what a run is made of;
    conversions: what is done to the program's figures to make them ours, one sentence each; tells_its_end: its output
    shows by itself where it was cut, so that a last line without its end counts. tried: the versions of the program
    whose output it was tried with; unknown: what that output never says. accounts: it reads lines by `Line.search` and
    `Line.use`, so that what is left of them is known to be unused.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    tried: ClassVar[str] = ""
    unknown: ClassVar[str] = ""
    accounts: ClassVar[bool] = False
    one_run: ClassVar[str] = "a file"
    conversions: ClassVar[tuple[str, ...]] = ()
    tells_its_end: ClassVar[bool] = False

    def sniff(self, head: Head) -> bool:
        """Does this file look like this format? Never raises."""
        raise NotImplementedError

    def needs_unit(self, head: Head) -> bool:
        """Must the user say the unit of this file's values?"""
        return False

    def conversions_with(self, options: ReadOptions) -> tuple[str, ...]:
        """The conversions that these options ask for."""
        return self.conversions

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """Every result in an output, in its order. Nothing in the lines makes this raise: what is odd is noted."""
        raise NotImplementedError


def read_output(program: Format, text: str, options: ReadOptions | None = None) -> tuple[Result, list[str]]:
    """The first result in a program's whole output, and what was odd. ValueError, saying why, where it has none."""
    findings: list[str] = []

    def note(_: int, finding: str) -> None:
        if not finding.startswith(NOT_USED):
            findings.append(finding)

    results = program.parse(lines_of(text), note, options or ReadOptions())
    for result in results:
        if result.has_figures():
            return result, findings
        findings += result.reasons
    raise ValueError("; ".join(findings[:3]) or f"there is no result of {program.name} in its output")
