"""The time series of runs in the few letters that a page can afford for hundreds of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.analysis.curves.reduce import Timeline
from harness.report import words
from harness.report.html.charts import Drawn
from harness.report.words import Json
from harness.tables.columnar import objects

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_DECADES, _LEAST = 10, -3
_CODES = 64 * 64 - 2


def of_runs(drawn: Drawn) -> Iterator[tuple[str, str, str, dict[str, Json]]]:
    """Run id, case, words and series of every run that has one, in the order of the table of runs."""
    runs = drawn.study.source.runs.reindex(columns=["run_id", "block", "verdict"], fill_value="")
    rows = zip(*(objects(runs[name]) for name in runs.columns), strict=True)
    cells = {int(row): cell for cell in drawn.cells for row in cell.rows}
    for at, (run_id, block, verdict) in enumerate(rows):
        if run_id not in drawn.series:
            continue
        cell = cells[at]
        repetition = f", repetition {block:.0f}" if isinstance(block, float) and block == block else ""
        doubt = f" ({verdict})" if verdict not in ("valid", "") else ""
        text = f"{words.cell(cell.case, cell.factors)}{repetition}{doubt}"
        yield run_id, cell.case, text, _packed(drawn.series[run_id])


def _packed(series: Timeline) -> dict[str, Json]:
    """A series in two letters a value (0.6 % apart), for the page's script; lost: [slice, count] pairs."""
    return {
        "slice": round(series.slice_s, 9),
        "median": "".join(map(_pair, map(float, series.p50_us))),
        "most": "".join(map(_pair, map(float, series.max_us))),
        "lost": [[at, int(count)] for at, count in enumerate(series.lost) if count],
    }


def _pair(value: float) -> str:
    code = 0
    if value > 0:
        share = (math.log10(value) - _LEAST) / _DECADES
        code = 1 + round(min(max(share, 0.0), 1.0) * _CODES)
    return _LETTERS[code // 64] + _LETTERS[code % 64]
