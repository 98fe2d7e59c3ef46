"""Run records and documents as JSON: plain finite numbers going out, only well-formed records coming in."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from harness.store.record import VERSION, RunRecord, file_key

if TYPE_CHECKING:
    from pydantic import TypeAdapter


# Tables hold 64 bits. Only where the text has so long a row of digits are the record's own numbers looked through.
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_INT64_MAX = 2**63 - 1


def to_json(value: Any) -> bytes:
    """Indented JSON in UTF-8, same value same bytes; a number that is not finite becomes null."""
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if dataclasses.is_dataclass(value):
        return {file_key(name): _plain(item) for name, item in vars(value).items()}
    if hasattr(value, "item"):
        return _plain(value.item())
    return str(value)


@cache
def _adapter() -> TypeAdapter[RunRecord]:
    # Imported here: `--help` passes by this module.
    from pydantic import TypeAdapter

    return TypeAdapter(RunRecord)


def read(data: bytes, run_id: str) -> RunRecord:
    """The record in a run.json of this or an older version. Raises ValueError saying what is wrong with it.

    What only a newer writer knows is left out.
    """
    from pydantic import ValidationError

    if b"\\ud" in data:
        # Half a surrogate pair, from a name that was no UTF-8, is JSON to Python alone.
        with contextlib.suppress(ValueError, RecursionError):
            data = json.dumps(json.loads(data), ensure_ascii=False).encode(errors="replace")
    try:
        record = _adapter().validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise ValueError(f"not readable as JSON ({first['msg']})") from error
        where = ".".join(["run record", *map(str, first["loc"])])
        raise ValueError(f"is not a sound {where}: {first['msg']}") from error
    if _LONG_NUMBER.search(data) and (where := _too_large(_plain(record), "run record")):
        raise ValueError(f"is not a sound {where}: a number that does not fit in 64 bits")
    if record.run_id != run_id:
        raise ValueError(f"says it is run {record.run_id!r}")
    if record.version > VERSION:
        raise ValueError(f"is of version {record.version}; this pollbench reads versions up to {VERSION}")
    return record


def _too_large(value: Any, where: str) -> str:
    """Where in plain data the first number is that does not fit in 64 bits; "" where all do."""
    if isinstance(value, int):
        return where if abs(value) > _INT64_MAX else ""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next(filter(None, (_too_large(item, f"{where}.{key}") for key, item in items)), "")
