"""Why requests were slow, as text, JSON, CSV and a picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from harness.analysis.tail import CellTail, advice, no_tail, sentence, what
from harness.analysis.tail.causes import GRADES, Account, Slow
from harness.analysis.tail.pieces import SEGMENTS
from harness.analysis.tail.polls import Polled
from harness.report.layout import Block, Col, Gap, Para, Table, Text, to_text
from harness.report.words import sentence as as_sentence
from harness.report.words import short

CSV_COLUMNS = (
    *("case", "factors", "run_id", "request", "at_ms", "latency_us", "excess_us"),
    *("cause", "culprit", "pid", "cpu", "wait_us", "grade", "explained_percent"),
    *(f"{name}_us" for name in SEGMENTS),
)
_COLS = (
    Col("slow", keep=9),
    Col("cause", right=False, keep=9),
    Col("wait us\nmedian", keep=5),
    Col("\ngreatest", keep=4),
    Col("of all\nexcess", keep=3),
    Col("shown by", right=False, keep=6),
)
POLLED = ("NAPI", "polled by", "packets", "polls", "packets a poll")
_POLLS = tuple(Col(name, right=place > 1, keep=9 - place) for place, name in enumerate(POLLED))
_MOST_ROWS = 8
_MOST_POLLERS = 12
_FEW = 10
_NARROW_NS = 1000


def tail_text(tails: Sequence[CellTail], above: str, worst: int, width: int, color: bool) -> str:
    """A table and a sentence per cell, and the ways of the `worst` slowest requests."""
    blocks: list[Block] = []
    for tail in tails:
        blocks += [*_cell(tail, above), *_worst(tail, worst), Gap()]
    return to_text(blocks[:-1], width, color)


def _cell(tail: CellTail, above: str) -> Iterator[Block]:
    yield Para(tail.label(), "bold")
    account = tail.account
    if account is None:
        for reason in tail.refused:
            yield Para(f"No conclusion: {reason}.", "warn")
        yield from _polls(tail)
        return
    traced_us = tail.traced_us or account.p50_ns / 1e3
    if tail.near_ns is not None:
        yield Para(as_sentence(no_tail(account, above, tail.near_ns)), "bold")
        above = "where one would begin"
    yield Para(
        f"{len(account.slow)} of {tail.requests:,} requests took more than {account.threshold_ns / 1e3:,.4g} us "
        f"({above}); the traced p50 is {traced_us:,.4g} us{_expected(tail)}. {_joined(tail)}"
    )
    yield from _polls(tail)
    if not account.slow:
        return
    yield Table(_COLS, tuple(_rows(account)))
    yield Para(f"{sentence(account)}.", "bold")
    yield Para("How it is known: " + ", ".join(f"{grade} {account.share(grade):.1%}" for grade in GRADES) + ".", "dim")
    yield Para(f"What acts on it: {advice(account.rows[0].cause)}.")
    if (slow := len(account.slow)) < _FEW:
        few = "one slow request is little" if slow == 1 else f"{slow} slow requests are few"
        yield Para(f"Note: {few} to judge a tail by.", "dim")
    for note in tail.notes:
        yield Para(f"Note: {note}.", "dim")


def _polls(tail: CellTail) -> Iterator[Block]:
    """Who took packets from each NAPI; nothing where polls were not traced."""
    if tail.polled:
        rows = (tuple(map(Text, poller(one))) for one in tail.polled[:_MOST_POLLERS])
        yield Table(_POLLS, tuple(rows))
    if rest := tail.polled[_MOST_POLLERS:]:
        packets = sum(one.packets for one in rest)
        yield Para(f"{len(rest)} further pollers took {packets:,} packets; --json has them.", "dim")


def poller(one: Polled) -> tuple[str, ...]:
    """What a task took from a NAPI, in the columns of POLLED."""
    device = "a CPU's backlog" if one.device == "(no_device)" else one.device
    by = f"{one.who} (pid {one.pid})" if one.pid else one.who
    return (
        f"{one.napi}: {device}{f', to {one.receiver}' if one.receiver else ''}",
        f"NET_RX over {by}" if one.softirq else by,
        f"{one.packets:,}",
        f"{one.polls:,}",
        f"{one.packets / one.polls:.3g}",
    )


def _expected(tail: CellTail) -> str:
    if tail.expected_us is None:
        return ""
    return f", by the other runs expected from {tail.expected_us[0]:,.4g} to {tail.expected_us[1]:,.4g}"


def _joined(tail: CellTail) -> str:
    return f"{tail.joined:.2%} are joined with what the kernel did."


def _rows(account: Account) -> Iterator[tuple[Text, ...]]:
    slow = len(account.slow)
    for row in account.rows[:_MOST_ROWS]:
        yield (
            Text(f"{100 * row.count / slow:.1f} %"),
            Text(what(row.cause)),
            Text(short(row.median_ns / 1e3)),
            Text(short(row.most_ns / 1e3)),
            Text(f"{100 * row.excess_share:.0f} %"),
            Text(row.grade, "warn" if row.grade == GRADES[-1] else ""),
        )
    rest = account.rows[_MOST_ROWS:]
    if rest:
        count = sum(row.count for row in rest)
        share = sum(row.excess_share for row in rest)
        others = Text(f"{len(rest)} further causes")
        yield Text(f"{100 * count / slow:.1f} %"), others, Text(""), Text(""), Text(f"{100 * share:.0f} %"), Text("")


def _worst(tail: CellTail, count: int) -> Iterator[Block]:
    """The ways of the slowest requests, piece by piece; what is shorter than a microsecond is its neighbour's."""
    if tail.account is None:
        return
    slowest = sorted(tail.account.slow, key=lambda slow: -slow.latency_ns())[:count]
    for slow in slowest:
        yield Gap()
        yield Para(f"Request {slow.request.number}: {slow.latency_ns() / 1e3:,.1f} us, {what(slow.cause)}.")
        cols = (Col("at us"), Col("for us"), Col("segment", right=False), Col("what was so", right=False))
        yield Table(cols, tuple(_way(slow)))


