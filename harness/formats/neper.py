"""neper's samples.csv: one row per interval, thread and flow; times in seconds, counts since the start."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.formats.latency import put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, decimal, ratio

_NEEDED = ("time", "tid", "flow_id")
QUANTILES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p99.9": "p99_9", "p99.99": "p99_99"}
"""neper's names of quantiles that have columns, and ours."""

_SUMMED = ("latency_min", "latency_mean", "latency_max", "latency_stddev")
_READ = {*_NEEDED, *_SUMMED, "transactions", "bytes_read", *(f"latency_{name}" for name in QUANTILES)}
Row = dict[str, float]


class NeperSamples(Format):
    """One run per file."""

    name = "neper"
    title = "neper samples.csv (tcp_rr and others with latencies; also streams)"
    tried = "1.1.0"
    unknown = "the test (tcp_rr, tcp_crr, udp_rr), sizes, and, with several intervals, quantiles of the whole run"
    conversions = (
        "neper latencies are whole round trips in seconds, turned into us",
        "neper's quantiles are per interval, and those of several intervals cannot be made into the run's own: blank",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the first three columns, in either order."""
        first = head.text.lstrip("\ufeff").split("\n", 1)[0]
        return first.startswith(("time,tid,flow_id", "tid,flow_id,time", "time,tid,")) and "flow_id" in first

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
    result.workload |= {"connections": float(len(flows)), "threads": float(len({row["tid"] for row in rows}))}
    elapsed = max(row["time"] for row in rows) - min(row["time"] for row in rows)
    if elapsed > 0:
        result.metrics["elapsed_s"] = elapsed
        if any("transactions" in row for row in rows):
            result.metrics["rate_rps"] = ratio(_grown(flows, "transactions"), elapsed)
        else:
            moved = _grown(flows, "bytes_read")
            result.metrics["throughput_bps"] = ratio(moved and 8 * moved, elapsed)
            result.environment["measured_by"] = "receiver"
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
        line.use()
        if not header:
            header = [cell.strip() for cell in cells]
            if not set(_NEEDED) <= set(header):
                note(line.number, "the first line does not name time, tid and flow_id")
                return []
            if unused := [name for name in header if name not in _READ]:
                note(line.number, f"{NOT_USED}columns {', '.join(unused)}")
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
    """Least, mean, deviation and greatest over all intervals; quantiles where there is one interval alone.

    A row whose latencies are all zero measured none: the last of a flow, and every row of a server.
    """
    rows, weights, empty = [], [], 0
    for members in flows.values():
        before = 0.0
        for row in members:
            done = row.get("transactions", before + 1)
            if "latency_mean" in row and done > before:
                if any(value for name, value in row.items() if name.startswith("latency_")):
                    rows.append(row)
                    weights.append(done - before)
                else:
                    empty += 1
            before = max(before, done)
    if not rows:
        if empty:
            # Those of 2019, which has no such column, are 0 in a client's samples, too.
            server = any("transactions/s" in row for members in flows.values() for row in members)
            whose = (
                "a server's samples, for neper's servers measure none" if server else "its version measures none here"
            )
            note(0, f"all latencies are 0: {whose}; left blank")
            result.environment |= {"measured_by": "server"} if server else {}
        return
    if empty:
        note(0, f"{empty} closing rows have no latencies (all are 0): they count for the rate alone")
    result.environment["measured_by"] = "client"
    weight = np.array(weights)
    requests = float(weight.sum())
    result.metrics["requests"] = requests
    values: dict[str, float | None] = {
        "min": min((row["latency_min"] for row in rows if "latency_min" in row), default=None),
        "max": max((row["latency_max"] for row in rows if "latency_max" in row), default=None),
    }
    mean = float(np.average(_column(rows, "latency_mean"), weights=weight))
    # Of a single transaction neper's own deviation is 0/0.
    deviation = np.where(weight == 1, 0.0, _column(rows, "latency_stddev"))
    square = np.average(deviation**2 + _column(rows, "latency_mean") ** 2, weights=weight) - mean**2
    values |= {"mean": mean, "sd": float(np.sqrt(max(0.0, square))) if np.isfinite(square) else None}
    for name, ours in QUANTILES.items():
        printed = [row[f"latency_{name}"] * 1e6 for row in rows if f"latency_{name}" in row]
        if len(rows) == 1:
            values[ours] = printed[0] / 1e6 if printed else None
        elif printed:
            bounds = f"that of the whole run lies between {min(printed):g} and {max(printed):g} us"
            note(0, f"{name} is per interval, of {len(printed)}, and left blank: {bounds}")
    values = {name: value * 1e6 for name, value in values.items() if value is not None and value >= 0}
    put_latencies(result, values, "rtt", requests)


def _column(rows: list[Row], name: str) -> np.typing.NDArray[np.float64]:
    return np.array([row.get(name, np.nan) for row in rows])
