"""Limits of `checks` that make the runs that count another choice: changed between sides, or looser than usual."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.compare.experiments import Experiments, differing_checks, loosened
from harness.tables.source import Source


def limits_of_sets(sources: Sequence[Source], letters: Sequence[str], measured: Experiments) -> tuple[str, ...]:
    """Sentences on limits that are not the same on all sides, and on those that are looser than their defaults."""
    changed = [
        f"{item.key.removeprefix('checks.')} {' -> '.join(value or 'unknown' for value in item.values)}"
        for item in measured.differences
        if item.key.startswith("checks")
    ]
    sentences = [_changed(changed)] if changed else []
    loose: dict[tuple[str, ...], list[str]] = {}
    for letter, source in zip(letters, sources, strict=True):
        if limits := loosened(source):
            loose.setdefault(limits, []).append(letter)
    sentences += [_loose(limits, f" in {' and '.join(where)}") for limits, where in loose.items()]
    return tuple(sentences)


def limits_of_cases(source: Source, baseline: str) -> tuple[str, ...]:
    """The same for the cases of one source against its baseline."""
    changed = [
        f"{key.removeprefix('checks.')} {one} -> {other} in {case}"
        for case, key, one, other in differing_checks(source, baseline)
    ]
    limits = loosened(source)
    return tuple([_changed(changed)] if changed else []) + ((_loose(limits),) if limits else ())


def looser_than_default(source: Source) -> tuple[str, ...]:
    """A finding on the limits of one source that are looser than their defaults, in words; else none."""
    limits = loosened(source)
    return (_loose(limits).removesuffix("."),) if limits else ()


def _changed(texts: Sequence[str]) -> str:
    return f"Checks differ: {', '.join(texts)}: what counts as a valid run is not the same on all sides."


def _loose(limits: Sequence[str], where: str = "") -> str:
    return f"Checks looser than their defaults{where}: {', '.join(limits)}: runs count that usually would not."
