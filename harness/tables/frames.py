"""Run records to DataFrames: runs, nodes, knobs, cpus, with fixed columns in a fixed order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness import columns
from harness.columns import Column
from harness.tables.links import links_text

Record = Mapping[str, Any]
CellKey = tuple[str, tuple[tuple[str, str], ...]]
"""A cell by name: the case, and every factor with its value as text."""


@dataclass(frozen=True)
class Tables:
    """The tables of a result set. Text is never missing (""), numbers are float64 with NaN for blank."""

    runs: pd.DataFrame
    nodes: pd.DataFrame
    knobs: pd.DataFrame
    cpus: pd.DataFrame


def frames(records: Iterable[Record], order: Sequence[CellKey] = ()) -> Tables:
    """The tables of these records; rows by cell in the plan's `order` (as met, without), then by block."""
    found = _sorted(list(records), order)
    factors = _in_order(key for record in found for key in record["factors"])
    return Tables(
        runs=_runs(found, factors),
        nodes=_parts(found, factors, columns.NODES, "node", "nodes"),
        knobs=_knobs(found, factors),
        cpus=_parts(found, factors, columns.CPUS, "cpu", "cpus"),
    )


def factor_text(value: Any) -> str:
    """A factor's value as the tables and CSV files hold it, so that memory and file agree."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def cell_key(case: str, factors: Mapping[str, Any]) -> CellKey:
    """The name of a cell, the same from a record, a plan or a CSV file."""
    return case, tuple((name, factor_text(value)) for name, value in factors.items())


class Ranks:
    """Where a record's rows stand in a table: cells in the plan's order, then as first met; blocks within."""

    def __init__(self, order: Sequence[CellKey] = ()) -> None:
        self._place = {_unordered(key): at for at, key in enumerate(order)}

    def of(self, record: Record) -> tuple[int, float, str]:
        """The place of one record, as something to sort by."""
        block = record.get("block")
        cell = self._place.setdefault(
            _unordered(cell_key(record["case"], record["factors"])), len(self._place)
        )
        return cell, block if isinstance(block, int | float) else 0, record["run_id"]


def _sorted(found: list[Record], order: Sequence[CellKey]) -> list[Record]:
    return sorted(found, key=Ranks(order).of)


def _unordered(key: CellKey) -> tuple[str, frozenset[tuple[str, str]]]:
    return key[0], frozenset(key[1])


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _runs(found: list[Record], factors: list[str]) -> pd.DataFrame:
    fixed = [column.name for column in columns.RUN_COLUMNS]
    rows = []
    for record in found:
        row: dict[str, Any] = {f"workload_{key}": value for key, value in record["workload"].items()}
        row |= {f"contention_{key}": value for key, value in record["contention"].items()}
        row |= record["environment"]
        row |= record["metrics"]
        row |= {key: record.get(key) for key in ("run_id", "case", "block", "order", "started_utc", "wall_s")}
        row |= {"verdict": record["verdict"], "datapath": record.get("datapath")}
        row["links_tried"] = links_text(record.get("fidelity") or [])
        row["reasons"] = "; ".join(str(reason) for reason in record["reasons"])
        rows.append(row)
    known = {*fixed, *factors}
    # What a newer writer measured and this list does not know is kept, after everything known.
    measured = sorted({name for record in found for name in record["metrics"]} - known)
    other = sorted({name for row in rows for name in row} - known - set(measured))
    before = [column.name for column in columns.IDENTITY]
    names = [*before, *factors, *fixed[len(before) :], *measured, *other]
    texts = {name for name in other if not name.endswith(tuple(columns.UNIT_SUFFIXES))}
    return _frame(rows, names, found, factors, _text_names(columns.RUN_COLUMNS) | texts)


def _parts(
    found: list[Record], factors: list[str], lead: tuple[Column, ...], label: str, key: str
) -> pd.DataFrame:
    """A table with a row for every node (or CPU) of every run, whatever was counted there as columns."""
    rows, owners = [], []
    for record in found:
        for name, values in record[key].items():
            rows.append({**values, "run_id": record["run_id"], "case": record["case"], label: name})
            owners.append(record)
    first = [column.name for column in lead]
    others = sorted({name for row in rows for name in row} - set(first))
    texts = {name for name in others if any(isinstance(row.get(name), str | list | dict) for row in rows)}
    names = [*first[:2], *factors, *first[2:], *others]
    return _frame(rows, names, owners, factors, _text_names(lead) | texts)


def _knobs(found: list[Record], factors: list[str]) -> pd.DataFrame:
    rows, owners = [], []
    for record in found:
        for knob in record["knobs"]:
            rows.append({**knob, "run_id": record["run_id"], "case": record["case"]})
            owners.append(record)
    first = [column.name for column in columns.KNOBS]
    frame = _frame(
        rows, [*first[:2], *factors, *first[2:]], owners, factors, _text_names(columns.KNOBS), {"took_effect"}
    )
    frame["took_effect"] = pd.array(
        [row["took_effect"] if isinstance(row.get("took_effect"), bool) else None for row in rows],
        dtype="boolean",
    )
    return frame


def _frame(
    rows: list[dict[str, Any]],
    names: Sequence[str],
    owners: list[Record],
    factors: list[str],
    texts: set[str],
    skip: frozenset[str] | set[str] = frozenset(),
) -> pd.DataFrame:
    data: dict[str, Any] = {}
    # Of a hundred columns most sets fill half: those that no row has are blank at once.
    told = set[str]().union(*rows)
    for name in names:
        if name in factors:
            data[name] = pd.array(
                [factor_text(record["factors"].get(name)) for record in owners], dtype="str"
            )
        elif name not in told and name not in skip:
            blank: Any = "" if name in texts else float("nan")
            data[name] = pd.array([blank] * len(rows), dtype="str" if name in texts else "float64")
        elif name in texts:
            data[name] = pd.array([factor_text(row.get(name)) for row in rows], dtype="str")
        elif name in skip:
            data[name] = pd.array([None] * len(rows), dtype="boolean")
        else:
            data[name] = pd.array([_number(row.get(name)) for row in rows], dtype="float64")
    return pd.DataFrame(data, columns=list(names))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _text_names(listed: Iterable[Column]) -> set[str]:
    return {column.name for column in listed if column.dtype == "text"}
