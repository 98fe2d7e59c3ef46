"""Each cell's traced repetition: read, held against the runs that were not traced, and explained or refused."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from harness.analysis.tail.causes import UNEXPLAINED, Account, account
from harness.analysis.tail.packets import requests_by_packets
from harness.analysis.tail.polls import Polled, polled
from harness.analysis.tail.trace import requests_of, trace_of
from harness.errors import InputError
from harness.stats import student
from harness.store import ResultSet, RunRecord
from harness.store import samples as parquet
from harness.store.regular import read_regular
from harness.store.trace import (
    EVENT_DTYPE,
    EVENTS_FILE,
    META_FILE,
    REQUEST_DTYPE,
    REQUESTS_FILE,
    TRACED,
    Meta,
    read_meta,
)

_COLUMNS = (
    "intended_ns",
    "latency_ns",
    "service_ns",
    "connection",
    "server_received_ns",
    "server_sent_ns",
    "server_tid",
)
_LEAST_JOINED = 0.99
_METRIC = "rtt_p50_us"
_SURE = 0.95
_LEAST_SPREAD = 0.05
# In model time the instructions that write an event are time: 1.3 times the p50 of a ping-pong under 6.12.
_MOST_IN_MODEL_TIME = 1.5
# Only while it is traced are the packets of such a program looked at: 2.5 us of 44 in ping-pongs of an echo in C.
_MOST_BY_PACKETS = 1.1
_MOST_BY_POLLS = 1.1  # an event for each poll that brought packets
_NEAR = 1.1
_ROUND_NS = 6_000
_MOST_UNEXPLAINED = 0.1
_UNITS = {"us": 1e3, "ms": 1e6, "s": 1e9, "ns": 1.0}


@dataclass(frozen=True)
class Above:
    """Which requests are slow: those above a quantile of the traced run, or above a time, ns."""

    text: str
    quantile: float | None = None
    ns: float | None = None

    def threshold_ns(self, latency_ns: np.ndarray) -> float:
        """The time above which they are."""
        if self.quantile is not None:
            return float(np.quantile(latency_ns, self.quantile, method="lower"))
        return self.ns or 0.0


def parse_above(text: str) -> Above:
    """`p99`, `p99.9` or a time such as `200us`. Raises ValueError saying what is allowed."""
    if match := re.fullmatch(r"p(\d{1,2}(?:\.\d{1,4})?)", text):
        return Above(text, quantile=float(match[1]) / 100)
    if match := re.fullmatch(r"(\d+(?:\.\d+)?) ?(ns|us|ms|s)", text):
        return Above(text, ns=float(match[1]) * _UNITS[match[2]])
    raise ValueError(f"{text[:40]!r} is neither a quantile (p99, p99.9) nor a time (200us, 1.5ms)")


@dataclass(frozen=True)
class CellTail:
    """What is known of one cell's tail. refused: why nothing is concluded; then there is no account.

    traced_us, expected_us: the traced run's p50, and where it was to lie by the runs that were not traced (None: too
    few of them). joined: share of its requests with both ends' times. notes: what is no reason to refuse. polled: who
    polled each NAPI, where that was traced; also of one that is refused. near_ns: the quantile asked for, where it is
    too near to the median for a tail: then those are slow that are beyond.
    """

    case: str
    factors: dict[str, object]
    run_id: str
    requests: int = 0
    joined: float = 0.0
    traced_us: float | None = None
    expected_us: tuple[float, float] | None = None
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    meta: Meta = field(default_factory=Meta)
    account: Account | None = None
    polled: tuple[Polled, ...] = ()
    near_ns: float | None = None

    def label(self) -> str:
        """The cell in words."""
        return " ".join([self.case, *(f"{key}={value}" for key, value in self.factors.items())])


def traced_set(results: ResultSet) -> ResultSet:
    """The traced repetitions of a set, the newest ones. Raises InputError where there are none."""
    made = ResultSet.latest(results.path, TRACED)
    if made is None:
        todo = "make them: pollbench run FILE --explain (or `trace: tail` in the file)"
        raise InputError("explain a tail", str(results.path), "the set has no traced repetition", todo)
    return made


def tails(results: ResultSet, above: Above, cases: Collection[str] = ()) -> list[CellTail]:
    """Every cell's tail, or those of some cases, in the order of the runs. Raises InputError for an unknown case."""
    traced = traced_set(results)
    records = traced.records()
    there = list(dict.fromkeys(record.case for record in records))
    for case in cases:
        if case not in there:
            raise InputError(
                "explain a tail", f"case {case!r}", "it has no traced repetition", f"one of {', '.join(there)}"
            )
    untraced = results.records()
    chosen = [record for record in records if not cases or record.case in cases]
    return [_tail(traced, record, untraced, above) for record in chosen]


