"""The campaign's tables as its authors define them: means of rates and costs, medians of latencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import SupportsFloat

import numpy as np
import pandas as pd

from harness.formats.text import ratio
from harness.importers.model import ImportedRun
from harness.tables.csvout import to_csv

COLUMNS = ("qps", "avglat", "95%lat", "99%lat", "cpu", "cpq", "ipq", "ppi")
Cell = Sequence[ImportedRun]


def published_tables(runs: Iterable[ImportedRun]) -> dict[str, bytes]:
    """published.csv, and published.txt in the form of the patch series' cover letters."""
    cells: dict[tuple[str, str], list[ImportedRun]] = {}
    for run in runs:
        cells.setdefault((run.factors["load"], run.case), []).append(run)
    rows = [_row(load, case, members) for (load, case), members in cells.items()]
    if not rows:
        return {}
    return {"published.csv": to_csv(_frame(rows)), "published.txt": _text(rows).encode()}


def _row(load: str, case: str, members: Cell) -> dict[str, str | float | None]:
    valid = [run for run in members if run.verdict == "valid"]
    row: dict[str, str | float | None] = {"testcase": case, "load": load, "runs": float(len(valid))}
    row["qps"] = _over(np.mean, _metric(valid, "rate_rps"))
    for name, metric in (("avglat", "rtt_mean_us"), ("95%lat", "rtt_p95_us"), ("99%lat", "rtt_p99_us")):
        row[name] = _over(np.median, _metric(valid, metric))
    # Over all lines of all runs: runs with more CPUs weigh more, as they do in the published tables.
    idle = [part["idle_share"] for run in valid for part in run.cpus.values()]
    row["cpu"] = _over(lambda shares: float(100 - 100 * np.mean(shares)), idle)
    # A ratio of means, never a mean of ratios.
    row["cpq"] = _ratio(valid, "cycles_count", "perf_queries_count")
    row["ipq"] = _ratio(valid, "instructions_count", "perf_queries_count")
    row["ppi"] = _ratio(valid, "rx_packets_count", "interrupts_count")
    return row


def _metric(runs: Cell, name: str) -> list[float]:
    return [value for run in runs if (value := run.metrics.get(name)) is not None]


def _over(how: Callable[[list[float]], SupportsFloat], values: list[float]) -> float | None:
    return float(how(values)) if values else None


def _ratio(runs: Cell, above: str, below: str) -> float | None:
    pairs = [(run.nodes.get("server", {}).get(above), run.nodes.get("server", {}).get(below)) for run in runs]
    known = [(float(top), float(bottom)) for top, bottom in pairs if top is not None and bottom is not None]
    return ratio(sum(top for top, _ in known), sum(bottom for _, bottom in known)) if known else None


def _frame(rows: list[dict[str, str | float | None]]) -> pd.DataFrame:
    names = list(rows[0])
    texts = ("testcase", "load")
    return pd.DataFrame(
        {name: pd.array([row[name] for row in rows], dtype="str" if name in texts else "float64") for name in names}
    )


def _text(rows: list[dict[str, str | float | None]]) -> str:
    width = max(10, *(len(str(row["testcase"])) + 1 for row in rows))
    heads = f"{'testcase':>{width}}{'load':>6}" + "".join(f"{name:>8}" for name in COLUMNS)
    lines: list[str] = []
    last = None
    for row in rows:
        if row["load"] != last:
            lines += [heads] if last is None else ["", heads]
            last = row["load"]
        cells = "".join(f"{_whole(row[name]):>8}" for name in COLUMNS)
        lines.append(f"{row['testcase']!s:>{width}}{row['load']!s:>6}{cells}")
    return "\n".join(lines) + "\n"


def _whole(value: str | float | None) -> str:
    """X for what no run has, as the campaign's own script prints it."""
    return "X" if value is None else f"{value:.0f}"
