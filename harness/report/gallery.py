"""The claims gallery as a table for the terminal and as data: a row per claim."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from harness.analysis.claims import OUTCOMES, Comparison, Condition, Finding
from harness.analysis.compare.environment import texts_of
from harness.analysis.compare.verdict import model_time
from harness.analysis.curves import Study
from harness.report.claims import (
    STYLES,
    as_data,
    label,
    one_line,
    seen,
    short_seen,
    subject,
    told,
    ungranted,
    ungranted_said,
    why_line,
)
from harness.report.layout import Block, Col, Gap, Para, Table, Text
from harness.report.resultset import host_line
from harness.tables.source import Source

_NARROW = 30
_BESIDE = 4


@dataclass(frozen=True)
class Entry:
    """One claim file of the gallery: its text, verdicts, and the set they were read from.

    study: None where nothing was run; label: the set's name, "" without one; command: what runs it again.
    """

    name: str
    path: str
    text: str
    description: str
    findings: tuple[Finding, ...]
    study: Study | None = None
    label: str = ""
    command: str = ""


def document(entries: Sequence[Entry], width: int = 100, where: str = "") -> list[Block]:
    """The table that `pollbench gallery` prints, its last column wrapped to the width; where: what else was written."""
    findings = [each for entry in entries for each in entry.findings]
    names, verdicts = (
        ["claim", *(each.name for each in findings)],
        ["verdict", *(each.outcome for each in findings)],
    )
    room = max(width - max(map(len, names)) - max(map(len, verdicts)) - 2, _NARROW)
    cols = (Col("claim", right=False), Col("verdict", right=False), Col(evidence_title(entries), right=False))
    rows: list[tuple[Text, ...] | str] = []
    for entry in entries:
        rows.append(entry.name)
        for each in entry.findings:
            said = [line for text in (summary(each), _beside(each)) for line in textwrap.wrap(text, room)]
            rows.append((Text(each.name), Text(each.outcome, STYLES[each.outcome]), Text(said[0])))
            rows += [(Text(""), Text(""), Text(line)) for line in said[1:]]
    blocks: list[Block] = [Table(cols, tuple(rows)), Gap(), Para(counts(entries), "bold")]
    return [
        *blocks,
        *(Para(said, "dim") for said in (measured_on(entries), time_said(entries), where) if said),
    ]


def counts(entries: Sequence[Entry]) -> str:
    """How many claims got which verdict, in one line."""
    found = [each.outcome for entry in entries for each in entry.findings]
    said = [f"{found.count(outcome)} {outcome}" for outcome in OUTCOMES if outcome in found]
    return f"{len(found)} claims: {', '.join(said) or 'none judged'}."


def measured_on(entries: Sequence[Entry]) -> str:
    """Where the claims were tested, in a sentence."""
    runs = [entry.study.source.runs for entry in entries if entry.study is not None]
    return host_line(Source("", pd.concat(runs))) if runs else ""


def time_said(entries: Sequence[Entry]) -> str:
    """What a microsecond is where guests' clocks count instructions; "" where it is one."""
    runs = [entry.study.source.runs for entry in entries if entry.study is not None]
    return model_time(list(dict.fromkeys(text for each in runs for text in texts_of(each, "accelerator"))))


def evidence_title(entries: Sequence[Entry]) -> str:
    """The head of the column with the figures; it says whose time they are."""
    return f"effect and evidence{' (times: model time)' if time_said(entries) else ''}"


def summary(finding: Finding) -> str:
    """What decided a verdict in one line: the first condition where it holds, else what kept it from holding."""
    if finding.reason:
        return finding.reason
    if finding.deciding is not None:
        lead = f"{ungranted_said(finding)}: " if ungranted(finding) else ""
        return f"{lead}{told(*finding.deciding)}"
    condition, each = _main(finding)
    return f"{subject(condition)}: {seen(condition, each)}"


def _beside(finding: Finding) -> str:
    """The evidence beside what decided: of every other condition the figures at its first place."""
    if finding.shown and (why := why_line(finding)):
        return f"why: {why}"
    if finding.reason or not finding.conditions:
        return ""
    decided = finding.deciding or _main(finding)
    others = [each for each in finding.conditions if each is not decided[0] and each.comparisons]
    told = [f"{label(each)} {short_seen(each, each.comparisons[0])}" for each in others[:_BESIDE]]
    return f"beside it: {'; '.join(told)}" if told else ""


def _main(finding: Finding) -> tuple[Condition, Comparison]:
    condition = finding.conditions[0]
    return condition, condition.comparisons[0]


def to_csv(entries: Sequence[Entry]) -> str:
    """A row per claim; small enough to be kept and compared."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["experiment", "claim", "verdict", "sentence", "evidence", "set"])
    for entry in entries:
        for each in entry.findings:
            writer.writerow(
                [
                    entry.name,
                    each.name,
                    each.outcome,
                    one_line(each.claim.sentence),
                    summary(each),
                    entry.label,
                ]
            )
    return sink.getvalue()


def to_json(entries: Sequence[Entry]) -> str:
    """Everything about every claim."""
    return (
        json.dumps(
            [
                {
                    "experiment": entry.name,
                    "file": entry.path,
                    "description": one_line(entry.description),
                    "set": entry.label,
                    "command": entry.command,
                    "claims": as_data(entry.findings),
                }
                for entry in entries
            ],
            indent=1,
            ensure_ascii=False,
            allow_nan=False,
        )
        + "\n"
    )


__all__ = [
    "Entry",
    "counts",
    "document",
    "evidence_title",
    "measured_on",
    "summary",
    "time_said",
    "to_csv",
    "to_json",
]
