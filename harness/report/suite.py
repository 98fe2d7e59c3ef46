"""A suite's releases as text and as data: the verdict of each claim, the figures of each cell, what changed when."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from harness import columns
from harness.analysis.claims import ClaimVerdict
from harness.analysis.releases import Release
from harness.analysis.trend import History, Trend
from harness.report import answer, claims, data, words
from harness.report import trend as histories
from harness.report.gallery import GalleryEntry
from harness.report.layout import JUDGED, Block, Col, Gap, Para, Table, TableRow, Text, grouped

MOST = 6
"""So many releases, the newest, are columns of the tables; the page draws all."""

_NO_NAME = re.compile(r"[^A-Za-z0-9._-]|^\.")

Entries = Mapping[str, Sequence[GalleryEntry]]
"""What became of each release's claims, by its label."""


def document(
    name: str, made: Sequence[Release], entries: Entries, view: Trend, about: Sequence[str] = ()
) -> list[Block]:
    """What `pollbench suite` prints. name: the suite and its version; about: what else is to be known, in sentences."""
    shown = list(made[-MOST:])
    blocks: list[Block] = [Para(f"{name}: {', '.join(one.label for one in made)}", "bold"), Gap()]
    blocks.append(_verdicts(shown, entries))
    for release in shown[::-1]:
        if release.comparison is not None:
            texts = answer.of_comparison(release.comparison)
            blocks += [Gap(), Para(f"{release.label} against {release.against}", "bold")]
            blocks += [Para(text, bullet=True) for text in answer.cut(texts, f"{page_name(release)} has them")]
    for metric in dict.fromkeys(one.metric for one in view.histories):
        blocks += [Gap(), _figures(metric, [one for one in view.histories if one.metric == metric], shown)]
    blocks.append(Gap())
    blocks += [Para(text, JUDGED[judged] if judged else "", bullet=True) for text, judged in histories.findings(view)]
    notes = [
        "A change is that of the newest release against the one before it; the claims of a pair of releases are "
        "95 % sure together.",
        *histories.remarks(view),
        *about,
    ]
    return [*blocks, *(Para(text, "dim", bullet=True) for text in notes if text)]


def page_name(release: Release) -> str:
    """The file of a release's page; sets may call a release anything."""
    return f"{_NO_NAME.sub('_', release.label)}.html"


def to_json(name: str, made: Sequence[Release], entries: Entries, view: Trend) -> str:
    """An indented JSON document: for each release its claims and its comparison, and the histories over all."""
    releases = [
        {
            "release": one.label,
            "claims": {entry.name: claims.as_data(entry.findings) for entry in entries[one.label]},
            "against": one.against,
            "comparison": json.loads(data.comparison_json(one.comparison)) if one.comparison else None,
        }
        for one in made
    ]
    history = json.loads(histories.trend(view, "json", 0, False))
    return data.json_text({"suite": name, "releases": releases, "history": history})


def _verdicts(made: Sequence[Release], entries: Entries) -> Table:
    """A row a claim, a column a release."""
    outcomes: dict[str, dict[str, ClaimVerdict]] = {}
    for release in made:
        for entry in entries[release.label]:
            for claim in entry.findings:
                outcomes.setdefault(f"{entry.name}/{claim.name}", {})[release.label] = claim
    cols = (Col("claim", right=False), *(Col(one.label, right=False) for one in made))
    rows = [(Text(name), *(_outcome(row.get(one.label)) for one in made)) for name, row in outcomes.items()]
    return Table(cols, tuple(rows))


def _outcome(claim: ClaimVerdict | None) -> Text:
    return Text(claim.outcome, claims.STYLES[claim.outcome]) if claim else Text(words.BLANK, "dim")


def _figures(metric: str, some: Sequence[History], made: Sequence[Release]) -> Table:
    """A row a cell, a column a release, and how the newest differs from the one before it."""
    column = columns.metric(metric)
    cols = (Col("cell", right=False), *(Col(one.label) for one in made), Col("change", right=False))
    rows = grouped((one.factors, row) for one in some for row in _row(one, made))
    better = f" ({column.better} is better)" if column.better else ""
    return Table(cols, rows, f"{words.named(column)}{better}")


def _row(history: History, made: Sequence[Release]) -> Iterator[TableRow]:
    values = {moment.label: words.short(moment.value) for moment in history.moments}
    changes = made[-1].comparison
    change = next(
        (
            row.change
            for row in (changes.rows if changes else ())
            if (row.metric, row.case, row.factors) == (history.metric, history.case, history.factors)
        ),
        None,
    )
    told = Text(words.verdict(change) or words.BLANK, JUDGED[change.judged]) if change else Text("")
    yield (Text(history.case), *(Text(values.get(one.label, words.BLANK)) for one in made), told)
