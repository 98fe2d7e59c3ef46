"""The same findings for programs: JSON documents and CSV tables with units in their names."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness import columns
from harness.analysis.compare import Change, Comparison, Factors, Row
from harness.stats import Estimate
from harness.tables.csvout import decimals_of, neutral, number

if TYPE_CHECKING:
    from harness.analysis.claims import Finding
    from harness.analysis.summary import CellView, Overview


def overview_json(view: Overview) -> str:
    """An overview as an indented JSON document."""
    return _json(
        {
            "label": view.label,
            "name": view.name,
            "description": view.description,
            "baseline": view.baseline,
            "runs": {**view.verdicts, "missing": view.missing},
            "facts": {name: list(values) for name, values in view.facts.items()},
            "cells": [_cell_json(cell) for cell in view.cells],
            **({"model_time": view.model_time} if view.model_time else {}),
            "left_out": [
                {
                    "verdict": group.verdict,
                    "reason": group.reason,
                    "runs": group.runs,
                    "cells": [{"case": case, "factors": dict(factors)} for case, factors in group.cells],
                }
                for group in view.left_out
            ],
            "calibration": list(view.calibration),
            "warnings": list(view.warnings),
            **({"claims": _claims(view.claims)} if view.claims else {}),
        }
    )


def overview_csv(view: Overview) -> str:
    """An overview as CSV, one row per cell: the columns of summary.csv, then the changes."""
    factors = _factor_names(cell.factors for cell in view.cells)
    metrics = _in_order(name for cell in view.cells for name in cell.estimates)
    changed = _in_order(name for cell in view.cells for name in cell.changes)
    emulated = view.facts.get("accelerator", ()) if view.model_time else ()
    names = [
        "case",
        *factors,
        *(["accelerator"] if emulated else []),
        "n_planned",
        "n_total",
        *(f"n_{verdict}" for verdict in columns.VERDICTS),
    ]
    rows = []
    for cell in view.cells:
        row: dict[str, Any] = {"case": cell.case, **dict(cell.factors), "n_planned": cell.planned or None}
        if emulated:
            row["accelerator"] = "+".join(emulated)
        row |= {"n_total": cell.total, **{f"n_{name}": count for name, count in cell.verdicts.items()}}
        for name in metrics:
            row |= _estimate_row(name, cell.estimates.get(name))
        for name in changed:
            row |= _change_row(f"{name}_", cell.changes.get(name))
        row["note"] = cell.note
        rows.append(row)
    names += [name + suffix for name in metrics for suffix, _ in columns.SUMMARY_PARTS]
    names += [f"{name}_{part}" for name in changed for part in _CHANGE]
    return _csv([*names, "note"], rows)


def _claims(found: Sequence[Finding]) -> list[dict[str, Any]]:
    # Imported here: the models of experiment files, which it brings, cost 100 ms.
    from harness.report.claims import as_data

    return as_data(found)


def comparison_json(found: Comparison, claims: Sequence[tuple[str, Sequence[Finding]]] = ()) -> str:
    """A comparison as an indented JSON document, with the claims of its inputs by label."""
    return _json(
        {
            "kind": found.kind,
            "label": found.label,
            "inputs": [
                {"letter": each.letter, "label": each.label, "runs": each.runs} for each in found.inputs
            ],
            "included": list(found.included),
            "smallest_effect": found.smallest_effect,
            "metrics": [
                {"name": metric.name, "unit": metric.unit, "better": metric.better}
                for metric in found.metrics
            ],
            "differences": [
                {"column": item.column, "values": [list(values) for values in item.values]}
                for item in found.differences
            ],
            "verdict": list(found.verdict),
            "family": found.family,
            "rows": [_row_json(row, found.inputs[row.against].letter) for row in found.rows],
            "outliers": [{**asdict(each), "factors": dict(each.factors)} for each in found.outliers],
            "notes": list(found.notes),
            "calibration": list(found.calibration),
            "warnings": list(found.warnings),
            **({"claims": {label: _claims(each) for label, each in claims}} if claims else {}),
        }
    )


def comparison_csv(found: Comparison) -> str:
    """A comparison as CSV, one row per metric, cell and input beside the first."""
    factors = _factor_names(row.factors for row in found.rows)
    units = {metric.name: metric.unit for metric in found.metrics}
    sides = [f"{side}_{part}" for side in ("base", "test") for part in _SIDE]
    rows = []
    for row in found.rows:
        unit = units[row.metric]
        out: dict[str, Any] = {"metric": row.metric, "unit": unit, "case": row.case, **dict(row.factors)}
        out["against"] = found.inputs[row.against].letter
        decimals = decimals_of(row.metric)
        for side, estimate, cell in (
            ("base", row.change.base, row.base),
            ("test", row.change.test, row.test),
        ):
            out |= {f"{side}_{part}": value for part, value in _side_row(estimate, decimals).items()}
            out[f"{side}_n_total"] = cell.total if cell else 0
        rows.append(out | _whole_change_row(row.change, decimals))
    names = ["metric", "unit", "case", *factors, "against", *sides]
    return _csv([*names, *_CHANGE[:3], *_MORE, *_CHANGE[3:], *_LAST, "note"], rows)


_SIDE = ("median", "low", "high", "confidence_percent", "n", "n_total")
_CHANGE = ("ratio", "ratio_low", "ratio_high", "outcome", "judged")
_MORE = ("difference", "difference_low", "difference_high", "paired", "rank_test", "p", "p_holm")
_LAST = ("confirmed", "small", "runs_needed")


def _cell_json(cell: CellView) -> dict[str, Any]:
    return {
        "case": cell.case,
        "factors": dict(cell.factors),
        "planned": cell.planned,
        "total": cell.total,
        "verdicts": cell.verdicts,
        "metrics": {name: _estimate_json(estimate) for name, estimate in cell.estimates.items()},
        "changes": {name: _change_json(change) for name, change in cell.changes.items()},
        "effects": [
            {"knob": item.knob, "took": item.took, "not_taken": item.not_taken, "unseen": item.unseen}
            for item in cell.effects
        ],
        "note": cell.note,
    }


def _row_json(row: Row, against: str) -> dict[str, Any]:
    return {
        "metric": row.metric,
        "case": row.case,
        "factors": dict(row.factors),
        "against": against,
        "base": {**_estimate_json(row.change.base), "runs": row.base.verdicts if row.base else None},
        "test": {**_estimate_json(row.change.test), "runs": row.test.verdicts if row.test else None},
        **_change_json(row.change),
    }


def _estimate_json(found: Estimate) -> dict[str, Any]:
    interval = found.interval
    return {
        "median": found.median,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "confidence": interval.confidence if interval else None,
        "n": found.n,
    }


def _change_json(change: Change) -> dict[str, Any]:
    ratio, difference, rank = change.ratio, change.difference, change.rank
    interval = ratio.interval if ratio else None
    apart = difference.interval if difference else None
    return {
        "ratio": ratio.value if ratio else None,
        "ratio_low": interval.low if interval else None,
        "ratio_high": interval.high if interval else None,
        "difference": difference.value if difference else None,
        "difference_low": apart.low if apart else None,
        "difference_high": apart.high if apart else None,
        "paired": difference.paired if difference else None,
        "rank_test": rank.method if rank else None,
        "p": rank.p if rank else None,
        "p_holm": change.p,
        "outcome": change.outcome,
        "judged": change.judged,
        "confirmed": not change.unconfirmed if change.outcome in ("lower", "higher") else None,
        "small": change.small,
        "runs_needed": change.needed,
        "note": change.note,
    }


def _whole_change_row(change: Change, decimals: int | None) -> dict[str, Any]:
    found = _change_json(change)
    row = _change_row("", change)
    row |= {part: _digits(found[part], decimals) for part in _MORE[:3]}
    row |= {part: _digits(found[part], 6) for part in ("p", "p_holm")}
    flags = {part: found[part] for part in ("paired", "confirmed", "small")}
    row |= {part: None if flag is None else str(flag).lower() for part, flag in flags.items()}
    return row | {"rank_test": found["rank_test"], "runs_needed": found["runs_needed"]}


def _estimate_row(name: str, found: Estimate | None) -> dict[str, Any]:
    if found is None:
        return {}
    decimals = decimals_of(name)
    parts = _side_row(found, decimals)
    keys = {
        "": "median",
        "_low": "low",
        "_high": "high",
        "_confidence_percent": "confidence_percent",
        "_n": "n",
    }
    return {name + suffix: parts[part] for suffix, part in keys.items()}


def _side_row(found: Estimate, decimals: int | None) -> dict[str, Any]:
    interval = found.interval
    return {
        "median": _digits(found.median, decimals),
        "low": _digits(interval.low if interval else None, decimals),
        "high": _digits(interval.high if interval else None, decimals),
        "confidence_percent": _digits(100 * interval.confidence if interval else None, 3),
        "n": found.n,
    }


def _change_row(lead: str, change: Change | None) -> dict[str, Any]:
    if change is None:
        return {}
    found = _change_json(change)
    row = {f"{lead}{part}": _digits(found[part], 5) for part in _CHANGE[:3]}
    return row | {f"{lead}outcome": change.outcome, f"{lead}judged": change.judged, "note": change.note}


def _digits(value: float | None, decimals: int | None) -> str | None:
    return None if value is None else number(value, decimals)


def _factor_names(found: Iterable[Factors]) -> list[str]:
    return _in_order(name for factors in found for name, _ in factors)


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _csv(names: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow([neutral(name) for name in names])
    for row in rows:
        writer.writerow(["" if row.get(name) is None else neutral(str(row[name])) for name in names])
    return sink.getvalue()


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
