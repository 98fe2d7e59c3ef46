"""A table of a hundred thousand rows in a few arrays: numbers as floats, texts as codes of their distinct values.

Loading pandas costs more CPU time than comparing two such tables; what a comparison needs of a table is here, and
`frame` gives it as pandas has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Made = TypeVar("Made")
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


class Numbers:
    """A column of numbers; NaN where there is none."""

    numeric = True

    def __init__(self, values: Floats) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def _factored(self) -> tuple[Codes, Floats]:
        uniques, firsts, codes = np.unique(self.values, return_index=True, return_inverse=True)
        order = np.argsort(firsts, kind="stable")
        places = np.empty(len(order), dtype=np.intp)
        places[order] = np.arange(len(order))
        return places[codes], uniques[order]

    @property
    def codes(self) -> Codes:
        """A number from 0 for every row, equal for equal values, which are numbered as they are met."""
        return self._factored[0]

    @property
    def names(self) -> Sequence[float]:
        """The distinct values, by their codes."""
        return [float(value) for value in self._factored[1]]

    def distinct(self) -> list[float]:
        """The distinct values as they are met, without NaN."""
        return [float(value) for value in self._factored[1] if value == value]

    def counts(self) -> npt.NDArray[np.intp]:
        """How often each of the `distinct` values is there."""
        codes, uniques = self._factored
        return np.bincount(codes, minlength=len(uniques))[uniques == uniques]

    def take(self, rows: npt.NDArray[Any]) -> Numbers:
        """These rows alone."""
        return Numbers(self.values[rows])

    def blank(self) -> npt.NDArray[np.bool_]:
        """Which rows have no value?"""
        return np.isnan(self.values)

    def alike(self) -> bool:
        """Have all rows the same value?"""
        return bool((self.values == self.values[:1]).all())

    def series(self) -> Any:
        """As pandas has it."""
        return self.values


class Texts:
    """A column of texts, "" where there is none: a code for every row, and the text of each code."""

    numeric = False

    def __init__(self, codes: npt.NDArray[Any], names: Sequence[str] | Callable[[], Sequence[str]], size: int = -1):
        self.codes = codes
        self._names = names
        self._size = size

    @classmethod
    def of(cls, values: Sequence[str]) -> Texts:
        """A column of these texts."""
        if len(set(values)) == len(values):
            return cls(np.arange(len(values)), values)
        places: dict[str, int] = {}
        codes = np.fromiter((places.setdefault(value, len(places)) for value in values), np.intp, len(values))
        return cls(codes, list(places))

    @classmethod
    def filled(cls, text: str, count: int) -> Texts:
        """A column of one text."""
        return cls(np.zeros(count, dtype=np.intp), [text])

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def names(self) -> Sequence[str]:
        """The text of each code; of many different ones, made when they are asked for."""
        return self._names() if callable(self._names) else self._names

    @property
    def size(self) -> int:
        """How many codes there are; not all of them need to be in a row."""
        return self._size if self._size >= 0 else len(self.names)

    def distinct(self) -> list[str]:
        """The distinct texts as they are met, "" among them."""
        return [self.names[code] for code in self._met.tolist()]

    @cached_property
    def _met(self) -> Codes:
        """The codes that rows have, as they are met."""
        if len(self.codes) and bool((self.codes == self.codes[0]).all()):
            return np.array(self.codes[:1], dtype=np.intp)
        firsts = np.full(self.size, len(self.codes), dtype=np.intp)
        firsts[self.codes[::-1]] = np.arange(len(self.codes) - 1, -1, -1)
        there = np.flatnonzero(firsts < len(self.codes))
        return there[np.argsort(firsts[there], kind="stable")]

    def counts(self) -> npt.NDArray[np.intp]:
        """How often each of the `distinct` texts is there."""
        return np.bincount(self.codes, minlength=self.size)[self._met]

    @property
    def unique(self) -> bool:
        """Is no text there twice?"""
        return self.size >= len(self.codes) and bool((np.bincount(self.codes) <= 1).all())

    def mapped(self, form: Callable[[str], str]) -> Texts:
        """The texts as `form` has them; those that become the same are the same."""
        places: dict[str, int] = {}
        codes = np.array([places.setdefault(form(name), len(places)) for name in self.names] or [0], dtype=np.intp)
        return Texts(codes[self.codes], list(places))

    def numbers(self, form: Callable[[str], float]) -> Floats:
        """A number for every row, by its text."""
        return np.array([form(name) for name in self.names] or [np.nan], dtype=np.float64)[self.codes]

    def are(self, held: Callable[[str], bool]) -> npt.NDArray[np.bool_]:
        """Of which rows does this hold?"""
        return np.array([held(name) for name in self.names] or [False], dtype=bool)[self.codes]

    def take(self, rows: npt.NDArray[Any]) -> Texts:
        """These rows alone."""
        return Texts(self.codes[rows], self._names if "names" not in self.__dict__ else self.names, self._size)

    def blank(self) -> npt.NDArray[np.bool_]:
        """Which rows have no text?"""
        return self.are(lambda name: name == "")

    def alike(self) -> bool:
        """Have all rows the same text?"""
        return len(self._met) <= 1

    def rows(self) -> npt.NDArray[Any]:
        """The text of every row."""
        return np.array([*self.names, None], dtype=object)[self.codes]

    def series(self) -> Any:
        """As pandas has it."""
        import pandas as pd

        return pd.array(self.rows(), dtype="str")


Column = Numbers | Texts
Later = Callable[[], Column]


class Table:
    """Columns of one length under their names; one that is made of something else is made when it is asked for."""

    def __init__(self, columns: Mapping[str, Column | Later], count: int) -> None:
        self._columns = dict(columns)
        self._count = count
        self._made: dict[Callable[[Table], Any], Any] = {}

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> Column:
        column = self._columns[name]
        if callable(column):
            column = self._columns[name] = column()
        return column

    def once(self, make: Callable[[Table], Made]) -> Made:
        """What this function makes of the table, which does not change: made when first asked for, and kept."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]

    @property
    def names(self) -> list[str]:
        """The names of the columns, in their order."""
        return list(self._columns)

    def texts(self, name: str) -> Texts:
        """A column of texts; one of numbers as what they look like. Raises KeyError where there is none."""
        column = self[name]
        if isinstance(column, Texts):
            return column
        return Texts(column.codes, ["" if value != value else f"{value:.15g}" for value in column.names]).mapped(str)

    def floats(self, name: str) -> Floats:
        """A column of numbers; all blank where there is none of this name, or texts."""
        column = self[name] if name in self._columns else None
        return column.values if isinstance(column, Numbers) else np.full(self._count, np.nan)

    def take(self, rows: npt.NDArray[Any]) -> Table:
        """These rows alone, by their places or by a flag for each."""
        count = int(rows.sum()) if rows.dtype == bool else len(rows)
        return Table({name: partial(self._taken, name, rows) for name in self._columns}, count)

    def _taken(self, name: str, rows: npt.NDArray[Any]) -> Column:
        return self[name].take(rows)

    def assign(self, columns: Mapping[str, Column]) -> Table:
        """The table with these columns, in their place where there are such."""
        return Table(self._columns | dict(columns), self._count)

    def only(self, names: Iterable[str]) -> Table:
        """The table with these columns alone, in this order."""
        return Table({name: self._columns[name] for name in names}, self._count)

    def without(self, *names: str) -> Table:
        """The table without these columns, where there are such."""
        return self.only(name for name in self._columns if name not in names)

    def renamed(self, names: Mapping[str, str]) -> Table:
        """The table with new names for columns."""
        return Table({names.get(name, name): column for name, column in self._columns.items()}, self._count)

    def groups(self, names: Iterable[str]) -> Codes:
        """A number from 0 for every row, the same for rows that agree in all of these columns, as they are met."""
        codes, size = np.zeros(self._count, dtype=np.intp), 1
        for name in names:
            column = self[name]
            more = column.size if isinstance(column, Texts) else len(column.names)
            if more > 1:
                codes, size = _numbered(codes * more + column.codes, size * more)
        return codes

    def frame(self) -> pd.DataFrame:
        """The table as pandas has it, a copy."""
        import pandas as pd

        return pd.DataFrame({name: self[name].series() for name in self._columns}, index=pd.RangeIndex(self._count))


