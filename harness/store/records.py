"""Run records as JSON: written with plain numbers, read back only in the shape every reader relies on."""

from __future__ import annotations

import json
import math
from typing import Any

from harness.columns import VERDICTS

_MAPPINGS = ("factors", "environment", "workload", "contention", "metrics", "nodes", "cpus")
_LISTS = ("reasons", "knobs", "qdiscs", "background")


def to_json(value: Any) -> bytes:
    """Indented JSON in UTF-8, same value same bytes; a number that is not finite becomes null."""
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "item") and not isinstance(value, bytes | str):
        return _plain(value.item())
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)


def read(data: bytes, run_id: str) -> dict[str, Any]:
    """The record in `data`, every part of it present. Raises ValueError saying what is wrong with it."""
    try:
        record = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not readable as JSON ({error})") from error
    if not isinstance(record, dict):
        raise ValueError("not a run record")
    if record.get("run_id") != run_id:
        raise ValueError(f"says it is run {record.get('run_id')!r}")
    if not isinstance(record.get("case"), str):
        raise ValueError("names no case")
    if record.get("verdict") not in VERDICTS:
        raise ValueError(f"has the unknown verdict {record.get('verdict')!r}")
    for key in _MAPPINGS:
        _ensure(record, key, dict)
    for key in _LISTS:
        _ensure(record, key, list)
    for key in ("nodes", "cpus"):
        if not all(isinstance(row, dict) for row in record[key].values()):
            raise ValueError(f"has {key!r} that are not tables")
    for key in ("knobs", "qdiscs"):
        if not all(isinstance(row, dict) for row in record[key]):
            raise ValueError(f"has {key!r} that are not tables")
    for name, number in record["metrics"].items():
        if not (number is None or (isinstance(number, int | float) and not isinstance(number, bool))):
            raise ValueError(f"has {number!r} for the metric {name}")
    return record


def _ensure(record: dict[str, Any], key: str, kind: type) -> None:
    if record.get(key) is None:
        record[key] = kind()
    elif not isinstance(record[key], kind):
        raise ValueError(f"has a {type(record[key]).__name__} for {key!r}")
