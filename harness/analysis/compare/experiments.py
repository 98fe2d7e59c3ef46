"""What was measured, by the experiment files that sources carry: key by key, where cells of one name differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.tables.cells import factor_columns, group_cells
from harness.tables.frames import CellKey, cell_key
from harness.tables.source import Source

_Leaves = dict[str, str]

NOT_SET = "not set"


@dataclass(frozen=True)
class ExperimentDifference:
    """A key of the experiment files whose value is not the same on every side.

    values: as written, one a source; "not set" where a file leaves it to its default, blank where a source does not say
    what it measured. cells: in which it differs; empty for every cell that the sides share.
    """

    key: str
    values: tuple[str, ...]
    cells: tuple[CellKey, ...] = ()


@dataclass(frozen=True)
class Experiments:
    """Sources' experiments held against one another.

    unknown: which sources (their places) do not say what they measured; shared: do those that say it have a cell in
    common, without which nothing can be held against anything.
    """

    differences: tuple[ExperimentDifference, ...] = ()
    unknown: tuple[int, ...] = ()
    shared: bool = True


def experiments(sources: Sequence[Source]) -> Experiments:
    """Every key in which the experiments of these sources differ, for the cells of which they have runs.

    Keys are compared as they are written: a default that one file spells out counts as a difference.
    """
    sides = [cell_documents(source) for source in sources]
    unknown = tuple(at for at, side in enumerate(sides) if not side)
    known = [at for at, side in enumerate(sides) if side]
    common = [key for key in dict.fromkeys(key for side in sides for key in side) if _count(sides, key) >= 2]
    places: dict[tuple[str, tuple[str, ...]], list[CellKey]] = {}
    for key in common:
        documents = [side.get(key) for side in sides]
        for name, values in _different(documents):
            places.setdefault((name, values), []).append(key)
    differences = [
        ExperimentDifference(name, values, () if len(cells) == len(common) else tuple(cells))
        for (name, values), cells in places.items()
    ]
    orders = tuple(order_of(source) if at in known else "" for at, source in enumerate(sources))
    if len(known) > 1 and len({orders[at] for at in known}) > 1:
        differences.append(ExperimentDifference("order", orders))
    return Experiments(tuple(differences), unknown, bool(common) or len(known) < 2)


def cell_documents(source: Source) -> dict[CellKey, Mapping[str, object]]:
    """What each cell of a source that has runs was, as its plan says; empty where nothing says so."""
    cells = source.plan.get("cells")
    if not isinstance(cells, list):
        return {}
    made = {(cell.case, frozenset(cell.factors)) for cell in group_cells(source.table, factor_columns(source.table))}
    documents: dict[CellKey, Mapping[str, object]] = {}
    for cell in cells:
        try:
            key = cell_key(str(cell["case"]), cell["factors"])
            document = cell["document"]
        except (KeyError, TypeError, AttributeError):
            # A plan of another making, or damaged: it says nothing.
            continue
        if isinstance(document, dict) and document and (key[0], frozenset(key[1])) in made:
            documents[key] = document
    return documents


def order_of(source: Source) -> str:
    """The order in which a plan has its runs made: blocks or sequential; "" where none is on record."""
    order = source.plan.get("order")
    return order if isinstance(order, str) else ""


def differing_checks(source: Source, baseline: str) -> Iterator[tuple[str, str, str, str]]:
    """The limits that a case changes against the baseline under the same factors: case, key, and both values."""
    documents = cell_documents(source)
    bases = {frozenset(factors): document for (case, factors), document in documents.items() if case == baseline}
    pairs = [
        (case, base, document)
        for (case, factors), document in documents.items()
        if case != baseline and (base := bases.get(frozenset(factors))) is not None
    ]
    texts = (
        (case, name, values[0], values[1])
        for case, base, document in pairs
        for name, values in _different([base, document])
        if name.startswith("checks")
    )
    yield from dict.fromkeys(texts)


def loosened(source: Source) -> tuple[str, ...]:
    """The limits of `checks` that let more pass than their defaults do, as `max_steal_share 100% (default 2 %)`."""
    texts: dict[str, None] = {}
    for document in cell_documents(source).values():
        checks = document.get("checks")
        if isinstance(checks, dict):
            texts |= dict.fromkeys(_looser(checks))
    return tuple(texts)


def _looser(checks: Mapping[str, object]) -> Iterator[str]:
    # Imported here: pydantic, which it brings, costs 50 ms.
    from pydantic import ValidationError

    from harness.spec.checks import Checks

    try:
        limits, defaults = Checks.model_validate(dict(checks)), Checks.model_validate({})
    except ValidationError:
        return
    for name in Checks.model_fields:
        value, default = getattr(limits, name), getattr(defaults, name)
        if name.startswith("max_"):
            looser = value > default
        elif name.startswith("min_"):
            looser = value < default
        else:
            looser = name == "verify_links" and value == "off"
        if looser:
            usual = default if isinstance(default, str) else f"{100 * default:g} %"
            yield f"{name} {_text(checks.get(name))} (default {usual})"


def _count(sides: Sequence[Mapping[CellKey, object]], key: CellKey) -> int:
    return sum(key in side for side in sides)


def _different(documents: Sequence[Mapping[str, object] | None]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The keys in which documents differ, each with the values of all; None is a side that does not say."""
    leaves = [None if document is None else dict(_leaves(document, "")) for document in documents]
    texts = [side for side in leaves if side is not None]
    for name in dict.fromkeys(name for side in texts for name in side):
        if len({side.get(name, NOT_SET) for side in texts}) > 1:
            yield name, tuple("" if side is None else side.get(name, NOT_SET) for side in leaves)


def _leaves(node: object, name: str) -> Iterator[tuple[str, str]]:
    """Every value of a document under its dotted key; the links by the nodes that they join."""
    if isinstance(node, dict) and node:
        for key, below in node.items():
            yield from _leaves(below, f"{name}.{key}" if name else str(key))
    elif isinstance(node, list) and node and all(isinstance(item, dict) for item in node):
        seen: dict[str, int] = {}
        for item in node:
            label = _item_name(item)
            seen[label] = seen.get(label, 0) + 1
            own = label if seen[label] == 1 else f"{label} #{seen[label]}"
            rest = {key: value for key, value in item.items() if key != "between"}
            yield f"{name}[{own}]", "there"
            if rest:
                yield from _leaves(rest, f"{name}[{own}]")
    else:
        yield name, _text(node)


def _item_name(item: Mapping[str, object]) -> str:
    between = item.get("between")
    if isinstance(between, list):
        return "-".join(map(str, between))
    return str(item.get("name", "item"))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(", ", ": "))
