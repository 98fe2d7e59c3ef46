"""The same findings for programs: JSON documents and CSV tables with units in their names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

from harness import columns
from harness.analysis.awake import KeptAwake
from harness.analysis.compare import Change, Comparison, Factors, Row
from harness.analysis.compare.model import LEVEL
from harness.report import answer
from harness.report.gate import gates_json
from harness.report.reading import as_data
from harness.report.words import Json
from harness.stats import Estimate, Interval
from harness.tables.csvout import csv_text, decimals_of, neutral, number

if TYPE_CHECKING:
    from harness.analysis.claims import ClaimVerdict
    from harness.analysis.compare.gate import GateVerdict
    from harness.analysis.summary import CellView, Overview

Document = dict[str, Json]
"""An object of a JSON document, or a row of a CSV table by column."""

_SIDE = ("median", "low", "high", "confidence_percent", "n", "n_total")
_CHANGE = ("ratio", "ratio_low", "ratio_high", "outcome", "judged")
_MORE = ("difference", "difference_low", "difference_high", "paired", "rank_test", "p", "p_holm")
_TOGETHER = ("together_low", "together_high", "comparisons", "no_larger_than")
_LAST = ("confirmed", "small", "runs_needed", "p_together")


def overview_json(view: Overview) -> str:
    """An overview as an indented JSON document."""
    document: Document = {
        **_fields(view, "label", "name", "description", "baseline"),
        "runs": {**view.verdicts, "missing": view.missing, "made_again": view.made_again},
        "facts": view.facts,
        "cells": [_cell_json(cell) for cell in view.cells],
        **({"model_time": view.model_time} if view.model_time else {}),
        "left_out": [
            {
                **_fields(group, "verdict", "reason", "runs"),
                **({"p50_us": group.p50_us} if group.p50_us is not None else {}),
                "cells": _cells(group.cells),
            }
            for group in view.left_out
        ],
        **_fields(view, "calibration", "warnings"),
        **({"faster_beside_hogs": [_awake_json(item) for item in view.awake]} if view.awake else {}),
        **({"claims": _claims(view.claims)} if view.claims else {}),
        **({"readings": read} if (read := as_data(view.readings)) else {}),
    }
    return json_text(document)


def overview_csv(view: Overview) -> str:
    """An overview as CSV, one row per cell: the columns of summary.csv, then the changes."""
    metrics = list(dict.fromkeys(name for cell in view.cells for name in cell.estimates))
    changed = list(dict.fromkeys(name for cell in view.cells for name in cell.changes))
    emulated = view.facts.get("accelerator", ()) if view.model_time else ()
    names = ["case", *_factor_names(cell.factors for cell in view.cells), *(["accelerator"] if emulated else [])]
    names += ["n_planned", "n_total", *(f"n_{verdict}" for verdict in columns.VERDICTS)]
    names += [name + suffix for name in metrics for suffix, _ in columns.SUMMARY_PARTS]
    names += [f"{name}_{part}" for name in changed for part in (*_CHANGE, *_TOGETHER)]
    rows = []
    for cell in view.cells:
        row: Document = {"case": cell.case, **dict(cell.factors), "n_planned": cell.planned or None}
        row |= {"accelerator": "+".join(emulated), "n_total": cell.total}
        row |= {f"n_{name}": count for name, count in cell.verdicts.items()}
        for name, estimate in cell.estimates.items():
            side = _side_row(estimate, decimals_of(name))
            row |= {f"{name}_{part}".removesuffix("_median"): value for part, value in side.items()}
        for name, change in cell.changes.items():
            row |= {f"{name}_{part}": value for part, value in _change_row(change).items()}
        rows.append(row | {"note": cell.note})
    return _csv([*names, "note"], rows)


def _claims(claims: Sequence[ClaimVerdict]) -> Json:
    # Imported here: of all that a table needs it is the slowest to load.
    from harness.report.claims import as_data

    return as_data(claims)


def comparison_json(
    comparison: Comparison, claims: Sequence[tuple[str, Sequence[ClaimVerdict]]] = (), gates: Sequence[GateVerdict] = ()
) -> str:
    """A comparison as an indented JSON document, with the claims of its inputs by label and what each gate came to."""
    document: Document = {
        **_fields(comparison, "kind", "label", "inputs", "included", "smallest_effect"),
        "findings": answer.of_comparison(comparison),
        "metrics": [_fields(metric, "name", "unit", "better") for metric in comparison.metrics],
        **_fields(comparison, "differences"),
        "experiments": [
            {"key": item.key, "values": [value or None for value in item.values], "cells": _cells(item.cells)}
            for item in comparison.experiments
        ],
        **_fields(comparison, "limits", "verdict", "family"),
        "rows": [_row_json(row, comparison.inputs[row.against].letter) for row in comparison.rows],
        "outliers": [{**asdict(run), "factors": dict(run.factors)} for run in comparison.outliers],
        **_fields(comparison, "drifts", "notes", "calibration", "warnings"),
        **({"readings": read} if (read := as_data(comparison.readings)) else {}),
        **({"claims": {label: _claims(carried) for label, carried in claims}} if claims else {}),
        **({"gates": gates_json(comparison, gates)} if gates else {}),
    }
    return json_text(document)


def comparison_csv(comparison: Comparison) -> str:
    """A comparison as CSV, one row per metric, cell and input beside the first."""
    units = {metric.name: metric.unit for metric in comparison.metrics}
    rows = []
    for row in comparison.rows:
        out: Document = {"metric": row.metric, "unit": units[row.metric], "case": row.case, **dict(row.factors)}
        out["against"] = comparison.inputs[row.against].letter
        decimals = decimals_of(row.metric)
        for name, estimate, side in (("base", row.change.base, row.base), ("test", row.change.test, row.test)):
            out |= {f"{name}_{part}": value for part, value in _side_row(estimate, decimals).items()}
            out[f"{name}_n_total"] = side.total if side else 0
        whole = _change_json(row.change)
        rows.append(out | _change_row(row.change, whole) | _tests_row(whole, decimals))
    sides = [f"{side}_{part}" for side in ("base", "test") for part in _SIDE]
    names = ["metric", "unit", "case", *_factor_names(row.factors for row in comparison.rows), "against", *sides]
    return _csv([*names, *_CHANGE[:3], *_MORE, *_CHANGE[3:], *_LAST, *_TOGETHER, "note"], rows)


def _fields(value: object, *names: str) -> Document:
    """These attributes of a value; what they hold of dataclasses `json_text` writes as objects."""
    return {name: getattr(value, name) for name in names}


def _cells(keys: Iterable[tuple[str, Factors]]) -> Json:
    return [{"case": case, "factors": dict(factors)} for case, factors in keys]


def _cell_json(cell: CellView) -> Document:
    inert: Document = {
        "inert_metrics": {name: _estimate_json(estimate) for name, estimate in cell.inert.items()},
        "inert_changes": {name: _change_json(change) for name, change in cell.inert_changes.items()},
    }
    return {
        "case": cell.case,
        "factors": dict(cell.factors),
        **_fields(cell, "planned", "total", "verdicts"),
        "metrics": {name: _estimate_json(estimate) for name, estimate in cell.estimates.items()},
        **(inert if cell.inert else {}),
        "changes": {name: _change_json(change) for name, change in cell.changes.items()},
        **_fields(cell, "effects", "note"),
    }


def _awake_json(item: KeptAwake) -> Document:
    alone, beside = item.idle_percent
    return {
        "case": item.case,
        "factors": dict(item.factors),
        "change": _change_json(item.change),
        "slept": item.end,
        "sleeps_per_request": item.sleeps,
        "set_idle_percent": {"alone": alone, "beside": beside},
    }


def _row_json(row: Row, against: str) -> Document:
    return {
        "metric": row.metric,
        "case": row.case,
        "factors": dict(row.factors),
        "against": against,
        "base": {**_estimate_json(row.change.base), "runs": row.base.verdicts if row.base else None},
        "test": {**_estimate_json(row.change.test), "runs": row.test.verdicts if row.test else None},
        **_change_json(row.change),
    }


def _ends(interval: Interval | None, lead: str = "") -> dict[str, float | None]:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {f"{lead}low": low, f"{lead}high": high}


def _estimate_json(estimate: Estimate) -> Document:
    confidence = estimate.interval.confidence if estimate.interval else None
    return {"median": estimate.median, **_ends(estimate.interval), "confidence": confidence, "n": estimate.n}


def _change_json(change: Change) -> Document:
    ratio, difference, rank = change.ratio, change.difference, change.rank
    return {
        "ratio": ratio.value if ratio else None,
        **_ends(ratio.interval if ratio else None, "ratio_"),
        "difference": difference.value if difference else None,
        **_ends(difference.interval if difference else None, "difference_"),
        "paired": difference.paired if difference else None,
        "rank_test": rank.method if rank else None,
        "p": rank.p if rank else None,
        "p_holm": change.p,
        "outcome": change.outcome,
        "judged": change.judged,
        "confirmed": (change.p or 0.0) <= LEVEL if change.outcome in ("lower", "higher") else None,
        "small": change.small,
        "runs_needed": change.needed,
        **_ends(change.together, "together_"),
        "comparisons": change.comparisons,
        "p_together": change.p_together,
        "no_larger_than": change.no_larger,
        "note": change.note,
    }


def _change_row(change: Change, whole: Document | None = None) -> Document:
    whole = whole or _change_json(change)
    return {part: _digits(whole[part], 5) for part in (*_CHANGE, *_TOGETHER)} | {"note": change.note}


def _tests_row(whole: Document, decimals: int | None) -> Document:
    return {part: _digits(whole[part], decimals if part.startswith("difference") else 6) for part in (*_MORE, *_LAST)}


def _side_row(estimate: Estimate, decimals: int | None) -> Document:
    interval = estimate.interval
    numbers = {"median": estimate.median, **_ends(interval)}
    return {part: _digits(value, decimals) for part, value in numbers.items()} | {
        "confidence_percent": _digits(100 * interval.confidence if interval else None, 3),
        "n": estimate.n,
    }


def _digits(value: Json, decimals: int | None) -> Json:
    """A value as CSV tables have it: numbers with so many decimals, flags in small letters."""
    if isinstance(value, float):
        return number(value, decimals)
    return str(value).lower() if isinstance(value, bool) else value


def _factor_names(factors: Iterable[Factors]) -> list[str]:
    return list(dict.fromkeys(name for pairs in factors for name, _ in pairs))


def _csv(names: Sequence[str], rows: Iterable[Mapping[str, Json]]) -> str:
    fields = ([_field(row.get(name, "")) for name in names] for row in rows)
    return csv_text(chain([[neutral(name) for name in names]], fields))


def _field(value: Json) -> str:
    return neutral(value) if isinstance(value, str) else "" if value is None else str(value)


def json_text(document: Json) -> str:
    """A document as indented JSON; ends with a newline."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False, default=asdict) + "\n"