def _tail(traced: ResultSet, record: RunRecord, untraced: Sequence[RunRecord], above: Above) -> CellTail:
    base = CellTail(record.case, dict(record.factors), record.run_id)
    if record.verdict in ("failed", "skipped"):
        return _refuse(
            base,
            f"the traced repetition {'failed' if record.verdict == 'failed' else 'was skipped'}: "
            + "; ".join(record.reasons),
        )
    directory = traced.path / "runs" / record.run_id
    try:
        meta = read_meta(read_regular(directory / META_FILE))
        events = _events(directory)
        samples = _by_packets(directory) if meta.by_packets else _by_replies(traced, record.run_id)
    except OSError as error:
        return _refuse(base, f"its trace cannot be read: {error.strerror}")
    except ValueError as error:
        return _refuse(base, f"its trace is damaged: {error}")
    if isinstance(samples, str):
        return _refuse(base, samples)
    requests = requests_by_packets(samples, meta, events) if meta.by_packets else requests_of(samples, meta)
    answered = _answered(samples, meta)
    joined = len(requests) / answered if answered else 0.0
    latency = np.array([request.received - request.due for request in requests], dtype=np.int64)
    traced_us = float(np.median(latency)) / 1e3 if len(latency) else None
    if meta.by_packets:  # its own programs' figure, as that of the other runs
        traced_us = record.metrics.get(_METRIC)
    expected = _expected_us(record, untraced)
    reasons = _reasons(meta, joined, traced_us, _allowed_us(record, meta, expected))
    whole = CellTail(
        record.case,
        dict(record.factors),
        record.run_id,
        answered,
        joined,
        traced_us,
        expected,
        tuple(reasons),
        tuple(_notes(record, meta, expected, traced_us)),
        meta,
        polled=polled(events, meta),
    )
    if reasons:
        return whole
    model_time = _in_model_time(record)
    trace = trace_of(events, meta, requests, model_time=model_time)
    made = account(trace, requests, above.threshold_ns(latency))
    begins_ns = None if above.quantile is None else no_tail_below_ns(made, model_time)
    if begins_ns is None:
        return replace(whole, account=made)
    return replace(whole, account=account(trace, requests, begins_ns), near_ns=made.threshold_ns)


def no_tail_below_ns(made: Account, model_time: bool) -> float | None:
    """Where a tail would begin, if the quantile asked for is too near to the median to be one; None if it is one.

    It is none within a tenth of the median. In model time neither within 6 us of it, where not 90 % of what is beyond
    is explained: a reply that just misses a look of a client that polls waits for the next, which no event tells.
    """
    grain_ns = made.p50_ns + _ROUND_NS if model_time else 0.0
    near = made.threshold_ns <= _NEAR * made.p50_ns
    if near or (made.threshold_ns <= grain_ns and made.share(UNEXPLAINED) > _MOST_UNEXPLAINED):
        return max(_NEAR * made.p50_ns, grain_ns)
    return None


def _events(directory: Path) -> Any:
    columns = parquet.read_columns(directory / EVENTS_FILE, EVENT_DTYPE.names or ())
    events: Any = np.zeros(len(columns["ns"]), EVENT_DTYPE)
    for name, values in columns.items():
        events[name] = values
    return events


def _by_packets(directory: Path) -> dict[str, np.ndarray]:
    """The requests of a program that tells nothing. Raises OSError, ValueError."""
    table = np.frombuffer(read_regular(directory / REQUESTS_FILE), REQUEST_DTYPE)
    return {name: table[name].astype(np.int64) for name in REQUEST_DTYPE.names or ()}


