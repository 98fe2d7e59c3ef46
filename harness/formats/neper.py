"""neper's samples.csv: one row per interval, thread and flow; times in seconds, counts since the start."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.formats.latency import put_latencies, weighted_quantile
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, decimal, ratio

_NEEDED = ("time", "tid", "flow_id")
_QUANTILES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p99.9": "p99_9", "p99.99": "p99_99"}
Row = dict[str, float]


class NeperSamples(Format):
    """One run per file."""

    name = "neper"
    title = "neper samples.csv (tcp_rr and others with latencies; also streams)"
    conversions = (
        "neper latencies are whole round trips in seconds, turned into us",
        "neper's quantiles are per interval: where a file has several intervals, a run's quantile is the median "
        "of them weighted by transactions, which is near the run's own quantile but not the same",
    )

    def sniff(self, head: Head) -> bool:
        """By the first three columns."""
        return head.text.lstrip("\ufeff").startswith(",".join(_NEEDED[:2])) and "flow_id" in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result, over all intervals and flows."""
        result = Result(workload={"kind": "neper"})
        if rows := _rows(lines, note):
            _fill(result, rows, note)
        yield result


def _fill(result: Result, rows: list[Row], note: Note) -> None:
    flows: dict[tuple[float, float], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["time"]):
        flows.setdefault((row["tid"], row["flow_id"]), []).append(row)
    elapsed = max(row["time"] for row in rows) - min(row["time"] for row in rows)
    if elapsed > 0:
        result.metrics["elapsed_s"] = elapsed
        result.metrics["rate_rps"] = ratio(_grown(flows, "transactions"), elapsed)
        if not any("latency_mean" in row for row in rows):
            moved = _grown(flows, "bytes_read")
            result.metrics |= {"rate_rps": None, "throughput_bps": ratio(moved and 8 * moved, elapsed)}
    else:
        note(0, "it has a single point in time, which gives no rate")
    _latencies(result, flows, note)


def _rows(lines: Iterator[Line], note: Note) -> list[Row]:
    header: list[str] = []
    rows: list[Row] = []
    bad = 0
    latest: dict[tuple[float, float], float] = {}
    for line in lines:
        cells = line.text.split(",") if line.text.strip() else []
        if not header:
            header = [cell.strip() for cell in cells]
            if not set(_NEEDED) <= set(header):
                note(line.number, "the first line does not name time, tid and flow_id")
                return []
            continue
        values = {name: decimal(cell) for name, cell in zip(header, cells, strict=False)}
        known = {name: value for name, value in values.items() if value is not None}
        if len(cells) != len(header) or not set(_NEEDED) <= set(known):
            bad += 1 if cells else 0
            if bad == 1 and cells:
                note(line.number, "the row does not fit its header; such rows are left out")
            continue
        flow = known["tid"], known["flow_id"]
        if known["time"] < latest.get(flow, known["time"]):
            bad += 1
            note(line.number, "the time goes back; the row is left out")
            continue
        latest[flow] = known["time"]
        rows.append(known)
    if bad > 1:
        note(0, f"{bad} rows are left out")
    return rows


def _grown(flows: dict[tuple[float, float], list[Row]], name: str) -> float | None:
    """How much a count since the start grew between first and last sample, over all flows."""
    grown = [rows[-1][name] - rows[0][name] for rows in flows.values() if name in rows[0] and name in rows[-1]]
    return max(0.0, sum(grown)) if grown else None


def _latencies(result: Result, flows: dict[tuple[float, float], list[Row]], note: Note) -> None:
    rows, weights = [], []
    for members in flows.values():
        before = 0.0
        for row in members:
            done = row.get("transactions", before + 1)
            if "latency_mean" in row and done > before:
                rows.append(row)
                weights.append(done - before)
            before = max(before, done)
    if not rows:
        return
    weight = np.array(weights)
    result.metrics["requests"] = float(weight.sum())
    values: dict[str, float | None] = {
        "min": min((row["latency_min"] for row in rows if "latency_min" in row), default=None),
        "max": max((row["latency_max"] for row in rows if "latency_max" in row), default=None),
    }
    mean = float(np.average(_column(rows, "latency_mean"), weights=weight))
    deviation = _column(rows, "latency_stddev")
    square = np.average(deviation**2 + _column(rows, "latency_mean") ** 2, weights=weight) - mean**2
    values |= {"mean": mean, "sd": float(np.sqrt(max(0.0, square))) if np.isfinite(square) else None}
    for name, ours in _QUANTILES.items():
        values[ours] = weighted_quantile(_column(rows, f"latency_{name}"), weight, 0.5)
    values = {name: value * 1e6 for name, value in values.items() if value is not None and value >= 0}
    if len(rows) > 1:
        note(0, f"quantiles are the weighted median of those of {len(rows)} intervals")
    put_latencies(result, values, "rtt", result.metrics["requests"])


def _column(rows: list[Row], name: str) -> np.typing.NDArray[np.float64]:
    return np.array([row.get(name, np.nan) for row in rows])
