"""An experiment file, from bytes to a checked Experiment that knows where each of its values stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from harness.errors import InputError
from harness.spec.cells import Cell
from harness.spec.checks import Until
from harness.spec.claims import Claim, claim_mistakes, written
from harness.spec.experiment import CELL_SECTIONS, FILE_KEYS, HEADER_KEYS, Header
from harness.spec.generated import at_home, with_topology
from harness.spec.machine import Machine
from harness.spec.matrix import (
    OVERRIDE_LAYER,
    Layers,
    MatrixAxis,
    axis_of,
    check_count,
    comparability,
    count_of,
    expand,
    overlapping,
    places,
    read_axes,
    read_cases,
)
from harness.spec.messages import Mistakes, did_you_mean, first_of, problem, validate
from harness.spec.overlay import at_layer, find, known_key, merge, overlay_of, split_key
from harness.spec.rules_cell import ALL_NODES
from harness.spec.tune_settings import Tuning, read_tuning
from harness.spec.yaml_tree import Document, Tree, kind_of, parse_setting, read_file
from harness.stats.looks import MIN_RUNS_LOOK
from harness.stats.stopping_rule import Adaptive
from harness.units import format_cpus

_KEYS = (*HEADER_KEYS, *CELL_SECTIONS)
# Of a file that is wrong in its head, no more cells are tried for further mistakes.
_MOST_TRIED = 1000


@dataclass(frozen=True)
class Experiment:
    """A checked experiment file, every cell resolved.

    path: the file as it was named; data: its bytes. case_descriptions: case name to text, in file order.
    repeat: repetitions at most; adaptive: when fewer are enough, None for a fixed number.
    cells: cases outermost, in file order; trees: what each was made from, with places. document: the resolved
    file as plain data, topology files read in, settings of the command line under "set". claims: name to claim.
    trace: "tail" or "polls" where one more repetition of each cell is to be traced.
    tuning: of a file with a `tune` section; its cells are then the one of the file as it stands.
    """

    path: str
    data: bytes
    name: str
    description: str
    repeat: int
    adaptive: Adaptive | None
    seed: int
    order: str
    case_descriptions: dict[str, str]
    cells: tuple[Cell, ...]
    trees: tuple[Tree, ...]
    document: Document
    claims: dict[str, Claim] = field(default_factory=dict)
    trace: str | None = None
    tuning: Tuning | None = None


def load_experiment(
    path: str | Path,
    overrides: Iterable[tuple[str, str]] = (),
    quick: bool = False,
    guest: bool = False,
    content: tuple[bytes, Tree] | None = None,
) -> Experiment:
    """Read and check an experiment file; `overrides` are dotted keys to set, [("contention.load", "50%")].

    Their values are YAML; they win over the file's `quick` section, which counts with `quick` only. With `guest`, what
    its section of that name says stands in the file instead of what is there. InputError (where = file:line:column, or
    "--set KEY=VALUE") at the first mistake, with the others of the file. content: of the file, if it was read before.
    """
    data, tree = content or read_file(path)
    mistakes = Mistakes()
    for key, value in _pairs(tree, "guest") if guest else ():
        with mistakes.noting():
            known_key(key, value.at, _KEYS)
            tree = _set_in_file(tree, key, value)
    shortened = _pairs(tree, "quick") if quick else []
    cell_settings = []
    for key, value in [*shortened, *((key, parse_setting(key, text)) for key, text in overrides)]:
        with mistakes.noting():
            if known_key(key, value.at, _KEYS)[0] in CELL_SECTIONS:
                cell_settings.append((key, value))
            else:
                tree = _set_in_file(tree, key, value)
    with mistakes.noting():
        _check_keys(tree)
    if tree.child("tune") is not None:
        # A tuning is read again from its set, and best.yaml from there: its paths lead from this file still.
        tree = at_home(tree)
    header: Header | None = None
    with mistakes.noting():
        header = validate(_header_type(), _only(tree, HEADER_KEYS))
    layers, resolved = _layers(tree, cell_settings, Path(path), mistakes)
    repeat_at = tree.child("repeat")
    where = repeat_at.at if repeat_at else tree.key_at
    repeat, adaptive = 1, None
    if header is not None:
        with mistakes.noting():
            repeat, adaptive = _repetitions(header, where, [case.name for case in layers.cases])
    with mistakes.noting():
        check_count(layers, repeat, where)
    pairs: list[tuple[Cell, Tree]] = []
    tried = count_of(layers) <= _MOST_TRIED or not mistakes
    if tried:
        try:
            pairs = expand(layers)
        except InputError as error:
            mistakes.add_elsewhere(error)
    # What is set on demand may hide a value, or make cells alike, for once.
    if tried and not cell_settings and not guest:
        for mistake in comparability(layers, [cell for cell, _ in pairs], str(path)):
            mistakes.add_elsewhere(mistake)
    if header is None:
        mistakes.raise_any()
    assert header is not None
    tuning = _tuning(header, tree, layers, mistakes)
    claims = header.claims or {}
    # Held against the file's own sweep: an override that takes a value away makes a claim untested, not wrong.
    swept = {key: [written(value) for value in values] for key, values in (header.sweep or {}).items()}
    beside = {workload.name for cell, _ in pairs for workload in cell.spec.measured_beside().values()}
    names = {case.name: case for case in layers.cases}
    mistakes.add(*claim_mistakes(claims, tree, names, swept, beside if pairs else None))
    mistakes.raise_any()
    if adaptive is not None and adaptive.verdict:
        smallest = max((cell.spec.checks.smallest_effect or 0.0 for cell, _ in pairs), default=0.0)
        adaptive = replace(adaptive, smallest=smallest)
    document = resolved.plain()
    if cell_settings:
        document["set"] = {key: value.plain() for key, value in cell_settings}
    return Experiment(
        path=str(path),
        data=data,
        name=header.name,
        description=header.description,
        repeat=repeat,
        adaptive=adaptive,
        seed=header.seed,
        order=header.order,
        case_descriptions={case.name: case.description for case in layers.cases},
        cells=tuple(cell for cell, _ in pairs),
        trees=tuple(tree for _, tree in pairs),
        document=document,
        claims=claims,
        trace=header.trace,
        tuning=tuning,
    )


def _tuning(header: Header, tree: Tree, layers: Layers, mistakes: Mistakes) -> Tuning | None:
    """The settings and loads of the `tune` section. mistakes: gets what is wrong with it."""
    section = tree.child("tune")
    if header.tune is None or section is None:
        return None
    for name in ("cases", "sweep"):
        other = tree.child(name)
        if other is not None and other.value is not None:
            todo = "settings stand in tune.space, loads in tune.across"
            got = "it does not go with a tune section"
            mistakes.add(InputError(name, got=got, todo=todo, where=other.key_at))
    if mistakes:
        return None
    return read_tuning(header.tune, section, layers.base, layers.overrides, mistakes)


def mistakes_of(path: str | Path, check: Callable[[Experiment, bool], None]) -> tuple[int, list[InputError]]:
    """(cells, everything that is wrong with a file), its `quick` and `guest` sections included.

    check: what else is held against the experiment as it stands, and against (True) the one of guests; may raise
    InputError.
    """
    mistakes, cells = Mistakes(), 0
    try:
        content = read_file(path)  # once: it may be a pipe
    except InputError as error:
        return 0, [error]
    sections = [content[1].child(name) for name in ("quick", "guest")]
    own = {place for section in sections if section for child in section.entries.values() for place in places(child)}
    for quick, guest in ((False, False), (True, False), (False, True), (True, True)):
        # What a guest has otherwise may bring a `quick` of its own.
        if sections[1 if guest else 0] is None and (quick or guest):
            continue
        try:
            experiment = load_experiment(path, (), quick, guest, content)
            cells = cells or len(experiment.cells)
            check(experiment, guest)
        except InputError as error:
            # What is wrong without these sections is wrong with them too, in other words.
            all_of_it = not mistakes
            mistakes.add(*(single for single in (error, *error.others) if all_of_it or single.where in own))
    return cells, mistakes.gathered()


def _pairs(tree: Tree, name: str) -> list[tuple[str, Tree]]:
    """What a section of dotted keys and values sets. InputError unless it is a mapping."""
    section = tree.child(name)
    if section is None or section.value is None:
        return []
    if not isinstance(section.value, dict):
        raise InputError(name, got=f"it is {kind_of(section.value)}, not a mapping", where=section.at)
    return list(section.value.items())


def _repetitions(header: Header, where: str, cases: Sequence[str]) -> tuple[int, Adaptive | None]:
    """How many repetitions at most, and when fewer are enough."""
    repeat = header.repeat
    if isinstance(repeat, int):
        return repeat, None
    if repeat.min > repeat.max:
        raise InputError("repeat", got=f"min {repeat.min} is more than max {repeat.max}", where=where)
    if header.order != "blocks":
        got = f'order "{header.order}" has no blocks to add'
        raise InputError("repeat until intervals are narrow", got=got, todo="take order: blocks", where=where)
    budget_s = repeat.budget_ns / 1e9 if repeat.budget_ns else None
    if isinstance(repeat.until, Until):
        return repeat.max, Adaptive(repeat.min, repeat.max, repeat.until.metric, repeat.until.ci, budget_s)
    doing = "repeat until the verdict"
    if repeat.min < MIN_RUNS_LOOK:
        got = f"min {repeat.min}: fewer than {MIN_RUNS_LOOK} runs of a cell do not say how they vary"
        raise InputError(doing, got=got, todo=f"take min: {MIN_RUNS_LOOK} or more", where=where)
    if len(cases) < 2:
        raise InputError(doing, got="there is one case, and nothing to compare", todo="say how many", where=where)
    if header.claims:
        got = "claims are judged for a number of repetitions that was fixed before"
        raise InputError(doing, got=got, todo="say how many, or leave `claims` out", where=where)
    baseline = "base" if "base" in cases else cases[0]
    return repeat.max, Adaptive(repeat.min, repeat.max, "", 0.0, budget_s, repeat.decides(), baseline)


def check_cpus(experiment: Experiment, online: AbstractSet[int] | None, declared_guests: bool = False) -> None:
    """InputError at the first CPU list that names a CPU that is not online here (None: that the guest lacks).

    The others come with it. declared_guests: a cell that declares a machine is for a guest, and held against that
    alone.
    """
    mistakes = Mistakes()
    tuned = experiment.tuning.pairs if experiment.tuning else []
    for cell, tree in [*zip(experiment.cells, experiment.trees, strict=True), *tuned]:
        spec = cell.spec
        if spec.topology.on_hosts():
            continue  # of other hosts, which look themselves
        for path, cpus in spec.cpu_lists():
            other = spec.machine != Machine()
            in_guest = online is None or spec.topology.needs_guest() or (declared_guests and other)
            have = set(range(spec.machine.cpus)) if online is None or in_guest else online
            missing = [cpu for cpu in cpus if cpu not in have]
            if missing:
                whose = "the guest (vm.cpus)" if in_guest else "this host"
                got = f"{whose} has no CPU {format_cpus(tuple(missing))}"
                own = find(tree, [str(part) for part in path]) is not None
                shown = path if own or path[0] != "settings" else (path[0], ALL_NODES, *path[2:])
                todo = f"CPUs online: {format_cpus(tuple(have))}"
                if not in_guest and other and max(missing) < spec.machine.cpus:
                    todo += f"; the guest of its `vm` has it: pollbench vm run {experiment.path}"
                mistakes.add(problem(tree, shown, got, todo))
    mistakes.raise_any()


def _layers(tree: Tree, settings: Sequence[tuple[str, Tree]], path: Path, mistakes: Mistakes) -> tuple[Layers, Tree]:
    """(the layers, topology files read in; the whole file with them). mistakes: gets what is wrong, and left out."""
    cases = tree.child("cases")
    if cases is not None and cases.entries:
        named = dict(cases.entries)
        for name, case in named.items():
            with mistakes.noting():
                named[name] = with_topology(case, path)
        tree = merge(tree, Tree({"cases": replace(cases, value=named, whole=True)}, tree.at, tree.key_at))
    with mistakes.noting():
        tree = with_topology(tree, path)
    axes = read_axes(tree.child("sweep"), mistakes)
    overrides = []
    for key, value in settings:
        with mistakes.noting():
            axes, overlay = _set_in_cells(axes, key, value)
            if overlay is not None:
                overrides.append(at_layer(with_topology(overlay, path), OVERRIDE_LAYER))
    with mistakes.noting():
        axes = tuple(
            replace(axis, values=tuple((raw, with_topology(layer, path)) for raw, layer in axis.values))
            for axis in axes
        )
    base = _only(tree, CELL_SECTIONS)
    return Layers(base, read_cases(tree.child("cases"), base, mistakes), axes, tuple(overrides)), tree


def _set_in_cells(axes: tuple[MatrixAxis, ...], key: str, value: Tree) -> tuple[tuple[MatrixAxis, ...], Tree | None]:
    """A key of the cells set: (the axes, the overlay that sets it); of a swept key, the only value of its axis."""
    parts = split_key(key, value.at)
    swept = next((axis for axis in axes if overlapping(split_key(axis.key, value.at), parts)), None)
    if swept is None:
        return axes, overlay_of(key, value, value.at)
    if split_key(swept.key, value.at) != parts:
        got, todo = f'the file sweeps "{swept.key}"', "set that very key, or take it out of the sweep"
        raise InputError(f'cannot set "{key}"', got=got, todo=todo, where=value.at)
    if isinstance(value.value, (dict, tuple)):
        got = f"the file sweeps it, and {kind_of(value.value)} cannot be swept"
        raise InputError(f'cannot set "{key}"', got=got, where=value.at)
    chosen = axis_of(swept.key, [value], value.at, OVERRIDE_LAYER)
    return tuple(chosen if axis is swept else axis for axis in axes), None


def _set_in_file(tree: Tree, key: str, value: Tree) -> Tree:
    """A key of the header set; `cases.NAME...` only for a case that is there."""
    parts = split_key(key, value.at)
    if parts[0] == "cases" and len(parts) > 1 and find(tree, parts[:2]) is None:
        cases = tree.child("cases")
        todo = did_you_mean(parts[1], cases.entries if cases is not None else (), "cases")
        raise InputError(f'there is no case "{parts[1][:40]}"', todo=todo, where=value.at)
    return merge(tree, overlay_of(key, value, value.at))


def _check_keys(tree: Tree) -> None:
    first_of(
        InputError(f'unknown key "{key[:40]}" in the file', todo=did_you_mean(key, FILE_KEYS), where=value.key_at)
        for key, value in tree.entries.items()
        if key not in FILE_KEYS
    )


def _only(tree: Tree, keys: Sequence[str]) -> Tree:
    return replace(tree, value={key: tree.entries[key] for key in keys if key in tree.entries})


@cache
def _header_type() -> TypeAdapter[Header]:
    return TypeAdapter(Header)
