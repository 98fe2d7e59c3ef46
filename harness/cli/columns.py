"""What the command line says of the columns of CSV files, for `compare` and `show`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from harness.analysis.compare.align import check_names, resolved
from harness.errors import InputError
from harness.tables import Source, load_source
from harness.tables.reading.account import Mapping
from harness.tables.reading.mapping import unit_named

_AT_ONCE = 4
_FIRST = re.compile(r"(\s*)([^\s<>=!]+)")


def sources_of(paths: Sequence[str], arguments: argparse.Namespace) -> list[Source]:
    """The inputs, CSV files read as the options say. Raises InputError, also for an option that names no column."""
    typed = mapping_of(arguments)
    if len(paths) > 1 and all(map(os.path.isfile, paths)):
        # Beside one another, as most of reading a file is done outside of Python; of reading a set it is not.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            sources = list(pool.map(partial(load_source, typed=typed), paths))
    else:
        sources = [load_source(path, typed) for path in paths]
    named = [("--case-column", typed.case)] if typed.case else []
    named += [("--factor", name) for name in typed.factors]
    named += [("--metric", column) for metric, column in typed.metrics.items() if column != metric]
    named += [("--unit", name) for name in typed.units if name]
    check_names(sources, named, typed.rename)
    return sources


def mapping_of(arguments: argparse.Namespace) -> Mapping:
    """The options as a mapping. Raises InputError for what cannot be read."""
    units = [_parted(text, "--unit") if "=" in text else ("", text) for text in arguments.unit]
    metrics = [_parted(text, "--metric") if "=" in text else (text, text) for text in arguments.metric or ()]
    return Mapping(
        case=arguments.case_column or "",
        factors=tuple(arguments.factor),
        metrics=dict(metrics),
        units={name: unit_named(unit, "--unit") for name, unit in units},
        rename=dict(_parted(text, "--rename") for text in arguments.rename),
        per=arguments.per or "",
    )


def metrics_asked(arguments: argparse.Namespace, sources: Sequence[Source]) -> tuple[str, ...] | None:
    """The columns that --metric chooses, under the names that they have in the tables; None for all."""
    asked = [text.partition("=")[2] or text for text in arguments.metric or ()]
    return tuple(resolved(name, sources) for name in asked) or None


def with_columns(texts: Iterable[str], sources: Sequence[Source]) -> list[str]:
    """Conditions, each beginning with a column, with the names that these have in the tables."""
    return [_FIRST.sub(lambda match: match[1] + resolved(match[2], sources), text, count=1) for text in texts]


def _parted(text: str, option: str) -> tuple[str, str]:
    left, _, right = text.partition("=")
    if not left or not right:
        raise InputError("read an option", got=f"{text!r} lacks a side of its =", todo="write NAME=NAME", where=option)
    return left, right