def _by_replies(traced: ResultSet, run_id: str) -> dict[str, np.ndarray] | str:
    """The requests with the times that replies carry, or why there are none."""
    shape = traced.sample_shape(run_id)
    if shape is None or not set(_COLUMNS) <= set(shape[1]):
        todo = "the server must be our own (ping-pong, load) and messages of 40 B or more, or its port's packets tell"
        return f"its replies do not tell when the server had each request; {todo}"
    return traced.sample_columns(run_id, _COLUMNS) or traced.warnings[-1]


def _answered(samples: Mapping[str, np.ndarray], meta: Meta) -> int:
    """How many requests are to be joined; of packets those of the window, since these were looked at from the start."""
    there = samples["latency_ns"] >= 0
    if meta.by_packets:
        sent = samples["intended_ns"] + meta.start_ns
        there &= (sent >= meta.begin_ns) & (sent + samples["latency_ns"] <= meta.end_ns)
    return int(there.sum())


def _refuse(base: CellTail, reason: str) -> CellTail:
    return CellTail(base.case, base.factors, base.run_id, refused=(reason,))


def _reasons(meta: Meta, joined: float, traced_us: float | None, expected: tuple[float, float] | None) -> list[str]:
    """Why nothing may be concluded; none where it may."""
    reasons = []
    if lost := sum(meta.lost.values()):
        reasons.append(f"{lost:,} events were lost: the rings were full; make the run shorter (workload.duration)")
    if joined < _LEAST_JOINED:
        reasons.append(f"{joined:.1%} of the requests are joined with both ends' times, {_LEAST_JOINED:.0%} are needed")
    if expected is not None and traced_us is not None and not expected[0] <= traced_us <= expected[1]:
        reasons.append(
            f"the traced p50 is {traced_us:,.3g} us, and the other runs let expect {expected[0]:,.3g} to "
            f"{expected[1]:,.3g} us: the trace, or the host, changed what was to be looked at"
        )
    return reasons


def _notes(record: RunRecord, meta: Meta, expected: tuple[float, float] | None, traced_us: float | None) -> list[str]:
    notes = []
    if meta.by_packets:
        notes.append(
            "by packets: requests are followed from the client's device and back to it, without what the client does "
            "before and after; a server that was awake already may have had other work in between"
        )
    if expected is not None and traced_us is not None and traced_us > expected[1]:
        notes.append(
            f"the events themselves take time: the traced p50 is {traced_us:,.3g} us, and the other runs "
            f"let expect {expected[0]:,.3g} to {expected[1]:,.3g} us; causes hold, waits are those of the traced run"
        )
    if expected is None:
        notes.append("fewer than three other runs count: whether the trace changed the p50 is not known")
    if record.verdict != "valid":
        notes.append(f"the traced repetition is {record.verdict}: {'; '.join(record.reasons)}")
    notes += [f"the kernel lacks {event}: {why}" for event, why in meta.lacking.items()]
    return notes


def _allowed_us(record: RunRecord, meta: Meta, expected: tuple[float, float] | None) -> tuple[float, float] | None:
    """Where the traced p50 may lie for anything to be concluded: what a trace costs is known there, and bounded."""
    if expected is None:
        return None
    if _in_model_time(record):
        return expected[0], expected[1] * _MOST_IN_MODEL_TIME
    looked_at = meta.by_packets and "timed" not in record.workload
    dearer = (_MOST_BY_PACKETS if looked_at else 1.0) * (_MOST_BY_POLLS if meta.napis else 1.0)
    return expected[0], expected[1] * dearer


def _in_model_time(record: RunRecord) -> bool:
    return record.environment.get("accelerator") == "tcg-virtual"


def _expected_us(record: RunRecord, untraced: Sequence[RunRecord]) -> tuple[float, float] | None:
    """Where the p50 of one more run lies with 95 %, by Student's t of the logarithms; None of fewer than three runs.

    It is at least 5 % to either side, which no host's runs agree to.
    """
    values = [
        math.log(value)
        for other in untraced
        if other.case == record.case and other.factors == record.factors and other.verdict == "valid"
        if (value := other.metrics.get(_METRIC))
    ]
    if len(values) < 3:
        return None
    reach = student.quantile(_SURE, len(values) - 1) * stdev(values) * math.sqrt(1 + 1 / len(values))
    reach = max(reach, math.log1p(_LEAST_SPREAD))
    middle = fmean(values)
    return math.exp(middle - reach), math.exp(middle + reach)
