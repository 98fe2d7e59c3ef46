"""The claims gallery as a table for the terminal and as data: a row per claim."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from harness.analysis.claims import OUTCOMES, ClaimVerdict, ConditionResult, Observation
from harness.analysis.compare.environment import texts_of
from harness.analysis.compare.verdict import model_time
from harness.analysis.curves import Study
from harness.report import claims
from harness.report.claims import one_line
from harness.report.data import json_text
from harness.report.layout import Block, Col, Gap, Para, Table, Text
from harness.report.resultset import host_line
from harness.report.words import Json
from harness.tables.csvout import csv_text

_NARROW = 30
_BESIDE = 4
_OF_SEVERAL = {"holds": "hold", "does not hold here": "do not hold here"}


@dataclass(frozen=True)
class GalleryEntry:
    """One claim file of the gallery: its text, verdicts, and the set they were read from.

    study: None where nothing was run; label: the set's name, "" without one; command: what runs it again.
    """

    name: str
    path: str
    text: str
    description: str
    findings: tuple[ClaimVerdict, ...]
    study: Study | None = None
    label: str = ""
    command: str = ""


def document(entries: Sequence[GalleryEntry], width: int = 100, where: str = "") -> list[Block]:
    """The table that `pollbench gallery` prints, its last column wrapped to the width; where: what else was written."""
    verdicts = [claim for entry in entries for claim in entry.findings]
    names = ["claim", *(claim.name for claim in verdicts)]
    outcomes = ["verdict", *(claim.outcome for claim in verdicts)]
    room = max(width - max(map(len, names)) - max(map(len, outcomes)) - 2, _NARROW)
    cols = tuple(Col(title, right=False) for title in ("claim", "verdict", evidence_title(entries)))
    rows: list[tuple[Text, ...] | str] = []
    for entry in entries:
        rows.append(entry.name)
        for claim in entry.findings:
            lines = [line for text in (summary(claim), _beside(claim)) for line in textwrap.wrap(text, room)]
            rows.append((Text(claim.name), Text(claim.outcome, claims.STYLES[claim.outcome]), Text(lines[0])))
            rows += [(Text(""), Text(""), Text(line)) for line in lines[1:]]
    below = (measured_on(entries), model_time_of(entries), where)
    return [
        Table(cols, tuple(rows)), Gap(), Para(counts(entries), "bold"),
        *(Para(text, "dim") for text in below if text),
    ]  # fmt: skip


def counts(entries: Sequence[GalleryEntry]) -> str:
    """How many claims got which verdict, in one line."""
    outcomes = Counter(claim.outcome for entry in entries for claim in entry.findings)
    words = {outcome: outcome if many == 1 else _OF_SEVERAL.get(outcome, outcome) for outcome, many in outcomes.items()}
    texts = [f"{outcomes[outcome]} {words[outcome]}" for outcome in OUTCOMES if outcome in outcomes]
    return f"{outcomes.total()} claims: {', '.join(texts) or 'none judged'}."


def measured_on(entries: Sequence[GalleryEntry]) -> str:
    """Where the claims were tested, in a sentence."""
    tables = tables_of(entries)
    return host_line(pd.concat(tables)) if tables else ""


def model_time_of(entries: Sequence[GalleryEntry]) -> str:
    """What a microsecond is where guests' clocks count instructions; "" where it is one."""
    texts = (text for runs in tables_of(entries) for text in texts_of(runs, "accelerator"))
    return model_time(list(dict.fromkeys(texts)))


def tables_of(entries: Sequence[GalleryEntry]) -> list[pd.DataFrame]:
    """The tables of the runs of all sets."""
    return [entry.study.source.runs for entry in entries if entry.study is not None]


def evidence_title(entries: Sequence[GalleryEntry]) -> str:
    """The head of the column with the figures, which says when their time is model time."""
    return f"effect and evidence{' (times: model time)' if model_time_of(entries) else ''}"


def summary(claim: ClaimVerdict) -> str:
    """What decided a verdict in one line: the first condition where it holds, else what kept it from holding."""
    if claim.reason:
        return claim.reason
    if claim.deciding is not None:
        return claims.not_granted(claim) or claims.in_words(*claim.deciding)
    condition, place = _main(claim)
    return f"{claims.subject(condition)}: {claims.seen(condition, place)}"


def _beside(claim: ClaimVerdict) -> str:
    """The evidence beside what decided: of every other condition the figures at its first place."""
    if why := claims.why_line(claim):
        return f"why: {why}"
    if claim.reason or not claim.conditions:
        return ""
    decided = (claim.deciding or _main(claim))[0]
    others = [condition for condition in claim.conditions if condition is not decided and condition.observations]
    texts = [f"{claims.label(other)} {claims.medians_seen(other, other.observations[0])}" for other in others]
    return f"beside it: {'; '.join(texts[:_BESIDE])}" if texts else ""


def _main(claim: ClaimVerdict) -> tuple[ConditionResult, Observation]:
    condition = claim.conditions[0]
    return condition, condition.observations[0]


def to_csv(entries: Sequence[GalleryEntry]) -> str:
    """A row per claim; small enough to be kept and compared."""
    rows = [
        [entry.name, claim.name, claim.outcome, one_line(claim.claim.sentence), summary(claim), entry.label]
        for entry in entries
        for claim in entry.findings
    ]
    return csv_text([["experiment", "claim", "verdict", "sentence", "evidence", "set"], *rows])


def to_json(entries: Sequence[GalleryEntry]) -> str:
    """An indented JSON document: a record per claim file, with its claims as `show --json` has them."""
    document: list[Json] = [
        {
            "experiment": entry.name,
            "file": entry.path,
            "description": one_line(entry.description),
            "set": entry.label,
            "command": entry.command,
            "claims": claims.as_data(entry.findings),
        }
        for entry in entries
    ]
    return json_text(document)
