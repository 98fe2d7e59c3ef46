"""What a run's shaped links did when they were tried, in one line of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MOST = 4


def links_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """A few directions with every figure; of many, how many properties hold; empty where nothing was tried."""
    by_link: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_link.setdefault(str(row.get("link", "")), []).append(row)
    if len(by_link) <= _MOST:
        return "; ".join(f"{link}: {', '.join(map(_one, found))}" for link, found in by_link.items())
    good, unknown = (sum(row.get("ok") is ok for row in rows) for ok in (True, None))
    bad = len(rows) - good - unknown
    return f"{len(rows)} properties of {len(by_link)} directions: {good} as declared, {bad} not, {unknown} not known"


def _one(row: Mapping[str, Any]) -> str:
    within = f" +-{row['tolerance']}" if row.get("tolerance") else ""
    breach = " BREACH" if row.get("ok") is False else ""
    return f"{row.get('check')} {row.get('measured')} ({row.get('declared')} declared{within}){breach}"
