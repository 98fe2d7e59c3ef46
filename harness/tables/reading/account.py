"""How a file was read: what each of its columns was taken for, and what had to be guessed, for people to check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from harness.columns import BY_NAME

Role = Literal[
    "case", "factor", "metric", "repetition", "block", "order", "time", "verdict", "run", "fact", "constant", "ignored",
    "metric name", "value",
]  # fmt: skip
PER = ("request", "interval", "run")


@dataclass(frozen=True)
class ColumnRead:
    """A column: its name in the file, what it is, and what it is called here ("" where the table has it no more).

    unit: of a metric, as the file states it, "" where it does not; scale: what its values were multiplied by. guess: by
    what it was taken for that, in words; "" where its name or the user says it.
    """

    name: str
    role: Role
    here: str = ""
    unit: str = ""
    scale: float = 1.0
    guess: str = ""


@dataclass(frozen=True)
class Reading:
    """A file's columns as they were read.

    ours: the file has the columns that we write; plain: and no other, so that nothing is to be told. notes: on its
    form. constants: of columns that hold one value and are not in the table, that value. basis: does the file call its
    latencies round trips? warnings: on what rows are. unused: which renamings had nothing to rename.
    """

    label: str
    columns: tuple[ColumnRead, ...] = ()
    plain: bool = False
    ours: bool = False
    notes: tuple[str, ...] = ()
    constants: dict[str, str] = field(default_factory=dict)
    basis: bool = True
    warnings: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def of(self, *roles: Role) -> list[ColumnRead]:
        """The columns of these roles."""
        return [column for column in self.columns if column.role in roles]

    @property
    def foreign(self) -> bool:
        """Has any figure another name, or unit, in the file than here, or none that is known?"""
        return any(column.here != column.name or column.name not in BY_NAME for column in self.of("metric"))

    @property
    def here(self) -> dict[str, str]:
        """What columns are called here, by their names in the file."""
        return {column.name: column.here for column in self.columns if column.here}

    @property
    def guesses(self) -> list[str]:
        """What was guessed, a phrase a column."""
        return [f"{column.name}: {column.guess}" for column in self.columns if column.guess]


@dataclass(frozen=True)
class Mapping:
    """What the user says of the columns of a file; what is left empty is guessed.

    metrics: column by the metric's name (both the same where only one was named); units: unit by column, "" for all
    times that state none; rename: new names of cases (or columns); per: what a row is. places: where in FILE.yaml a
    column is named.
    """

    case: str = ""
    factors: tuple[str, ...] = ()
    metrics: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    rename: dict[str, str] = field(default_factory=dict)
    repetition: str = ""
    block: str = ""
    time: str = ""
    ignore: tuple[str, ...] = ()
    per: str = ""
    decimal: str = ""
    places: dict[str, str] = field(default_factory=dict)

    def under(self, typed: Mapping) -> Mapping:
        """This, as a file beside the table has it, with what was typed on top."""
        return Mapping(
            case=typed.case or self.case,
            factors=(*self.factors, *typed.factors),
            metrics=self.metrics | typed.metrics,
            units=self.units | typed.units,
            rename=self.rename | typed.rename,
            repetition=typed.repetition or self.repetition,
            block=typed.block or self.block,
            time=typed.time or self.time,
            ignore=(*self.ignore, *typed.ignore),
            per=typed.per or self.per,
            decimal=typed.decimal or self.decimal,
            places=self.places,
        )

    @property
    def roles(self) -> dict[str, Role]:
        """What the user says columns are, by name."""
        roles: dict[str, Role] = dict.fromkeys(self.ignore, "ignored")
        roles.update((name, "factor") for name in self.factors)
        roles.update((name, "metric") for name in self.metrics.values())
        named: tuple[tuple[str, Role], ...] = (
            (self.case, "case"), (self.repetition, "repetition"), (self.block, "block"), (self.time, "time"),
        )  # fmt: skip
        return roles | {name: role for name, role in named if name}
