"""Tables of other shapes made wide: a row a figure (metric, value), and repetitions side by side (run1, run2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from harness.columns import TO_US
from harness.columns.names import plain_unit, understood
from harness.tables.columnar import Numbers, Table, Texts, table_of
from harness.tables.reading.account import ColumnRead, Mapping, Role
from harness.tables.reading.roles import roles_of
from harness.tables.reading.seen import Seen, number_text
from harness.tables.reading.vocabulary import words_of

if TYPE_CHECKING:
    import pandas as pd

_METRICS = {"metric", "metrics", "measure", "measurement", "variable", "stat", "statistic", "quantity", "indicator"}
_LEVELS = {"percentile", "quantile", "pct", "percent", "percentage"}
_BESIDE = {"name", "us", "ms", "ns", "s", "the", "latency", "metric", "served", "time", "of", "in", "requests"}
_VALUES = {"value", "values", "val", "result", "reading", "measured"}
_UNITS = {"unit", "units", "uom"}
_KEPT: tuple[Role, ...] = ("case", "factor", "repetition", "block", "run", "fact", "verdict", "constant")
_REPEATED = re.compile(
    r"((run|rep|repeat|repetition|trial|iter|iteration|round|try|r|t|sample|#)[ _-]?)?\d+(\.0)?", re.IGNORECASE
)

Units = dict[str, str]


Widened = tuple[Table, tuple[str, ...], Units]


def widened(table: Table, mapping: Mapping, units: Units) -> Widened:
    """The table with a row a run and a column a metric; what was done, in words; the units of columns."""
    names = [name for name in table.names if name not in mapping.roles]
    metric = next((name for name in names if _is(name, _METRICS | _LEVELS) and not _is(name, _VALUES)), "")
    value = next((name for name in names if _is(name, _VALUES) and table[name].numeric), "")
    if metric and not value and _is(metric, _LEVELS):
        timed = [name for name in names if name != metric and table[name].numeric and _is_time(name)]
        value = timed[0] if len(timed) == 1 else ""
    if metric and value and metric != value:
        wide, notes, units = _from_long(table.frame(), mapping, units, metric, value)
        return table_of(wide), notes, units
    repeated = [name for name in names if _REPEATED.fullmatch(name) and table[name].numeric]
    if len(repeated) > 1 and not any(understood(name).stat or understood(name).timed for name in names):
        return _from_repeated(table, repeated), (f"{repeated[0]} to {repeated[-1]} are runs",), units
    return _with_unit_column(table, mapping, units)


def _with_unit_column(table: Table, mapping: Mapping, units: Units) -> Widened:
    """A column that names the unit of the times in its row: they are in it, or in microseconds where it varies."""
    stated = next((name for name in table.names if _is(name, _UNITS) and name not in mapping.roles), "")
    column = table[stated] if stated else None
    if not isinstance(column, Texts):
        return table, (), units
    known = {text: plain_unit(text) for text in column.distinct()}
    if not set(known.values()) <= TO_US.keys():
        return table, (), units
    times = [name for name in table.names if table[name].numeric and _is_bare_time(name)]
    if not times:
        return table, (), units
    here = set(known.values())
    unit = next(iter(here)) if len(here) == 1 else "us"
    if len(here) > 1:
        sizes = column.numbers(lambda text: TO_US.get(known.get(text, ""), np.nan))
        table = table.assign({name: Numbers(table.floats(name) * sizes) for name in times})
    note = f"{stated} has the unit of {', '.join(times)}"
    return table.without(stated), (note,), units | dict.fromkeys(times, unit)


def _is_bare_time(name: str) -> bool:
    """Is a time meant, and its unit not stated?"""
    says = understood(name)
    return not says.unit and (says.timed or bool(says.stat) or bool({"time", "duration", "elapsed"} & set(says.words)))


def _is(name: str, known: set[str]) -> bool:
    words = set(words_of(name))
    return bool(words & known) and words <= known | _BESIDE


def _is_time(name: str) -> bool:
    says = understood(name)
    return says.timed or says.is_time


def _from_repeated(table: Table, repeated: list[str]) -> Table:
    wide = table.without(*repeated).take(np.repeat(np.arange(len(table)), len(repeated)))
    values = np.stack([table.floats(name) for name in repeated], axis=1)
    return wide.assign({"value": Numbers(values.ravel())})


def _from_long(
    frame: pd.DataFrame, mapping: Mapping, units: Units, metric: str, value: str
) -> tuple[pd.DataFrame, tuple[str, ...], Units]:
    """One column for each name in `metric`, filled from `value`; rows of one run by what else they have in common."""
    # Imported here: tables of a row a run need none of it.
    import pandas as pd

    stated = next((str(name) for name in frame.columns if _is(str(name), _UNITS)), "")
    titles, stats = _titles(frame[metric]), understood(value)
    lead = " ".join(word for word in stats.words if word not in _VALUES | _BESIDE)
    values = frame[value].to_numpy(dtype=np.float64)
    of_cells: Units = {}
    if stated:
        known = frame[stated].map({text: plain_unit(text) for text in frame[stated].unique()})
        for title in titles.unique():
            mine = (titles == title).to_numpy()
            here = set(known[mine])
            if len(here) > 1 and here <= TO_US.keys():
                values[mine] *= known[mine].map(TO_US).to_numpy(dtype=np.float64)
                here = {"us"}
            of_cells[title] = next(iter(here)) if len(here) == 1 else ""
    elif unit := stats.unit or units.get(value, ""):
        of_cells = {title: unit for title in titles.unique() if not understood(title).unit}
    if lead:
        renamed = {title: f"{lead} {title}" for title in titles.unique()}
        titles, of_cells = titles.map(renamed), {renamed[title]: unit for title, unit in of_cells.items()}
    if pd.api.types.is_numeric_dtype(frame[metric].dtype):
        # Of a whole distribution, what has a name: not each of its hundreds of steps.
        kept = titles.map({title: bool(understood(title).stat) for title in titles.unique()}).to_numpy(dtype=bool)
        frame, titles, values = frame[kept], titles[kept], values[kept]
    others = frame.drop(columns=[name for name in (metric, value, stated) if name])
    keys = _keys(others, mapping, units)
    groups = others.groupby(keys, sort=False, dropna=False).ngroup() if keys else pd.Series(0, index=frame.index)
    if (asked := titles.isin(list(mapping.metrics.values()))).any():
        # What has other columns than the figure asked for is something else that was logged.
        kept = groups.isin(groups[asked]).to_numpy()
        others, groups, titles, values = others[kept], groups[kept], titles[kept], values[kept]
    table = pd.DataFrame({"group": groups, "title": titles, "value": values})
    time = _time_of(others, mapping, units)
    table["again"] = table.groupby(["group", "title"], sort=False).cumcount()
    wide = table.pivot(index=["group", "again"], columns="title", values="value")
    wide = wide[list(dict.fromkeys(titles))]
    times = others[time].groupby([table["group"], table["again"]]).first().loc[wide.index].to_numpy() if time else None
    firsts = others[keys].groupby(groups.to_numpy(), sort=False).head(1)
    rows = wide.index.get_level_values("group").to_numpy()
    place = {group: at for at, group in enumerate(groups.loc[firsts.index])}
    left = firsts.iloc[[place[group] for group in rows]].reset_index(drop=True)
    wide = wide.reset_index(drop=True)
    wide.columns = pd.Index(map(str, wide.columns))
    note = f"a row a figure: {metric} names it, {value} has it"
    clean = left.drop(columns=[name for name in left.columns if name in wide.columns])
    clean = clean if times is None else clean.assign(**{time: times})
    return pd.concat([clean, wide], axis=1), (note,), units | {name: unit for name, unit in of_cells.items() if unit}


def _titles(names: pd.Series) -> pd.Series:
    """The names of figures; of numbers, those of quantiles."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(names.dtype):
        return names.str.strip()
    # Shares of 1, whose last is the maximum, or of 100.
    shares = bool((names <= 1).all()) and bool((names < 1).any())
    levels = {level: f"p{number_text(100 * level if shares or 0 < level < 1 else level)}" for level in names.unique()}
    return names.map(levels).astype("str")


def _keys(others: pd.DataFrame, mapping: Mapping, units: Units) -> list[str]:
    """The columns that tell runs apart; times and notes of single figures do not."""
    return [column.name for column in _roles(others, mapping, units) if column.role in _KEPT]


def _time_of(others: pd.DataFrame, mapping: Mapping, units: Units) -> str:
    """The column that has the time of a figure, if there is one: a run's, or a request's, is that of its first."""
    return next((column.name for column in _roles(others, mapping, units) if column.role == "time"), "")


def _roles(others: pd.DataFrame, mapping: Mapping, units: Units) -> list[ColumnRead]:
    table = table_of(others)
    return roles_of([Seen(name, table[name]) for name in table.names], mapping, units)
