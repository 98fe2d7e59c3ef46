"""The ways to compare: sources cell by cell with the first, or the cases (or a factor's values) of one with one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from harness import columns, stats
from harness.analysis.compare.align import aligned, resolved
from harness.analysis.compare.change import Floats, measured, missing, reach_of, with_reason
from harness.analysis.compare.choose import (
    input_names,
    level_of,
    meant,
    metrics_of,
    pooling_notes,
    shared_factors,
    smallest_effect,
    splitting_notes,
)
from harness.analysis.compare.drift import drifts
from harness.analysis.compare.environment import HOST, differences, pooled, silent
from harness.analysis.compare.experiments import experiments
from harness.analysis.compare.family import corrected, far_runs, in_order, judged_together
from harness.analysis.compare.limits import limits_of_cases, limits_of_sets
from harness.analysis.compare.model import Change, Comparison, Factors, Input, Options, Row, Side
from harness.analysis.compare.pairing import blocks_of, interleaving, looks_of, paired_values
from harness.analysis.compare.verdict import of_cases, of_sets, other_work, shown
from harness.errors import InputError
from harness.tables.cells import SummaryCell, group_cells, made_again, whole_tails
from harness.tables.columnar import Table
from harness.tables.filters import filtered
from harness.tables.reading.roles import OF_CASE
from harness.tables.reading.seen import number_form
from harness.tables.source import Source

_Cells = dict[tuple[str, Factors], SummaryCell]


def compare_sources(sources: Sequence[Source], options: Options | None = None) -> Comparison:
    """Compare result sets or CSV files, each with the first, cell by cell.

    Blocks of different sets were not measured side by side, so runs are never paired here. A cell that only
    one side has stays as a row with its reason. Raises InputError for unknown metrics, columns and filters,
    and for fewer than two sources.
    """
    options = options or Options()
    if len(sources) < 2:
        raise InputError("compare", got="there is nothing to compare with", todo="name two sources")
    sources = _narrowed(aligned(sources), options)
    tables = [source.table for source in sources]
    names = input_names(sources)
    chosen = metrics_of(sources, options.metrics)
    factors, notes = shared_factors(tables, options.by)
    cells = [_cells(table, factors, options.include) for table in tables]
    tables = [whole_tails(table, mine.values()) for table, mine in zip(tables, cells, strict=True)]
    smallest = smallest_effect(sources, options)
    rows = [row for name in chosen for row in _sets_rows(name, tables, cells, [letter for letter, _ in names])]
    different, varied = differences(tables, _compared(tables, cells)), experiments(sources)
    level = level_of(sources)
    rows, family = corrected(judged_together(rows, smallest, level))
    labels = [label for _, label in names]
    return Comparison(
        kind="sets",
        label=" / ".join(labels),
        inputs=tuple(
            _input(letter, label, table, mine.values())
            for (letter, label), table, mine in zip(names, tables, cells, strict=True)
        ),
        metrics=shown(chosen, tables, [source.reading for source in sources]),
        rows=in_order(rows, options.sort),
        verdict=of_sets(
            tables,
            [letter for letter, _ in names],
            different,
            varied,
            [pooled(table, [cell.rows for cell in mine.values()]) for table, mine in zip(tables, cells, strict=True)],
        ),
        differences=different,
        experiments=varied.differences,
        limits=limits_of_sets(sources, [letter for letter, _ in names], varied),
        outliers=tuple(
            far
            for (letter, _), table, mine in zip(names, tables, cells, strict=True)
            for far in far_runs(letter, table, mine.values(), chosen)
        ),
        drifts=drifts(
            ((letter, table, mine.values()) for (letter, _), table, mine in zip(names, tables, cells, strict=True)),
            chosen,
        ),
        family=family,
        included=options.include,
        smallest_effect=smallest,
        level=level,
        notes=(*notes, *(f"nothing tells where the runs of {label} were made" for label in _silent(sources, labels))),
        warnings=tuple(text for source in sources for text in source.warnings),
        readings=tuple(source.reading for source in sources if source.reading is not None),
        other_work=other_work(different, varied),
    )


def _compared(tables: Sequence[Table], cells: Sequence[_Cells]) -> list[Table]:
    """Of each table the rows of cells that another one has too; the tables themselves where there are none."""
    shared = {key for at, mine in enumerate(cells) for key in mine if any(key in other for other in cells[:at])}
    if not shared:
        return list(tables)
    rows = ([cell.rows for key, cell in mine.items() if key in shared] for mine in cells)
    return [table.take(np.concatenate(own)) if own else table for table, own in zip(tables, rows, strict=True)]


def compare_cases(source: Source, baseline: str, options: Options | None = None, by: str = "") -> Comparison:
    """Compare every case of one source with its case `baseline` under the same factors, paired by block.

    by: the factor whose values the cases are; what it chooses of the host (vm.kernel the kernel) is what is compared.
    """
    options = options or Options()
    (source,) = _narrowed([source], options)
    chosen = metrics_of([source], options.metrics)
    cells = group_cells(source.table, options.by, options.include)
    source = replace(source, runs=whole_tails(source.table, cells))
    whole, chosen_by = source.table, by.rpartition(".")[2]
    if chosen_by in HOST:
        source = replace(source, runs=whole.without(chosen_by))
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
    smallest = smallest_effect([source], options)
    rows = [
        Row(name, cell.case, cell.factors, _side(bases.get(cell.factors)), _side(cell), change)
        for name in chosen
        for cell, change in _within(source, name, bases, tests)
    ]
    compared = [(bases[cell.factors], cell) for cell in tests if cell.factors in bases]
    ways = {interleaving(source.table, *both) for both in compared if all(cell.valid.size for cell in both)}
    ways = ways if any(row.change.difference for row in rows) else set()
    mixed = pooled(source.table, [np.concatenate((base.rows, test.rows)) for base, test in compared])
    drifted = drifts([(source.label, source.table, cells)], chosen)
    level = level_of([source])
    rows, family = corrected(judged_together(rows, smallest, level))
    return Comparison(
        kind="cases",
        label=source.label,
        inputs=(_input(baseline, baseline, whole, bases.values()), _input("case", "every other case", whole, tests)),
        metrics=shown(chosen, [source.table], [source.reading]),
        rows=in_order(rows, options.sort),
        verdict=of_cases(source.table, ways, list(mixed), bool(drifted)) if tests else (),
        drifts=drifted,
        limits=limits_of_cases(source, baseline),
        outliers=(
            *far_runs(baseline, source.table, bases.values(), chosen),
            *far_runs("case", source.table, tests, chosen),
        ),
        family=family,
        included=options.include,
        smallest_effect=smallest,
        level=level,
        notes=(
            *([] if tests else [f"there is no case beside {baseline}"]),
            *(splitting_notes([source.table]) if options.by is None else pooling_notes([source.table], options.by)),
        ),
        warnings=source.warnings,
        readings=() if source.reading is None else (source.reading,),
    )


def _input(letter: str, label: str, table: Table, cells: Collection[SummaryCell]) -> Input:
    again = sum(made_again(table, cell.rows) for cell in cells)
    return Input(letter, label, count_verdicts(cells), again)


def count_verdicts(cells: Iterable[SummaryCell]) -> dict[str, int]:
    """Runs of each verdict over cells."""
    counts = dict.fromkeys(columns.VERDICTS, 0)
    for cell in cells:
        for verdict, count in cell.verdicts.items():
            counts[verdict] += count
    return counts


def _narrowed(sources: Sequence[Source], options: Options) -> list[Source]:
    """The sources with only the rows that pass the filters; one without any left is an error."""
    kept = []
    for source in sources:
        runs = filtered(source.table, options.filters)
        if len(source.table) and not len(runs):
            raise InputError(
                "filter runs", on=source.label, got=f"none passes {', '.join(options.filters)}", where="--filter"
            )
        kept.append(source if runs is source.table else replace(source, runs=runs))
    return kept


def _silent(sources: Sequence[Source], labels: Sequence[str]) -> list[str]:
    return [label for source, label in zip(sources, labels, strict=True) if silent(source.table)]


def _within(
    source: Source, name: str, bases: dict[Factors, SummaryCell], tests: list[SummaryCell]
) -> Iterator[tuple[SummaryCell, Change]]:
    table, looks = source.table, looks_of(source.plan)
    values = table.floats(name)
    for cell in tests:
        base = bases.get(cell.factors)
        if base is None:
            yield (cell, missing(stats.estimate([]), stats.estimate(values[cell.valid]), "no baseline run here"))
            continue
        pairs = paired_values(table, name, base, cell)
        sides = (values[base.valid], values[cell.valid])
        unsure = reach_of(name, (table, base.valid), (table, cell.valid))
        blocks = blocks_of(table, base, cell)
        moved = measured(name, *sides, pairs=pairs, looks=looks, blocks=blocks, reach=unsure)
        yield cell, with_reason(moved, (base, cell), ("the baseline", "this case"))


def _sets_rows(name: str, tables: Sequence[Table], cells: Sequence[_Cells], letters: Sequence[str]) -> Iterator[Row]:
    """The rows of one metric: each cell that any source has, once for each source beside the first."""
    values = [table.floats(name) for table in tables]
    for key in dict.fromkeys(key for side in cells for key in side):
        base = cells[0].get(key)
        for against in range(1, len(tables)):
            test = cells[against].get(key)
            if base is None and test is None:
                continue
            sides = ((values[0], base, letters[0]), (values[against], test, letters[against]))
            absent = [letters[at] for at in (0, against) if name not in tables[at] and base and test]
            moved = _across(name, sides, (tables[0], tables[against]))
            if absent:
                moved = missing(moved.base, moved.test, f"{' and '.join(absent)} has no {name}")
            yield Row(name, key[0], key[1], _side(base), _side(test), moved, against)


_Half = tuple[Floats, SummaryCell | None, str]


def _across(metric: str, sides: tuple[_Half, _Half], tables: tuple[Table, Table]) -> Change:
    (left, one, first), (right, other, second) = sides
    if one is None or other is None:
        estimates = [stats.estimate(values[cell.valid] if cell else []) for values, cell, _ in sides]
        return missing(estimates[0], estimates[1], f"not in {first if one is None else second}")
    unsure = reach_of(metric, (tables[0], one.valid), (tables[1], other.valid))
    moved = measured(metric, left[one.valid], right[other.valid], reach=unsure)
    return with_reason(moved, (one, other), (first, second))


def _side(cell: SummaryCell | None) -> Side | None:
    if cell is None:
        return None
    return Side(cell.case, int(cell.valid.size), int(cell.rows.size), cell.verdicts)


def _cells(table: Table, names: Sequence[str], include: Sequence[str]) -> _Cells:
    """Cells by name; a factor that this table lacks is blank in all of them."""
    have = [name for name in names if name in table]
    cells = {}
    for cell in group_cells(table, have, include):
        values = dict(cell.factors)
        # 0 of one file is 0.0 of another, where a blank made numbers of pandas' whole ones.
        cells[cell.case, tuple((name, number_form(values.get(name, ""))) for name in names)] = cell
    return cells


def pivot(source: Source, text: str) -> tuple[Source, str]:
    """For a baseline FACTOR=VALUE such as vm.kernel=6.12: the source with FACTOR's values as its cases, and VALUE.

    FACTOR may be called as in the file that was read, and 0.0 is 0. Raises InputError when runs have no such column, or
    nothing has the value.
    """
    typed, _, value = text.partition("=")
    name = resolved(typed, [source])
    if name not in source.table or name == "case":
        todo = f"name a swept key of {source.label}, as its table has it"
        raise InputError("compare with a baseline", text, f"there is no factor {typed!r}", todo, "--baseline")
    values = source.table.texts(name)
    if value not in values.distinct():
        alike = [known for known in values.distinct() if number_form(known) == number_form(value)]
        if not alike:
            todo = f"there are {', '.join(values.distinct())}"
            raise InputError("compare with a baseline", text, f"no run has {typed} {value!r}", todo, "--baseline")
        value = alike[0]
    table = source.table.without(name)
    if "order" not in table and "started_utc" not in table:
        # Blocks of different machines, say: nothing tells that they were made in turns.
        table = table.without("block")
    if len(table.texts("case").distinct()) > 1 or source.reading is None:
        after = table.names.index("case") + 1
        table = table.assign({OF_CASE: table["case"]})
        table = table.only([*table.names[:after], OF_CASE, *table.names[after:-1]])
    return replace(source, runs=table.assign({"case": values})), value
