"""Sources brought together before they are compared: columns of one meaning under one name, in one unit."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from harness import columns
from harness.columns.names import canonical, understood
from harness.errors import InputError
from harness.tables.cells import factor_columns
from harness.tables.columnar import Numbers, Texts
from harness.tables.source import Source


def aligned(sources: Sequence[Source]) -> list[Source]:
    """The sources with those factors of others that they hold one value of, and with times in the first one's unit."""
    names = dict.fromkeys(name for source in sources for name in factor_columns(source.table))
    return _in_one_unit([_with_constants(source, list(names)) for source in sources])


def resolved(name: str, sources: Sequence[Source]) -> str:
    """What a column is called in the tables: as it is typed, as it is called in a file, or by its meaning (p99)."""
    if any(name in source.table for source in sources):
        return name
    for source in sources:
        if source.reading is not None and (here := source.reading.here.get(name)):
            return here
    says = understood(name)
    for meant in (canonical(name, says), canonical(name, replace(says, unit="us")) if says.timed else name):
        if any(meant in source.table for source in sources):
            return meant
    return name


def check_names(sources: Sequence[Source], named: Sequence[tuple[str, str]], renamed: dict[str, str]) -> None:
    """Raise InputError for a column that an option names (option, column) and no file has, and an idle --rename."""
    readings = [source.reading for source in sources if source.reading is not None]
    there = list(dict.fromkeys(column.name for reading in readings for column in reading.columns))
    for option, name in named:
        if readings and name not in there:
            close = difflib.get_close_matches(name, there, n=1)
            todo = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(there)}"
            raise InputError("read the columns", f"column {name!r}", "no file has it", todo, option)
    for old in renamed:
        if readings and len(readings) == len(sources) and all(old in reading.unused for reading in readings):
            cases = dict.fromkeys(case for source in sources for case in source.table.texts("case").distinct())
            raise InputError(
                "rename a case",
                repr(old),
                "no file has such a case or column",
                f"there is {', '.join(cases)}",
                "--rename",
            )


def _with_constants(source: Source, names: Sequence[str]) -> Source:
    constants = source.reading.constants if source.reading else {}
    more = {name: constants[name] for name in names if name in constants and name not in source.table}
    if not more:
        return source
    texts = {name: Texts.filled(text, len(source.table)) for name, text in more.items()}
    return replace(source, runs=source.table.assign(texts))


def _in_one_unit(sources: Sequence[Source]) -> list[Source]:
    """Times such as my_wait_ms as my_wait_us, where an earlier source has them so."""
    known: dict[str, str] = {}
    made = []
    for source in sources:
        others: dict[str, tuple[str, float]] = {}
        for name in source.table.names:
            unit = columns.unit_of(name)
            if name in columns.BY_NAME or unit not in columns.TO_US or name in factor_columns(source.table):
                continue
            base = name.removesuffix(f"_{unit}")
            first = known.setdefault(base, name)
            if first != name and first not in source.table:
                others[name] = (first, columns.TO_US[unit] / columns.TO_US[columns.unit_of(first) or unit])
        runs = source.table
        for name, (first, factor) in others.items():
            runs = runs.renamed({name: first}).assign({first: Numbers(runs.floats(name) * factor)})
        notes = tuple(
            f"column {name} of {source.label} is compared as {first}, times {factor:g}"
            for name, (first, factor) in others.items()
        )
        made.append(replace(source, runs=runs, warnings=(*source.warnings, *notes)) if others else source)
    return made
