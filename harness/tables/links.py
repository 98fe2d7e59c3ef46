"""What a run's shaped links did when they were tried, in one line of text."""

from __future__ import annotations

from collections.abc import Sequence

from harness.store.record import LinkCheck

_MOST = 4


def links_text(rows: Sequence[LinkCheck]) -> str:
    """Every figure of a few directions; of more, only how many properties hold; "" where nothing was tried."""
    by_link: dict[str, list[LinkCheck]] = {}
    for row in rows:
        by_link.setdefault(row.link, []).append(row)
    if len(by_link) <= _MOST:
        return "; ".join(f"{link}: {', '.join(map(_check_text, of_it))}" for link, of_it in by_link.items())
    good, unknown = (sum(row.ok is ok for row in rows) for ok in (True, None))
    bad = len(rows) - good - unknown
    return f"{len(rows)} properties of {len(by_link)} directions: {good} as declared, {bad} not, {unknown} not known"


def _check_text(row: LinkCheck) -> str:
    within = f" +-{row.tolerance}" if row.tolerance else ""
    breach = " BREACH" if row.ok is False else ""
    return f"{row.check} {row.measured} ({row.declared} declared{within}){breach}"
