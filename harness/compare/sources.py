"""The two ways to compare: two sources cell by cell, or the cases of one source with its baseline case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from harness import columns, stats
from harness.compare.change import Floats, change, missing, paired_values, values_of, with_reason
from harness.compare.choose import choose_metrics, labels, meant, shared_factors
from harness.compare.environment import differences
from harness.compare.model import Change, Comparison, Factors, Row, Side
from harness.errors import InputError
from harness.tables.cells import Cell, group_cells
from harness.tables.source import Source


def compare_sources(
    base: Source,
    test: Source,
    metrics: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
) -> Comparison:
    """Compare two result sets or CSV files, cell by cell.

    Blocks of different sets were not measured side by side, so runs are never paired here. A cell that only
    one side has stays as a row with its reason. Raises InputError for unknown metrics or columns.
    """
    base_label, test_label = labels(base, test)
    chosen = choose_metrics((base.runs, test.runs), metrics)
    names, notes = shared_factors(base, test, by)
    lefts, rights = _cells(base.runs, names), _cells(test.runs, names)
    rows = []
    for name in chosen:
        left, right = values_of(base.runs, name), values_of(test.runs, name)
        for key in dict.fromkeys([*lefts, *rights]):
            one, other = lefts.get(key), rights.get(key)
            change = _across(name, (left, one), (right, other))
            rows.append(Row(name, key[0], key[1], _side(one), _side(other), change))
    found, doubts = differences(base, test, base_label, test_label)
    return Comparison(
        kind="sets",
        base_label=base_label,
        test_label=test_label,
        metrics=tuple(columns.metric(name) for name in chosen),
        rows=tuple(rows),
        base_runs=count_verdicts(lefts.values()),
        test_runs=count_verdicts(rights.values()),
        differences=found,
        notes=(*notes, *doubts),
        warnings=(*base.warnings, *test.warnings),
    )


def compare_cases(
    source: Source,
    baseline: str,
    metrics: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
) -> Comparison:
    """Compare every case of one source with its case `baseline` under the same factors, paired by block."""
    chosen = choose_metrics((source.runs,), metrics)
    cells = group_cells(source.runs, by)
    bases = {cell.factors: cell for cell in cells if cell.case == baseline}
    if not bases:
        raise InputError(
            "compare with a baseline",
            on=f"case {baseline!r}",
            got="there are no runs of it",
            todo=meant(baseline, sorted({cell.case for cell in cells})),
            where="--baseline",
        )
    tests = [cell for cell in cells if cell.case != baseline]
    rows = [
        Row(name, cell.case, cell.factors, _side(bases.get(cell.factors)), _side(cell), change)
        for name in chosen
        for cell, change in _within(source.runs, name, bases, tests)
    ]
    return Comparison(
        kind="cases",
        base_label=baseline,
        test_label=source.label,
        metrics=tuple(columns.metric(name) for name in chosen),
        rows=tuple(rows),
        base_runs=count_verdicts(bases.values()),
        test_runs=count_verdicts(tests),
        notes=() if tests else (f"there is no case beside {baseline}",),
        warnings=source.warnings,
    )


def count_verdicts(cells: Iterable[Cell]) -> dict[str, int]:
    """Runs of each verdict over cells."""
    counts = dict.fromkeys(columns.VERDICTS, 0)
    for cell in cells:
        for verdict, count in cell.verdicts.items():
            counts[verdict] += count
    return counts


def _within(
    runs: pd.DataFrame, name: str, bases: dict[Factors, Cell], tests: list[Cell]
) -> Iterator[tuple[Cell, Change]]:
    values = values_of(runs, name)
    for cell in tests:
        base = bases.get(cell.factors)
        if base is None:
            yield (
                cell,
                missing(stats.estimate([]), stats.estimate(values[cell.valid]), "no baseline run here"),
            )
            continue
        pairs = paired_values(runs, name, base, cell)
        found = change(name, values[base.valid], values[cell.valid], pairs=pairs)
        yield cell, with_reason(found, (base, cell), ("the baseline", "this case"))


def _across(metric: str, base: tuple[Floats, Cell | None], test: tuple[Floats, Cell | None]) -> Change:
    (left, one), (right, other) = base, test
    if one is None or other is None:
        found = [stats.estimate(values[cell.valid] if cell else []) for values, cell in (base, test)]
        return missing(found[0], found[1], f"not in {'A' if one is None else 'B'}")
    return with_reason(change(metric, left[one.valid], right[other.valid]), (one, other), ("A", "B"))


def _side(cell: Cell | None) -> Side | None:
    if cell is None:
        return None
    return Side(cell.case, int(cell.valid.size), int(cell.rows.size), cell.verdicts)


def _cells(runs: pd.DataFrame, names: Sequence[str]) -> dict[tuple[str, Factors], Cell]:
    """Cells by name; a factor that this table lacks is blank in all of them."""
    have = [name for name in names if name in runs.columns]
    found = {}
    for cell in group_cells(runs, have):
        values = dict(cell.factors)
        found[cell.case, tuple((name, values.get(name, "")) for name in names)] = cell
    return found
