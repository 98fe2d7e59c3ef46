"""Cases times sweep: the layers of an experiment laid over one another into its cells."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import InputError
from harness.spec.cells import Cell, CellSpec, SpecBuilder, cell_id, digest
from harness.spec.claims import written
from harness.spec.experiment import CELL_SECTIONS
from harness.spec.generated import Generator
from harness.spec.messages import Mistakes, did_you_mean, dotted
from harness.spec.overlay import at_layer, find, known_key, merge_cell, overlay_of, split_key
from harness.spec.yaml_tree import Scalar, Tree, kind_of

MAX_RUNS = 10_000
MAX_AXES = 16
NO_CHOICE = "none"
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


def read_cases(tree: Tree | None, base: Tree, mistakes: Mistakes) -> tuple[Case, ...]:
    """The cases of the `cases` section; one that changes nothing if there is none. mistakes: gets unknown keys."""
    cases = []
    if tree is not None and tree.value is not None:
        if not tree.entries:
            todo = 'name one, or leave "cases" out'
            mistakes.add(InputError("cases", got="there is no case", todo=todo, where=tree.key_at))
        for name, overlay in tree.entries.items():
            with mistakes.noting():
                cases.append(_case(name, overlay))
    return tuple(cases) or (Case("base", "", Tree({}, base.at, base.key_at)),)


def read_axes(tree: Tree | None, mistakes: Mistakes, section: str = "sweep") -> tuple[MatrixAxis, ...]:
    """The axes of the `sweep` section, or of one like it. mistakes: gets what is empty, a list, or there twice."""
    if tree is None or tree.value is None:
        return ()
    if not tree.entries:
        todo = f'name a key, or leave "{section}" out'
        mistakes.add(InputError(section, got="there is nothing to sweep", todo=todo, where=tree.key_at))
    if len(tree.entries) > MAX_AXES:
        got, todo = f"{len(tree.entries)} keys", f"at most {MAX_AXES}"
        mistakes.add(InputError(section, got=got, todo=todo, where=tree.key_at))
        return ()
    axes: list[MatrixAxis] = []
    for key, values in tree.entries.items():
        with mistakes.noting():
            axes.append(_axis(key, values, section))
    for first, second in itertools.combinations([axis.key for axis in axes], 2):
        if overlapping(split_key(first, ""), split_key(second, "")):
            where = tree.entries[second].key_at
            at = dotted((*section.split("."), second))
            mistakes.add(InputError(at, got=f'it overlaps the swept key "{first}"', where=where))
    return tuple(axes)


def axis_of(key: str, values: Sequence[Tree], key_at: str, layer: int = _SWEEP_LAYER) -> MatrixAxis:
    """An axis over `values`, for a key that stands at `key_at`: scalars, or joint choices that set several keys.

    A joint choice is laid over what stands there, as a case is; beside joint choices `none` takes all of that away.
    """
    joint = any(isinstance(value.value, dict) for value in values)
    out = []
    for value in values:
        over = replace(value, value=None) if joint and value.value == NO_CHOICE else value
        raw = written(value.plain()) if isinstance(value.value, dict) else value.value
        out.append((raw, at_layer(overlay_of(key, over, key_at), layer)))
    return MatrixAxis(key, tuple(out))


def overlapping(first: list[str], second: list[str]) -> bool:
    """Is one dotted key the other, or a part of it?"""
    shorter = min(len(first), len(second))
    return first[:shorter] == second[:shorter]


def count_of(layers: Layers) -> int:
    """How many cells these layers make."""
    return len(layers.cases) * math.prod(len(axis.values) for axis in layers.axes)


def check_count(layers: Layers, repeat: int, where: str) -> None:
    """InputError if the matrix has more runs than any experiment can mean."""
    cells = count_of(layers)
    if cells * repeat > MAX_RUNS:
        got = f"{cells} cells x {repeat} repetitions = {cells * repeat} runs"
        raise InputError("the matrix is too large", got=got, todo=f"at most {MAX_RUNS} runs", where=where)


def expand(layers: Layers) -> list[tuple[Cell, Tree]]:
    """Every cell and the tree it was made from, cases outermost, in file order.

    InputError: the first mistake, those of other cells with it, each once.
    """
    builder, generator, mistakes = SpecBuilder(), Generator(), Mistakes()
    drafts: list[tuple[str, dict[str, Scalar], Tree, CellSpec]] = []
    reported: set[tuple[str, str, str]] = set()
    for case, factors, merged, overlays in _combinations(layers):
        own = Mistakes()
        with own.noting():
            tree = generator.realise(merged, own)
            spec = builder.build(tree)
            if not own:
                drafts.append((case, factors, tree, spec))
        for single in own.gathered():
            key = (single.where, single.attempted, single.got)
            if key not in reported:
                reported.add(key)
                mistakes.add(_labelled(single, layers, case, factors, overlays, first=not drafts))
        if mistakes.full:
            break
    mistakes.raise_any()
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


def _labelled(
    error: InputError, layers: Layers, case: str, factors: dict[str, Scalar], overlays: tuple[Tree, ...], *, first: bool
) -> InputError:
    """The mistake as it is told: where its place lies in a lower layer, what was laid over that.

    first: of the first cell, where that is nothing new.
    """
    if any(error.where in places(overlay) for overlay in overlays):
        return error
    label = [] if first else [f"in case {' '.join([case, *(f'{k}={v}' for k, v in factors.items())])}"]
    label += [f"with {overlay.at}" for overlay in layers.overrides]
    got = f"{error.got} ({', '.join(label)})" if label else error.got
    return InputError(error.attempted, error.on, got, error.todo, where=error.where)


def comparability(layers: Layers, cells: Sequence[Cell], path: str) -> list[InputError]:
    """What makes a comparison mean nothing: values that the sweep hides; else cases and values that do the same.

    cells: all of them, or none where one cannot be built: then only what says the same is known to do the same. path:
    the experiment file; what a topology file of its own says may be hidden.
    """
    mistakes: list[InputError] = []
    for axis in layers.axes:
        # One of the swept values may stand in the file too, so that it is whole without the sweep; in a case none may.
        swept = [raw for raw, _ in axis.values]
        joint = any(isinstance(value.value, dict) for value in _set_by(axis))
        owners = [("the file", layers.base, swept), *((f"case {case.name}", case.overlay, []) for case in layers.cases)]
        for owner, tree, allowed in owners:
            for hidden in _hidden(tree, split_key(axis.key, "")):
                if joint and isinstance(hidden.value, dict):
                    continue  # laid over it, a joint choice hides nothing
                if hidden.value not in allowed and hidden.at.rsplit(":", 2)[0] == path:
                    got = f"the sweep sets it in every cell, so that this value of {owner} never counts"
                    todo = "take it out, or add it to the swept values"
                    mistakes.append(InputError(axis.key, got=got, todo=todo, where=hidden.at))
    return mistakes or list(_alike(layers, cells))


def _alike(layers: Layers, cells: Sequence[Cell]) -> Iterator[InputError]:
    """Cells that do the same under two names, once for two cases."""
    named_at = {case.name: case.overlay.key_at for case in layers.cases}
    known: dict[str, tuple[str, str]] = {}
    reported: set[tuple[str, str]] = set()
    built = ((cell.case, cell.label(), digest(cell.spec.identity())) for cell in cells)
    for case, label, does in built if cells else _unbuilt(layers):
        earlier_case, earlier = known.setdefault(does, (case, label))
        if earlier != label and (earlier_case, case) not in reported:
            reported.add((earlier_case, case))
            got = f"it does the same as {earlier}: a difference between the two would be chance"
            todo = "let them differ, or take one out; pollbench calibrate compares a case with itself"
            yield InputError(f"cell {label}", got=got, todo=todo, where=named_at[case])


def _unbuilt(layers: Layers) -> Iterator[tuple[str, str, str]]:
    """(case, label, all that its sections say) of every cell."""
    for case, factors, tree, _ in _combinations(layers):
        label = " ".join([case, *(f"{key}={value}" for key, value in factors.items())])
        yield case, label, json.dumps(tree.plain(), sort_keys=True, default=str)


def _set_by(axis: MatrixAxis) -> Iterator[Tree]:
    """What the values of an axis put at its key."""
    for _, overlay in axis.values:
        if (value := find(overlay, split_key(axis.key, ""))) is not None:
            yield value


def _hidden(tree: Tree, parts: list[str]) -> list[Tree]:
    """What a swept key takes the place of: there itself, and where "*" reaches a node that has a value of its own."""
    ways = [parts]
    nodes = tree.child("settings")
    if parts[:2] == ["settings", "*"] and nodes is not None:
        ways += [["settings", name, *parts[2:]] for name in nodes.entries if name != "*"]
    values = [find(tree, way) for way in ways]
    return [value for value in values if value is not None and value.value is not None]


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


def places(tree: Tree) -> set[str]:
    """Where the values of a tree, and their keys, stand."""
    children = tree.value if isinstance(tree.value, tuple) else tree.entries.values()
    return {tree.at, tree.key_at}.union(*(places(child) for child in children))


def _case(name: str, tree: Tree) -> Case:
    if tree.value is None:
        return Case(name, "", Tree({}, tree.at, tree.key_at))
    if not isinstance(tree.value, dict):
        raise InputError(dotted(("cases", name)), got=f"it is {kind_of(tree.value)}, not a mapping", where=tree.at)
    sections = dict(tree.value)
    about = sections.pop("description", None)
    if about is not None and not isinstance(about.value, str):
        raise InputError(f"cases.{name}.description", got="it is not text", where=about.at)
    mistakes = Mistakes()
    for key, section in sections.items():
        if key not in CELL_SECTIONS:
            todo = did_you_mean(key, ("description", *CELL_SECTIONS))
            mistakes.add(InputError(f'unknown key "{key[:40]}" in cases.{name}', todo=todo, where=section.key_at))
    mistakes.raise_any()
    overlay = at_layer(replace(tree, value=sections), _CASE_LAYER)
    return Case(name, str(about.value) if about else "", overlay)


def _axis(key: str, values: Tree, section: str) -> MatrixAxis:
    known_key(key, values.key_at, CELL_SECTIONS)
    path = dotted((*section.split("."), key))
    if not isinstance(values.value, tuple) or not values.value:
        got = "the list is empty" if isinstance(values.value, tuple) else f"it is {kind_of(values.value)}"
        raise InputError(path, got=got, todo="expected a list of values", where=values.key_at)
    seen: set[tuple[type, Any]] = set()
    mistakes = Mistakes()
    for value in values.value:
        if isinstance(value.value, tuple):
            got, todo = f"{kind_of(value.value)} cannot be swept", "sweep a key inside it, or use cases"
            mistakes.add(InputError(path, got=got, todo=todo, where=value.at))
            continue
        if isinstance(value.value, dict) and not value.value:
            todo = f"write {NO_CHOICE} for nothing at all"
            mistakes.add(InputError(path, got="a choice that sets nothing", todo=todo, where=value.at))
            continue
        raw = written(value.plain()) if isinstance(value.value, dict) else value.value
        if (type(value.value), raw) in seen:
            mistakes.add(InputError(path, got=f'"{raw}" stands here twice', where=value.at))
        seen.add((type(value.value), raw))
    mistakes.raise_any()
    return axis_of(key, values.value, values.key_at)
