"""A trend as text, markdown, CSV and JSON: what changed, when, by how much and how sure, and every history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness import columns
from harness.analysis.compare.model import Judged
from harness.analysis.trend import MOMENT, History, Shift, Trend
from harness.report import words
from harness.report.charts.history import edges, level
from harness.report.charts.scale import Scale
from harness.report.charts.terminal import blocks_of_line
from harness.report.data import Document, json_text
from harness.report.layout import JUDGED, Block, Col, Gap, Para, Table, TableRow, Text, grouped, render
from harness.tables.csvout import csv_text, decimals_of, neutral, number

Changed = tuple[History, Shift]
"""A change of level, and of what."""

_MOST = 10
_WIDEST_LINE = 32
_LEAST_SPAN = 0.1


def trend(view: Trend, fmt: str, width: int, color: bool) -> str:
    """A trend in one of the formats text, markdown, csv and json."""
    if fmt == "json":
        return json_text(_json(view))
    if fmt == "csv":
        return csv_text(_rows(view))
    return render(document(view), fmt, width, color)


def document(view: Trend) -> list[Block]:
    """The changes in words, then a table a metric with a line for each history."""
    texts = findings(view)
    blocks: list[Block] = [Para(heading(view), "bold"), Gap()]
    blocks += [Para(text, JUDGED[judged] if judged else "", bullet=True) for text, judged in texts[:_MOST]]
    if len(texts) > _MOST:
        blocks.append(Para(f"{len(texts) - _MOST} more changes are in the tables.", bullet=True))
    blocks += [Para(text, bullet=True) for text in remarks(view)]
    for metric in dict.fromkeys(history.metric for history in view.histories):
        blocks += [Gap(), _table(metric, [history for history in view.histories if history.metric == metric])]
    return blocks


def heading(view: Trend) -> str:
    """How many histories, of how many sets, from when to when, and of what all are."""
    origins = {moment.origin for history in view.histories for moment in history.moments}
    days = sorted(moment.begun[:10] for history in view.histories for moment in history.moments if moment.begun)
    span = "" if not days else f", {days[0]}" if days[0] == days[-1] else f", {days[0]} to {days[-1]}"
    count = len(view.histories)
    histories = "1 history" if count == 1 else f"{count} histories"
    common = f"; {words.factors(view.common)}" if view.common else ""
    sets = "1 set" if len(origins) == 1 else f"{len(origins)} sets"
    return f"{histories} of {sets}{span}{common}"


def findings(view: Trend) -> list[tuple[str, Judged]]:
    """The changes in words, those of one metric that began with one set in one sentence; the newest first."""
    return sentences(view, [(history, shift) for history in view.histories for shift in history.shifts])


def sentences(view: Trend, changes: Sequence[Changed]) -> list[tuple[str, Judged]]:
    """These changes in words: what, where, by how much, since when, how sure; and whether that is better or worse."""
    groups: dict[tuple[str, str, str, str], list[Changed]] = {}
    for history, shift in changes:
        first, way = history.moments[shift.at], shift.change.outcome
        groups.setdefault((first.begun, history.metric, first.label, way), []).append((history, shift))
    newest = sorted(groups.items(), key=lambda item: item[0][0], reverse=True)
    return [(_sentence(view, metric, some), some[0][1].judged) for (_, metric, _, _), some in newest]


def _sentence(view: Trend, metric: str, some: Sequence[Changed]) -> str:
    column, (history, shift) = columns.metric(metric), some[0]
    first = history.moments[shift.at]
    since = f"from {first.label} on (set {shift.at + 1} of {len(history.moments)}{_or_else(some)}"
    since += f", {first.begun[:10]})" if view.label != MOMENT and first.begun else ")"
    cells = words.some((words.cell(one.case, one.factors) for one, _ in some), 3)
    sure = f"p {words.p_value(max(shift.p for _, shift in some))}".replace("<", "< ")
    return f"{column.label} {_size(column.unit, some)} {since}, {sure}, in {cells}" + (
        f"; {shift.judged}" if shift.judged else ""
    )


def _size(unit: str, some: Sequence[Changed]) -> str:
    """How much lower or higher: of one history with its levels, of several from the least to the most."""
    shifts = sorted((shift for _, shift in some), key=_far)
    change = shifts[0].change
    if len(shifts) > 1:
        return words.from_to(change, shifts[-1].change)
    levels = f"{words.short(change.base.median)} -> {words.short(change.test.median)} {unit}".rstrip()
    return f"{words.times(change)} ({_interval(shifts[0])}{levels})"


def _far(shift: Shift) -> float:
    difference = shift.change.difference
    return shift.change.factor or (abs(difference.value) if difference else 0.0)


def _or_else(some: Sequence[Changed]) -> str:
    """Which other places of the change are likely as well: of several histories those that suit all."""
    earliest, latest = max(shift.earliest for _, shift in some), min(shift.latest for _, shift in some)
    if earliest >= latest:
        return ""
    return f", {earliest + 1} at the earliest, {latest + 1} at the latest"


def _interval(shift: Shift) -> str:
    interval = shift.interval
    if interval is None:
        return ""
    if shift.change.ratio is None:
        return f"interval {words.signed(interval.low)} to {words.signed(interval.high)}; "
    low, high = (100 * (end - 1) for end in (interval.low, interval.high))
    return f"interval {words.signed(low)} to {words.signed(high)} %; "


def remarks(view: Trend) -> Iterator[str]:
    """What is not claimed, and what the claims mean."""
    quiet = sum(not history.shifts for history in view.histories)
    if quiet:
        yield f"No change of level is shown in {quiet} of {len(view.histories)} histories."
    short = len(view.histories) - view.judged
    if short:
        few = "1 history is" if short == 1 else f"{short} histories are"
        yield f"{few} too short to claim anything: that takes {view.least} sets, {view.judged or 1} judged together."
    if view.judged:
        yield (
            f"Of {view.judged} histories without any change, one is claimed in any of them with a chance of "
            f"{words.share(view.level)}; each interval by itself is 95 % sure."
        )
    if view.lag:
        yield f"Allowed for: that sets resemble the ones before them by a correlation of {view.lag:.2f}, as these may."
    for note in view.notes:
        yield words.sentence(note)


def _table(metric: str, histories: Sequence[History]) -> Table:
    column = columns.metric(metric)
    unit = f", {column.unit}" if column.unit else ""
    better = f" ({column.better} is better)" if column.better else ""
    cols = (
        Col("case", right=False),
        Col("sets", keep=3),
        Col("first\nlevel", keep=4),
        Col("last\nlevel"),
        Col("history", right=False, keep=2),
        Col("change", right=False),
        Col("from", right=False, keep=5),
    )
    rows = grouped((history.factors, row) for history in histories for row in _history_rows(history))
    return Table(cols, rows, f"{column.label}{unit}{better}")


def _history_rows(history: History) -> Iterator[TableRow]:
    """A row for each change, the newest first; one alone where there is none."""
    stretches = edges(history)
    first, last = level(history, *stretches[0]), level(history, *stretches[-1])
    lead = (
        Text(history.case),
        Text(str(len(history.moments))),
        Text(words.short(first)),
        Text(words.short(last)),
        Text(spark(history)),
    )
    if not history.shifts:
        yield (*lead, Text("none shown", "dim"), Text(""))
    for place, shift in enumerate(reversed(history.shifts)):
        change = Text(words.times(shift.change), JUDGED[shift.judged])
        yield (*(lead if not place else [Text("")] * len(lead)), change, Text(history.moments[shift.at].label))


def spark(history: History) -> str:
    """The newest medians as one block each, on a scale of their own, which no noise of a few percent fills."""
    values = [moment.value for moment in history.moments[-_WIDEST_LINE:]]
    middle = (min(values) + max(values)) / 2
    half = max(max(values) - middle, _LEAST_SPAN * abs(middle)) or 1.0
    return blocks_of_line(values, Scale(middle - half, middle + half, False))


def _json(view: Trend) -> Document:
    return {
        "level": view.level,
        "lag": view.lag,
        "judged": view.judged,
        "least_sets": view.least,
        "label": view.label,
        "common": dict(view.common),
        "histories": [
            {
                "metric": history.metric,
                "unit": columns.metric(history.metric).unit,
                "better": columns.metric(history.metric).better,
                "case": history.case,
                "factors": dict(history.factors),
                "sets": [
                    {"label": m.label, "begun": m.begun, "set": m.origin, "median": m.value, "n": m.runs}
                    for m in history.moments
                ],
                "changes": [_shift_json(history, shift) for shift in history.shifts],
            }
            for history in view.histories
        ],
        "notes": list(remarks(view)),
    }


def _shift_json(history: History, shift: Shift) -> Document:
    change, interval = shift.change, shift.interval
    return {
        "at": shift.at,
        "earliest": shift.earliest,
        "latest": shift.latest,
        "label": history.moments[shift.at].label,
        "begun": history.moments[shift.at].begun,
        "before": change.base.median,
        "after": change.test.median,
        "ratio": change.ratio.value if change.ratio else None,
        "difference": change.difference.value if change.difference else None,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "p": shift.p,
        "judged": shift.judged,
    }


_CHANGE = ("before", "after", "ratio", "difference", "low", "high", "p", "judged")


def _rows(view: Trend) -> Iterator[list[str]]:
    """A row for each set of each history; the columns of a change are filled where the new level begins."""
    names = list(dict.fromkeys(name for history in view.histories for name, _ in history.factors))
    yield [neutral(name) for name in ("metric", "case", *names, "label", "begun", "set", "median", "n", "level")] + [
        f"change_{part}" for part in _CHANGE
    ]
    for history in view.histories:
        at, decimals = dict(history.factors), decimals_of(history.metric)
        starts = {shift.at: _shift_json(history, shift) for shift in history.shifts}
        stretch = 1
        for place, moment in enumerate(history.moments):
            stretch += place in starts
            texts = [history.metric, history.case, *(at.get(name, "") for name in names)]
            texts += [moment.label, moment.begun, moment.origin]
            figures = [number(moment.value, decimals), str(moment.runs), str(stretch)]
            change = starts.get(place, {})
            figures += [_figure(change.get(part)) for part in _CHANGE]
            yield [*map(neutral, texts), *figures]


def _figure(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value or "")
