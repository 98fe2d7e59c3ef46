"""A factor in the place of the case: its values are compared with one another, as cases otherwise are."""

from __future__ import annotations

from dataclasses import replace

from harness.errors import InputError
from harness.tables.source import Source

OF_CASE = "of case"
"""The factor that holds what was the case."""


def turned(source: Source, text: str) -> tuple[Source, str]:
    """For a baseline FACTOR=VALUE such as vm.kernel=6.12: the source turned so, and the value as its baseline case.

    Raises InputError when runs have no such column, or nothing has the value.
    """
    name, _, value = text.partition("=")
    if name not in source.runs or name == "case":
        todo = f"name a swept key of {source.label}, as its table has it"
        raise InputError("compare with a baseline", text, f"there is no factor {name!r}", todo, "--baseline")
    values = source.runs[name].astype(str)
    if not (values == value).any():
        todo = f"there are {', '.join(dict.fromkeys(values))}"
        raise InputError("compare with a baseline", text, f"no run has {name} {value!r}", todo, "--baseline")
    runs = source.runs.drop(columns=name)
    runs.insert(list(runs.columns).index("case") + 1, OF_CASE, runs["case"].to_numpy())
    return replace(source, runs=runs.assign(case=values.to_numpy())), value
