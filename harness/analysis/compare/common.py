"""A comparison in which nothing is on both sides is no table of blanks, but one sentence that says why."""

from __future__ import annotations

from collections.abc import Sequence

from harness import columns
from harness.analysis.compare.align import aligned
from harness.analysis.compare.choose import input_names, metrics_measured
from harness.analysis.compare.model import Comparison
from harness.errors import InputError
from harness.tables.cells import factor_columns
from harness.tables.source import Source

_SHOWN = 4


def refuse_nothing_common(comparison: Comparison, sources: Sequence[Source]) -> None:
    """Raise InputError where no input has a cell, or none a metric, in common with the first."""
    if comparison.kind != "sets":
        return
    sources = aligned(sources)
    if not any(row.base and row.test for row in comparison.rows):
        raise _nothing("no cell is on both sides", _cells(sources))
    measured = [set(metrics_measured(source.table)) for source in sources]
    if not any(measured[0] & other for other in measured[1:]):
        raise _nothing("no metric is on both sides", _metrics(sources))


def _nothing(got: str, why: tuple[str, str]) -> InputError:
    reason, todo = why
    return InputError("compare", got=f"{got}: {reason}", todo=todo)


def _cells(sources: Sequence[Source]) -> tuple[str, str]:
    """What keeps cells apart, and what to do about it."""
    names = input_names(sources)
    if empty := [letter for (letter, _), source in zip(names, sources, strict=True) if not len(source.table)]:
        verb = "has" if len(empty) == 1 else "have"
        return f"{' and '.join(empty)} {verb} no runs", "see what is missing: pollbench show"
    cases = [source.table.texts("case").distinct() for source in sources]
    factors = [factor_columns(source.table) for source in sources]
    if not any(set(cases[0]) & set(other) for other in cases[1:]):
        sides_text = "; ".join(
            f"{letter} has {_cases(source, own)}"
            for (letter, _), source, own in zip(names, sources, cases, strict=True)
        )
        new, old = _first(cases[0]), _first(cases[-1])
        return sides_text, f"--rename {old}={new} says that these are the same"
    alone = [
        [name for name in own if all(name not in other for place, other in enumerate(factors) if place != at)]
        for at, own in enumerate(factors)
    ]
    if any(alone):
        lone = "; ".join(f"only {names[at][0]} has the factor {own[0]}" for at, own in enumerate(alone) if own)
        todo = "name the same column in the other with --factor, or tell cells apart by the case alone: --by case"
        if alone[0] and alone[-1]:
            todo = f"--rename {_first(alone[-1])}={_first(alone[0])} says that these are the same"
        return lone, todo
    for name in factors[0]:
        sides = [dict.fromkeys(source.table.texts(name).distinct()) for source in sources if name in source.table]
        if not any(set(sides[0]) & set(other) for other in sides[1:]):
            sides_text = "; ".join(
                f"{letter} has {name} {_values(list(side))}" for (letter, _), side in zip(names, sides, strict=False)
            )
            return sides_text, "if that is what you compare, tell cells apart by the case alone: --by case"
    return "each combination of case and factors is on one side only", "tell cells apart by fewer columns: --by COLUMN"


def _metrics(sources: Sequence[Source]) -> tuple[str, str]:
    sides_text, unstated = [], ""
    for letter, source in zip((letter for letter, _ in input_names(sources)), sources, strict=True):
        names = metrics_measured(source.table)
        files = {column.here: column.name for column in source.reading.of("metric")} if source.reading else {}
        if vague := [name for name in names if columns.unit_of(name) is None]:
            unstated = unstated or files.get(vague[0], vague[0])
        sides_text.append(f"{letter} has {_values([_measured(name, files) for name in names])}")
    todo = (
        f"state the unit of {unstated}, if it is in us by --unit us"
        if unstated
        else "say which are the same: --metric NAME=COLUMN"
    )
    return "; ".join(sides_text), todo


def _measured(name: str, files: dict[str, str]) -> str:
    own = files.get(name, name)
    return f"{own} ({columns.UNSTATED})" if columns.unit_of(name) is None else own


def _cases(source: Source, cases: Sequence[str]) -> str:
    if source.reading is not None and not source.reading.of("case"):
        return f"no case column, so all runs are one case, {cases[0]!r}"
    return f"the case{'' if len(cases) == 1 else 's'} {_values(cases)}"


def _values(values: Sequence[str]) -> str:
    more = len(values) - _SHOWN
    return ", ".join(value or "(blank)" for value in values[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _first(values: Sequence[str]) -> str:
    return f"'{values[0]}'" if " " in values[0] else values[0]
