"""Which metrics are compared, by which factors cells are matched, what matters, and what to call the sides."""

from __future__ import annotations

import difflib
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness import columns
from harness.analysis.compare.environment import texts_of
from harness.analysis.compare.model import LEVEL, Options
from harness.errors import InputError
from harness.tables.cells import factor_columns, is_varied, split_columns
from harness.tables.columnar import Table, table_of
from harness.tables.source import Source

if TYPE_CHECKING:
    import pandas as pd

_COST = "set_cpu_us_per_request"
# What sets have that are older than the cost of the whole CPU set.
_COST_OF_PROCESSES = "cpu_us_per_request"
DEFAULT_METRICS = ("rtt_p50_us", "rtt_p99_us", "rtt_p99_9_us", "rtt_jitter_us", "rate_rps", _COST)
COSTS = (_COST, _COST_OF_PROCESSES, "cycles_per_query")
"""What a request costs in CPU, best first: of the whole CPU set; of the processes, which is all that older sets have;
and what imported campaigns have instead."""
# What imported campaigns tell of CPU.
_COST_ELSEWHERE = ("set_busy_percent", "cycles_per_query")

CYCLES = ("cycles_per_query", "cycles_per_request")
KERNEL_METRICS = ("rate_rps", "rtt_mean_us", "rtt_p95_us", "rtt_p99_us", "set_busy_percent", *CYCLES)
"""What the tables of kernel cover letters show."""


_MOST = 12
"""Metrics of a table of another origin that are all compared; of more, the usual ones."""


def metrics_of(sources: Sequence[Source], asked: Sequence[str] | None) -> list[str]:
    """The metrics to compare, as `choose_metrics`; of tables of another origin everything that they measure."""
    tables = [source.table for source in sources]
    if asked is None:
        foreign = [source.reading for source in sources if source.reading is not None and source.reading.foreign]
        names = dict.fromkeys(column.here for reading in foreign for column in reading.of("metric"))
        there = [name for name in names if any(name in table and _measures(table, name) for table in tables)]
        if 0 < len(there) <= _MOST:
            return there
    return choose_metrics(tables, asked)


def choose_metrics(runs: Sequence[Table | pd.DataFrame], asked: Sequence[str] | None) -> list[str]:
    """The metrics to compare: those asked for, else the default ones that have values, else all there are.

    Raises InputError for a metric that no table has.
    """
    tables = [table_of(table) for table in runs]
    there: list[str] = []
    for table in tables:
        there += [name for name in metrics_measured(table) if name not in there]
    if asked is None:
        chosen = [name for name in DEFAULT_METRICS if name in there]
        known = [_COST in table and _measures(table, _COST) for table in tables]
        if not all(known) and _COST_OF_PROCESSES in there:
            # Some side knows no more: the part that all sides know is compared.
            chosen = [name for name in chosen if name != _COST] + [_COST_OF_PROCESSES]
        if chosen:
            chosen += columns.beside(there, DEFAULT_METRICS)
        if chosen and not {_COST, _COST_OF_PROCESSES} & set(chosen):
            chosen += [name for name in _COST_ELSEWHERE if name in there]
        return chosen or there
    for name in asked:
        if name not in there:
            raise InputError(
                "compare", on=f"metric {name!r}", got="no run has it", todo=meant(name, there), where="--metric"
            )
    return list(dict.fromkeys(asked))


def shared_factors(tables: Sequence[Table], by: Sequence[str] | None) -> tuple[list[str], tuple[str, ...]]:
    """The factors to match cells by, and a note for each that not every side has. Raises InputError."""
    if by is not None:
        for name in by:
            if not any(name in table for table in tables):
                raise InputError("compare", on=f"column {name!r}", got="no run has it", where="--by")
        names = [name for name in by if name != "case"]
        return names, pooling_notes(tables, names)
    sides = [factor_columns(table) for table in tables]
    names = list(dict.fromkeys(name for side in sides for name in side))
    alone = [name for name in names if not all(name in side for side in sides)]
    which = "only one side has" if len(tables) == 2 else "not every side has"
    notes = tuple(f"{which} the factor {name}, so its cells match none of the other" for name in alone)
    apart = [split_columns(table, side) for table, side in zip(tables, sides, strict=True)]
    names += dict.fromkeys(name for split in apart for name in split)
    return names, (*notes, *splitting_notes(tables))