def table_of(runs: Table | pd.DataFrame) -> Table:
    """A data frame as such a table; a table as it is."""
    if isinstance(runs, Table):
        return runs
    return Table({str(name): partial(_of_pandas, runs[name]) for name in runs.columns}, len(runs))


def _of_pandas(values: pd.Series) -> Column:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values.dtype):
        return Numbers(values.to_numpy(dtype=np.float64, na_value=np.nan))
    codes, uniques = pd.factorize(values)
    # A missing value has the code -1.
    return Texts(np.where(codes < 0, len(uniques), codes), [*map(str, objects(uniques)), ""]).mapped(str)


def objects(values: pd.Series | pd.Index) -> list[Any]:
    """The values of a column as Python has them, at once: pandas would make each of an Arrow array's by itself."""
    return values.to_numpy(dtype=object).tolist()


def _numbered(codes: Codes, size: int) -> tuple[Codes, int]:
    """Codes (below `size`) by numbers from 0 as they are met, and how many these are."""
    if size <= 4 * len(codes) + 1000:
        firsts = np.full(size, len(codes), dtype=np.intp)
        firsts[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
        there = np.flatnonzero(firsts < len(codes))
        places = np.empty(size, dtype=np.intp)
        places[there[np.argsort(firsts[there], kind="stable")]] = np.arange(len(there))
        return places[codes], len(there)
    uniques, firsts, inverse = np.unique(codes, return_index=True, return_inverse=True)
    places = np.empty(len(uniques), dtype=np.intp)
    places[np.argsort(firsts, kind="stable")] = np.arange(len(uniques))
    return places[inverse], len(uniques)