def _way(slow: Slow) -> Iterator[tuple[Text, ...]]:
    begin = slow.request.due
    parts: list[list[object]] = []
    for piece in slow.pieces:
        words = "" if piece.cause.kind == "own" else what(piece.cause)
        tiny = piece.end - piece.begin < _NARROW_NS
        if parts and (tiny or (parts[-1][2], parts[-1][3]) == (piece.segment, words)):
            parts[-1][1] = piece.end
        else:
            parts.append([piece.begin, piece.end, piece.segment, words])
    for first, last, segment, words in parts:
        at, length = (int(str(first)) - begin) / 1e3, (int(str(last)) - int(str(first))) / 1e3
        style = "bad" if length * 1e3 > slow.latency_ns() / 4 else ""
        yield Text(f"{at:,.1f}"), Text(f"{length:,.1f}", style), Text(str(segment).replace("_", " ")), Text(str(words))


def tail_json(tails: Sequence[CellTail], above: str) -> str:
    """Everything that the text says, and every slow request with its segments."""
    return json.dumps({"above": above, "cells": [_plain(tail, above) for tail in tails]}, indent=2)


def _plain(tail: CellTail, above: str) -> dict[str, object]:
    account = tail.account
    head: dict[str, object] = {
        "case": tail.case,
        "factors": tail.factors,
        "run_id": tail.run_id,
        "requests": tail.requests,
        "joined": tail.joined,
        "traced_p50_us": tail.traced_us,
        "expected_p50_us": tail.expected_us,
        "refused": tail.refused,
        "notes": tail.notes,
        "polled": [one._asdict() for one in tail.polled],
    }
    if account is None:
        return head
    causes = [
        {
            "share": row.count / len(account.slow),
            "requests": row.count,
            **row.cause._asdict(),
            "words": what(row.cause),
            "grade": row.grade,
            "median_wait_us": row.median_ns / 1e3,
            "greatest_wait_us": row.most_ns / 1e3,
            "excess_share": row.excess_share,
            "advice": advice(row.cause),
        }
        for row in account.rows
    ]
    return head | {
        "threshold_us": account.threshold_ns / 1e3,
        "no_tail": "" if tail.near_ns is None else no_tail(account, above, tail.near_ns),
        "sentence": sentence(account),
        "grades": {grade: account.share(grade) for grade in GRADES},
        "causes": causes,
        "ordinary_us": {name: ns / 1e3 for name, ns in account.ordinary.items()},
        "slow": list(_dicts(tail)),
    }


def tail_csv(tails: Sequence[CellTail]) -> bytes:
    """A row for each slow request of every cell that was explained."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for tail in tails:
        writer.writerows(_dicts(tail))
    return out.getvalue().encode()


def _dicts(tail: CellTail) -> Iterator[dict[str, object]]:
    factors = " ".join(f"{key}={value}" for key, value in tail.factors.items())
    for slow in tail.account.slow if tail.account else ():
        yield {
            "case": tail.case,
            "factors": factors,
            "run_id": tail.run_id,
            "request": slow.request.number,
            "at_ms": round((slow.request.due - tail.meta.start_ns) / 1e6, 3),
            "latency_us": slow.latency_ns() / 1e3,
            "excess_us": round(slow.excess_ns / 1e3, 3),
            "cause": slow.cause.kind,
            "culprit": slow.cause.who,
            "pid": slow.cause.pid or None,
            "cpu": slow.cause.cpu if slow.cause.cpu >= 0 else None,
            "wait_us": round(slow.wait_ns() / 1e3, 3),
            "grade": slow.grade,
            "explained_percent": round(100 * slow.covered, 1),
        } | {f"{name}_us": ns / 1e3 for name, ns in slow.segments().items()}