def splitting_notes(tables: Sequence[Table]) -> tuple[str, ...]:
    """What cells are told apart by beside the factors, lest runs of two measurements be pooled: a sentence a column."""
    names = dict.fromkeys(name for table in tables for name in split_columns(table, factor_columns(table)))
    return tuple(
        f"runs of one cell differ in {name} ({_values(tables, name)}): never pooled, they are cells of their own"
        for name in names
    )


def pooling_notes(tables: Sequence[Table], names: Sequence[str]) -> tuple[str, ...]:
    """What is pooled because cells are told apart by these columns only, as was asked for."""
    mixed = dict.fromkeys(
        name for table in tables for name in split_columns(table, [name for name in names if name in table])
    )
    return tuple(f"as asked by --by, runs of different {name} ({_values(tables, name)}) are pooled" for name in mixed)


def _values(tables: Sequence[Table], name: str) -> str:
    return ", ".join(dict.fromkeys(text for table in tables for text in texts_of(table, name)))


def input_names(sources: Sequence[Source]) -> list[tuple[str, str]]:
    """A letter and a label for each source; labels that are the same are told apart by the letter."""
    letters = [string.ascii_uppercase[at] if at < 26 else f"S{at + 1}" for at in range(len(sources))]
    shown = [source.label for source in sources]
    return [
        (letter, label if shown.count(label) == 1 else f"{label} ({letter})")
        for letter, label in zip(letters, shown, strict=True)
    ]


def smallest_effect(sources: Sequence[Source], options: Options) -> float:
    """The share within which a change does not matter: as asked, else the largest any experiment declares."""
    if options.smallest_effect is not None:
        return options.smallest_effect
    return max((_declared(source) for source in sources), default=0.0)


def level_of(sources: Sequence[Source]) -> float:
    """The chance that the rows of a page may claim something false: half of it, where claims have the other half."""
    documents = [source.plan.get("document") for source in sources]
    claiming = any(isinstance(document, dict) and document.get("claims") for document in documents)
    return LEVEL / 2 if claiming else LEVEL


def _declared(source: Source) -> float:
    """`checks.smallest_effect` of the experiment, the largest over its cells; 0 where nothing says so."""
    shares = [0.0]
    if not source.plan:
        return 0.0
    # Imported here: a CSV file needs none of it, and it costs 50 ms.
    from harness.units import parse_share

    try:
        documents = [cell["document"] for cell in source.plan["cells"]]
        checks = [document.get("checks") or {} for document in documents]
        written = [check["smallest_effect"] for check in checks if check.get("smallest_effect") is not None]
        shares += [parse_share(text) for text in dict.fromkeys(written)]
    except (KeyError, TypeError, ValueError, AttributeError):
        # A plan of another making, or damaged: it declares nothing.
        return 0.0
    return max(shares)


def metrics_measured(runs: Table | pd.DataFrame) -> list[str]:
    """The columns of a table that hold figures."""
    table = table_of(runs)
    return [name for name in table.names if _measures(table, name)]


def _measures(table: Table, name: str) -> bool:
    known = columns.BY_NAME.get(name)
    if known is None and is_varied(table, name):
        return False
    if known is not None and known not in columns.METRICS:
        return False
    return table[name].numeric and not bool(table[name].blank().all())


def meant(name: str, allowed: Sequence[str]) -> str:
    """What to do about a name that is not there: the nearest that is, or all that are."""
    close = difflib.get_close_matches(name, allowed, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there is {', '.join(allowed) or 'none'}"
