"""A runs table of anyone's CSV file, in the columns that tables have here, and the account of how it was read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness import columns
from harness.columns.names import understood
from harness.errors import InputError
from harness.tables.columnar import Column, Numbers, Table, Texts
from harness.tables.reading.account import ColumnRead, Mapping, Reading
from harness.tables.reading.around import without_summaries
from harness.tables.reading.dialect import MINIMUM, Text, form
from harness.tables.reading.fields import check_values, columns_of, sizes_in
from harness.tables.reading.intervals import as_runs as of_intervals
from harness.tables.reading.mapping import beside, not_there
from harness.tables.reading.numbers import PLAIN
from harness.tables.reading.opened import ATTEMPT, bad, text_of
from harness.tables.reading.programs import known, mapping_of
from harness.tables.reading.requests import as_runs, of_runs
from harness.tables.reading.roles import roles_of
from harness.tables.reading.seen import Seen
from harness.tables.reading.shape import widened
from harness.tables.reading.verdicts import counting

_COPIES = 4
"""More rows of one run, even equal ones, are what was measured in it, and not what was put together more than once."""
ALL = "all"
"""The case of a table in which nothing tells cases apart."""

_DESCRIBED = {"count", "mean", "std", "min", "max"}
_NOTHING = Mapping()
_OURS = ("run_id", "case", *(column.name for column in columns.RUN_COLUMNS[2:8]))


def read(path: Path, typed: Mapping = _NOTHING) -> tuple[Table, Reading]:
    """The runs of a CSV file, and how it was read. typed: what the user says of its columns beside FILE.yaml.

    Columns that are not in the list of ours are
    factors if they are text, and metrics if they are numbers. Raises InputError, with file:line, for whatever cannot be
    read, and for a table without a measured column.
    """
    text, mapping, form_notes = _opened(path, typed)
    table, units = columns_of(text, mapping)
    table = _without_blank_rows(table)
    if not len(table):
        raise InputError(ATTEMPT, got="it has a header and no rows", where=f"{path}:{text.line}")
    wide, more, units = widened(table, mapping, units)
    wide = wide.renamed(mapping.rename)
    seen = [Seen(name, wide[name]) for name in wide.names]
    columns_read = roles_of(seen, mapping, units)
    if not any(column.role == "metric" for column in columns_read):
        names = ", ".join(text.names[:8])
        bad(path, text.line, f"there is no measured column among {names}", f"name one with --metric COLUMN; {MINIMUM}")
    check_values(
        text, table, [column.name for column in columns_read if column.role == "metric" and column.name in table]
    )
    runs = _made(wide, seen, columns_read)
    repeats = [one.column for one, column in zip(seen, columns_read, strict=True) if column.role == "repetition"]
    kept, summaries = without_summaries(runs, repeats)
    if summaries:
        runs, seen = _taken(runs, seen, kept)
    kept, doubled = _once(runs, columns_read, seen)
    if doubled:
        runs, seen = _taken(runs, seen, kept)
    runs, negative = _without_negative(runs, columns_read)
    runs, unused = with_cases_renamed(
        runs, {old: new for old, new in mapping.rename.items() if new not in wide}, str(path)
    )
    for old in unused:
        if where := mapping.places.get(f"rename {old}"):
            raise not_there("case or column", old, tuple(runs.texts("case").distinct()), path.name, where)
    runs, columns_read, per = as_runs(path, runs, columns_read, seen, mapping)
    note = "a row a request"
    if not per:
        runs, columns_read, per = of_intervals(path, runs, columns_read, seen, mapping)
        note = "a row an interval"
    ours = set(_OURS) <= set(text.names)
    account = Reading(
        label=str(path),
        columns=tuple(columns_read),
        plain=ours and all(column.name == column.here != "set" for column in columns_read),
        ours=ours,
        notes=(*form_notes, *more, *summaries, *((note,) if per else ())),
        warnings=(*doubled, *negative, *per),
        constants={
            column.name: one.example
            for column, one in zip(columns_read, seen, strict=False)
            if column.role == "constant"
        },
        basis=not any(_is_vague(column, bool(per)) for column in columns_read),
        unused=unused,
    )
    return runs, account


def _opened(path: Path, typed: Mapping) -> tuple[Text, Mapping, tuple[str, ...]]:
    """The text, what its columns are said to be (by the user, a file beside it, its program's manual), and notes."""
    mapping = beside(path).under(typed)
    data, notes = text_of(path)
    text = form(path, data, mapping.decimal, mapping.roles)
    _check_names(text, mapping)
    notes = (*notes, *text.notes, *sizes_in(text))
    if program := known(text.names):
        if program.refused[0] and not mapping.metrics:
            bad(path, text.line, *program.refused)
        mapping = mapping_of(program, text.names).under(mapping)
        notes = (*notes, f"as {program.name} writes it, {program.says}") if program.says else notes
    return text, mapping, notes


def with_cases_renamed(runs: Table, names: dict[str, str], label: str) -> tuple[Table, tuple[str, ...]]:
    """The table with cases under their new names, and the old names that no case has.

    Raises InputError where a case of the new name is there already: two cases are never made one.
    """
    cases = set(runs.texts("case").distinct()) if names else set()
    here = {old: new for old, new in names.items() if old in cases}
    for old, new in here.items():
        if new in cases and new not in here:
            todo = "give the case of the other file the name that this one has"
            raise InputError("rename a case", f"{label}, {old!r}", f"a case {new!r} is there already", todo, "--rename")
    if here:
        runs = runs.assign({"case": runs.texts("case").mapped(lambda case: here.get(case, case))})
    return runs, tuple(old for old in names if old not in here)


def _check_names(text: Text, mapping: Mapping) -> None:
    names = text.names
    if names.count("") > 1 or len(set(names)) < len(names):
        below = text.sample[0] if text.sample else ()
        if below and not any(PLAIN.fullmatch(field.strip()) for field in below) and not names[0]:
            todo = "join them first: table.columns = ['_'.join(column) for column in table.columns]"
            bad(text.path, text.line, "it has several lines of names, as pandas writes columns of two levels", todo)
    for at, name in enumerate(names):
        if names.count(name) > 1 and name:
            bad(text.path, text.line, f"column {name!r} is there twice", "give each a name of its own")
        filled = any(len(row) > at and row[at].strip() for row in text.sample)
        if not name and ((at and filled) or names.count(name) > 1):
            bad(text.path, text.line, "a column has no name", "give it one, or take out what stands around the table")
    labels = {row[0].strip() for row in text.sample if row}
    if labels >= _DESCRIBED and not labels - _DESCRIBED - {"25%", "50%", "75%"}:
        got = "its rows are statistics of a table, as pandas' describe() has them, and no runs"
        bad(text.path, text.line, got, "write the table that they sum up")
    for name in (*mapping.roles, *mapping.units):
        if name and name not in names and (where := mapping.places.get(name)):
            raise not_there("column", name, names, text.path.name, where)


def _without_blank_rows(table: Table) -> Table:
    """The table without the rows of bare commas that spreadsheets leave below it."""
    # Numbers first: of hundreds of thousands of ids nobody has to know the texts.
    blank = np.ones(len(table), dtype=bool)
    for column in sorted((table[name] for name in table.names), key=lambda column: not column.numeric):
        blank &= column.blank()
        if not blank.any():
            return table
    return table.take(~blank)


def _made(table: Table, seen: Sequence[Seen], columns_read: Sequence[ColumnRead]) -> Table:
    """The table under the names that columns have here, without those that have none."""
    made: dict[str, Column] = {}
    for one, column in zip(seen, columns_read, strict=True):
        if not column.here:
            continue
        known = columns.BY_NAME.get(column.here)
        if column.role == "metric" and one.numeric:
            made[column.here] = one.column if column.scale == 1 else Numbers(one.floats() * column.scale)
        elif column.role == "time" and column.name != "started_utc":
            made[column.here] = one.times()
        elif column.role == "verdict" and column.name != "verdict":
            counts = counting(one) or bool
            made[column.here] = one.texts().mapped(lambda text, counts=counts: "valid" if counts(text) else "failed")
        elif one.numeric and known is not None and known.dtype != "text":
            made[column.here] = one.column
        elif known is not None and known.dtype != "text":
            made[column.here] = Numbers(one.column.codes.astype(np.float64))
        else:
            made[column.here] = one.texts() if one.numeric or column.name != column.here or not known else one.column
    if "case" not in made:
        made = {"case": Texts.filled(ALL, len(table))} | made
    return Table(made, len(table))


def _taken(runs: Table, seen: Sequence[Seen], kept: npt.NDArray[np.bool_]) -> tuple[Table, list[Seen]]:
    """These rows, also of the columns as they were met, in which roles look things up."""
    return runs.take(kept), [Seen(one.name, one.column.take(kept)) for one in seen]


def _once(
    runs: Table, read: Sequence[ColumnRead], seen: Sequence[Seen]
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Which rows are no copy of one above, in a table whose repetitions are told apart; and that in words.

    Files that are put one below the other twice would make each run two, and intervals narrower than they are.
    """
    kept = np.ones(len(runs), dtype=bool)
    roles = {column.role for column in read}
    if "repetition" not in roles or "run" in roles:
        return kept, ()
    keys, first, counts = np.unique(of_runs(runs, read, seen), return_index=True, return_counts=True)
    if not 1 < counts.max() <= _COPIES:
        return kept, ()
    own = {one.name: one.column for one, column in zip(seen, read, strict=True) if column.guess != "an index"}
    whole = Table(own, len(runs))
    if len(np.unique(whole.groups(whole.names))) != len(keys):
        return kept, ()
    kept[:] = False
    kept[first] = True
    return kept, (f"{len(runs) - len(keys):,} rows are in the table twice: each run counts once",)


def _without_negative(runs: Table, read: Sequence[ColumnRead]) -> tuple[Table, tuple[str, ...]]:
    """The table with nothing where a latency is below 0, as -1 stands for no answer; and that in words."""
    made, warnings = dict[str, Column](), []
    for column in read:
        says = understood(column.name)
        # One way by two clocks may be.
        if column.role != "metric" or not says.timed or says.subject == "oneway" or not runs[column.here].numeric:
            continue
        values = runs.floats(column.here)
        if count := int((below := values < 0).sum()):
            made[column.here] = Numbers(np.where(below, np.nan, values))
            rows = f"{count:,} of {len(runs):,} rows"
            warnings.append(f"column {column.name}: what is below 0 is no latency and left out ({rows})")
    return runs.assign(made), tuple(warnings)


def _is_vague(column: ColumnRead, requests: bool) -> bool:
    """Is this a latency of which the file does not say whether it is a round trip? requests: the one of every row."""
    timed = requests or column.here.startswith(("rtt_", "latency"))
    return column.role == "metric" and timed and "rtt" not in column.name.lower()
