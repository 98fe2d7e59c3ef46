"""Cases times sweep: the layers of an experiment laid over one another into its cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import InputError
from harness.spec.cells import Cell, CellSpec, SpecBuilder, cell_id
from harness.spec.experiment import CELL_SECTIONS
from harness.spec.generated import Generator
from harness.spec.messages import did_you_mean, dotted
from harness.spec.overlay import at_layer, known_key, merge_cell, overlay_of, split_key
from harness.spec.yaml_tree import Scalar, Tree, kind_of

MAX_RUNS = 10_000
MAX_AXES = 16
_CASE_LAYER, _SWEEP_LAYER, OVERRIDE_LAYER = 1, 2, 3


@dataclass(frozen=True)
class Case:
    """A named change of the base sections."""

    name: str
    description: str
    overlay: Tree


@dataclass(frozen=True)
class MatrixAxis:
    """A swept key: its values as written, and the overlay that sets each."""

    key: str
    values: tuple[tuple[Any, Tree], ...]


@dataclass(frozen=True)
class Layers:
    """An experiment before expansion, lowest precedence first; overrides come from the command line."""

    base: Tree
    cases: tuple[Case, ...]
    axes: tuple[MatrixAxis, ...]
    overrides: tuple[Tree, ...]


def read_cases(tree: Tree | None, base: Tree) -> tuple[Case, ...]:
    """The cases of the `cases` section; one that changes nothing if absent. InputError on unknown keys."""
    if tree is None or tree.value is None:
        return (Case("base", "", Tree({}, base.at, base.key_at)),)
    if not tree.entries:
        raise InputError("cases", got="there is no case", todo='name one, or leave "cases" out', where=tree.key_at)
    return tuple(_case(name, overlay) for name, overlay in tree.entries.items())


def read_axes(tree: Tree | None) -> tuple[MatrixAxis, ...]:
    """The axes of the `sweep` section. InputError if empty, or on values that are no scalars or twice."""
    if tree is None or tree.value is None:
        return ()
    if not tree.entries:
        todo = 'name a key, or leave "sweep" out'
        raise InputError("sweep", got="there is nothing to sweep", todo=todo, where=tree.key_at)
    if len(tree.entries) > MAX_AXES:
        raise InputError("sweep", got=f"{len(tree.entries)} keys", todo=f"at most {MAX_AXES}", where=tree.key_at)
    axes = tuple(_axis(key, values) for key, values in tree.entries.items())
    for first, second in itertools.combinations(tree.entries, 2):
        if overlapping(split_key(first, ""), split_key(second, "")):
            where = tree.entries[second].key_at
            raise InputError(dotted(("sweep", second)), got=f'it overlaps the swept key "{first}"', where=where)
    return axes


def axis_of(key: str, values: Sequence[Tree], key_at: str, layer: int = _SWEEP_LAYER) -> MatrixAxis:
    """An axis over `values`, each a scalar, for a key that stands at `key_at`."""
    return MatrixAxis(key, tuple((value.value, at_layer(overlay_of(key, value, key_at), layer)) for value in values))


def overlapping(first: list[str], second: list[str]) -> bool:
    """Is one dotted key the other, or a part of it?"""
    shorter = min(len(first), len(second))
    return first[:shorter] == second[:shorter]


def check_count(layers: Layers, repeat: int, where: str) -> None:
    """InputError if the matrix has more runs than any experiment can mean."""
    cells = len(layers.cases) * math.prod(len(axis.values) for axis in layers.axes)
    if cells * repeat > MAX_RUNS:
        got = f"{cells} cells x {repeat} repetitions = {cells * repeat} runs"
        raise InputError("the matrix is too large", got=got, todo=f"at most {MAX_RUNS} runs", where=where)


def expand(layers: Layers) -> list[tuple[Cell, Tree]]:
    """Every cell and the tree it was made from, cases outermost, in file order. InputError: first mistake."""
    builder, generator = SpecBuilder(), Generator()
    drafts: list[tuple[str, dict[str, Scalar], Tree, CellSpec]] = []
    for case, factors, merged, overlays in _combinations(layers):
        tree = generator.realise(merged)
        try:
            drafts.append((case, factors, tree, builder.build(tree)))
        except InputError as error:
            if any(error.where in _places(overlay) for overlay in overlays):
                raise
            # The place lies in a lower layer: say what was laid over it, unless that is nothing new.
            label = [f"in case {' '.join([case, *(f'{k}={v}' for k, v in factors.items())])}"] if drafts else []
            label += [f"with {overlay.at}" for overlay in layers.overrides]
            got = f"{error.got} ({', '.join(label)})" if label else error.got
            raise InputError(error.attempted, error.on, got, error.todo, where=error.where) from None
    shared = any(_wants_napi(spec) for _, _, _, spec in drafts)
    plains: dict[int, Any] = {}  # of a section that several cells share, once
    out = []
    for case, factors, tree, spec in drafts:
        forced = spec.topology.datapath
        full = replace(spec, napi=shared if forced == "auto" else forced == "napi")
        sections = [(name, tree.entries[name]) for name in CELL_SECTIONS if name in tree.entries]
        for _, section in sections:
            if id(section) not in plains:
                plains[id(section)] = section.plain()
        document = {name: plains[id(section)] for name, section in sections}
        out.append((Cell(cell_id(case, factors, full), case, factors, full, document), tree))
    return out


def _wants_napi(spec: CellSpec) -> bool:
    """A cell that forces the plain datapath asks for none, even if its knobs would."""
    if spec.topology.needs_guest():
        return True  # whatever is asked for: a NIC's driver has a NAPI
    return spec.topology.datapath == "napi" or (spec.topology.datapath == "auto" and spec.needs_napi())


def _combinations(layers: Layers) -> Iterator[tuple[str, dict[str, Scalar], Tree, tuple[Tree, ...]]]:
    """(case, factors, merged tree, the overlays that made it)."""
    for case in layers.cases:
        under = merge_cell(layers.base, case.overlay)
        for point in itertools.product(*(axis.values for axis in layers.axes)):
            tree, above = under, (*(value[1] for value in point), *layers.overrides)
            for overlay in above:
                tree = merge_cell(tree, overlay)
            factors = {axis.key: value[0] for axis, value in zip(layers.axes, point, strict=True)}
            yield case.name, factors, tree, (case.overlay, *above)


def _places(tree: Tree) -> set[str]:
    children = tree.value if isinstance(tree.value, tuple) else tree.entries.values()
    return {tree.at, tree.key_at}.union(*(_places(child) for child in children))


def _case(name: str, tree: Tree) -> Case:
    if tree.value is None:
        return Case(name, "", Tree({}, tree.at, tree.key_at))
    if not isinstance(tree.value, dict):
        raise InputError(dotted(("cases", name)), got=f"it is {kind_of(tree.value)}, not a mapping", where=tree.at)
    sections = dict(tree.value)
    about = sections.pop("description", None)
    if about is not None and not isinstance(about.value, str):
        raise InputError(f"cases.{name}.description", got="it is not text", where=about.at)
    for key, section in sections.items():
        if key not in CELL_SECTIONS:
            todo = did_you_mean(key, ("description", *CELL_SECTIONS))
            raise InputError(f'unknown key "{key[:40]}" in cases.{name}', todo=todo, where=section.key_at)
    overlay = at_layer(replace(tree, value=sections), _CASE_LAYER)
    return Case(name, str(about.value) if about else "", overlay)


def _axis(key: str, values: Tree) -> MatrixAxis:
    known_key(key, values.key_at, CELL_SECTIONS)
    if not isinstance(values.value, tuple) or not values.value:
        got = "the list is empty" if isinstance(values.value, tuple) else f"it is {kind_of(values.value)}"
        raise InputError(dotted(("sweep", key)), got=got, todo="expected a list of values", where=values.key_at)
    seen: set[tuple[type, Any]] = set()
    for value in values.value:
        if isinstance(value.value, (dict, tuple)):
            got, todo = f"{kind_of(value.value)} cannot be swept", "sweep a key inside it, or use cases"
            raise InputError(dotted(("sweep", key)), got=got, todo=todo, where=value.at)
        if (type(value.value), value.value) in seen:
            raise InputError(dotted(("sweep", key)), got=f'"{value.value}" stands here twice', where=value.at)
        seen.add((type(value.value), value.value))
    return axis_of(key, values.value, values.key_at)
