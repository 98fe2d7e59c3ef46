"""A `tune` section over an experiment: its settings and loads, pruned of what cannot differ, and their cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from harness.errors import InputError
from harness.knobs.base import Knob
from harness.knobs.busy_poll import BusyPoll
from harness.knobs.coalesce import Coalesce
from harness.knobs.epoll_busy_poll import EpollBusyPoll
from harness.knobs.threaded_napi import ThreadedNapi
from harness.spec.cells import Cell, CellSpec, digest
from harness.spec.experiment import CELL_SECTIONS
from harness.spec.matrix import Case, Layers, MatrixAxis, expand, overlapping, read_axes
from harness.spec.messages import Mistakes, did_you_mean, dotted
from harness.spec.overlay import find, merge, split_key
from harness.spec.tune import Scalar, Term, Tune, leaves, level
from harness.spec.yaml_tree import Document, Tree, tree_of
from harness.units import format_duration, parse_duration

MAX_SETTINGS = 2000
"""A model over more settings would not fit: every pair of them has a place in it."""
TODAY = "today"
_DURATION_NS = 1_000_000_000


@dataclass(frozen=True)
class Setting:
    """One way to set everything in `space`. name: of the case it is; choices: key to value as written.

    levels: of every key that any setting sets, as conditions compare them.
    """

    name: str
    choices: dict[str, Scalar]
    levels: dict[str, float | str | None]
    overlay: Tree

    def label(self) -> str:
        """The setting in words: "usecs 50, prefer on"."""
        shown = [(key, "null" if value is None else value) for key, value in self.choices.items()]
        return ", ".join(f"{self.short(key)} {value}" for key, value in shown) or "as it is"

    def short(self, key: str) -> str:
        """A key by its last part, or by as many as tell it from the others."""
        parts = 1
        ends = [other.rsplit(".", 1)[-1] for other in self.choices]
        if ends.count(key.rsplit(".", 1)[-1]) > 1:
            parts = 2
        return ".".join(key.rsplit(".", parts)[-parts:])


@dataclass(frozen=True)
class Tuning:
    """A checked `tune` section. settings: today's first; dropped: why settings were left out, with how many."""

    section: Tune
    layers: Layers
    axes: tuple[MatrixAxis, ...]
    settings: tuple[Setting, ...]
    dropped: dict[str, int]

    @property
    def loads(self) -> tuple[dict[str, Scalar], ...]:
        """The combinations of `across`, one of nothing where there is none."""
        keys = [axis.key for axis in self.layers.axes]
        levels = [[raw for raw, _ in axis.values] for axis in self.layers.axes]
        return tuple(dict(zip(keys, point, strict=True)) for point in itertools.product(*levels))

    def weights(self) -> tuple[float, ...]:
        """The share of each load in the goal."""
        named = self.section.goal.weights or {}
        parts = [named.get(str(next(iter(load.values()), "")), 1.0) for load in self.loads]
        return tuple(part / sum(parts) for part in parts)

    def cells(self, longer: int = 1) -> dict[tuple[int, int], Cell]:
        """(setting, load) to its cell; longer: by which the measured time is multiplied. InputError: what is wrong."""
        made = self.pairs if longer == 1 else expand(self._layers(longer))
        count = len(self.loads)
        return {(at, load): made[at * count + load][0] for at in range(len(self.settings)) for load in range(count)}

    @cached_property
    def pairs(self) -> list[tuple[Cell, Tree]]:
        """Every cell with the tree that it was made from, which knows the places of its values."""
        return expand(self._layers(1))

    def _layers(self, longer: int) -> Layers:
        suffix = "" if longer == 1 else f"-x{longer}"
        cases = tuple(Case(one.name + suffix, one.label(), one.overlay) for one in self.settings)
        layers = replace(self.layers, cases=cases)
        if longer > 1:
            layers = replace(layers, overrides=(*layers.overrides, longer_run(self.layers.base, longer)))
        return layers


def read_tuning(
    section: Tune, tree: Tree, base: Tree, overrides: tuple[Tree, ...], mistakes: Mistakes
) -> Tuning | None:
    """The tuning of a file whose `tune` stands at `tree`; None where it cannot be told. mistakes: what is wrong."""
    axes = read_axes(tree.child("space"), mistakes, "tune.space")
    across = read_axes(tree.child("across"), mistakes, "tune.across") if section.across else ()
    _no_overlap(axes, across, tree, overrides, mistakes)
    against = tree.child("against")
    overlay = against if against is not None and against.value is not None else Tree({}, tree.at, tree.key_at)
    for key, child in overlay.entries.items():
        if key not in CELL_SECTIONS:
            todo = did_you_mean(key, CELL_SECTIONS)
            mistakes.add(InputError(f'unknown key "{key[:40]}" in tune.against', todo=todo, where=child.key_at))
    _check_weights(section, across, tree, mistakes)
    count = math.prod(len(axis.values) for axis in axes)
    if count > MAX_SETTINGS:
        got, todo = f"{count} settings", f"at most {MAX_SETTINGS}: take values out"
        mistakes.add(InputError("tune.space", got=got, todo=todo, where=_at(tree, "space")))
    if mistakes:
        return None
    layers = Layers(base, (), across, overrides)
    settings, dropped = _settings(section, axes, overlay, base, tree, mistakes)
    tuning = Tuning(section, layers, axes, settings, dropped)
    try:
        return _distinct(tuning)
    except InputError as error:
        mistakes.add_elsewhere(error)
        return None


def _distinct(tuning: Tuning) -> Tuning:
    """Without the settings that are the same to the kernel as an earlier one; today's keep their place."""
    cells = tuning.cells()
    known: dict[str, int] = {}
    kept = []
    for at, setting in enumerate(tuning.settings):
        key = digest(_acting(cells[at, 0].spec))
        if known.setdefault(key, at) == at:
            kept.append(setting)
    dropped = dict(tuning.dropped)
    if len(kept) < len(tuning.settings):
        dropped["the same to the kernel as another"] = len(tuning.settings) - len(kept)
    return replace(tuning, settings=_named(kept), dropped=dropped)


def _acting(spec: CellSpec) -> Document:
    """What of a cell's spec does anything: knobs that are off say the same as knobs that are not there."""
    acting = {node: {name: knob for name, knob in own.items() if _acts(knob)} for node, own in spec.settings.items()}
    return replace(spec, settings={node: knobs for node, knobs in acting.items() if knobs}).identity()


def _acts(knob: Knob) -> bool:
    """Is this knob more than its device or socket would be without it? Where in doubt, yes."""
    if isinstance(knob, Coalesce):
        # Empty polls are counted only where a timer makes another poll.
        return bool(knob.gro_flush_timeout_ns or knob.irq_suspend_timeout_ns)
    return not isinstance(knob, (BusyPoll, EpollBusyPoll, ThreadedNapi)) or knob.needs_napi()


def _settings(
    section: Tune, axes: tuple[MatrixAxis, ...], today: Tree, base: Tree, tree: Tree, mistakes: Mistakes
) -> tuple[tuple[Setting, ...], dict[str, int]]:
    """(today's setting and every combination that no condition of `skip` leaves out, how many each left out)."""
    choices = [_choices(axis, section.space[axis.key]) for axis in axes]
    keys = list(dict.fromkeys(key for options in choices for _, _, parts in options for key in parts))
    skips = [
        _resolved(terms, keys, section.skip[at], _at(tree, "skip"), mistakes)
        for at, terms in enumerate(section.skipped)
    ]
    whole = merge(base, today)
    settings = [Setting(TODAY, {}, {key: _level_of(whole, key) for key in keys}, today)]
    dropped: dict[str, int] = {}
    for point in itertools.product(*choices):
        parts: dict[str, Scalar] = {}
        overlay = Tree({}, tree.at, tree.key_at)
        for _, over, own in point:
            parts |= own
            overlay = merge(overlay, over)
        levels = {key: level(parts.get(key)) for key in keys}
        reason = next(
            (section.skip[at] for at, terms in enumerate(skips) if all(t.holds(levels[k]) for k, t in terms.items())),
            None,
        )
        if reason is not None:
            dropped[f"skip: {reason}"] = dropped.get(f"skip: {reason}", 0) + 1
            continue
        values = {axis.key: raw for axis, (raw, _, _) in zip(axes, point, strict=True)}
        settings.append(Setting("", values, levels, overlay))
    return tuple(settings), dropped


def _choices(axis: MatrixAxis, values: Sequence[object]) -> list[tuple[Scalar, Tree, dict[str, Scalar]]]:
    """(value as written, overlay, what it sets) of every value of a key."""
    joint = any(isinstance(value, Mapping) for value in values)
    out = []
    for (raw, overlay), value in zip(axis.values, values, strict=True):
        nothing = joint and not isinstance(value, Mapping)
        out.append((raw, overlay, {} if nothing else leaves(axis.key, value)))
    return out


def _resolved(terms: Sequence[Term], keys: Sequence[str], text: str, where: str, mistakes: Mistakes) -> dict[str, Term]:
    """Key to term, each term's key being the end of one key of the space."""
    out = {}
    lasts = [key.rsplit(".", 1)[-1] for key in keys]
    known = [last if lasts.count(last) == 1 else key for last, key in zip(lasts, keys, strict=True)]
    for term in terms:
        ends = [key for key in keys if key == term.key or key.endswith(f".{term.key}")]
        if len(ends) != 1:
            got = f'"{term.key}" is the end of {"several keys" if ends else "no key"} of the space'
            todo = f"write more of it: {', '.join(ends)}" if ends else did_you_mean(term.key, known)
            mistakes.add(InputError(f'tune.skip "{text[:60]}"', got=got, todo=todo, where=where))
            continue
        out[ends[0]] = term
    return out


def _named(settings: Sequence[Setting]) -> tuple[Setting, ...]:
    width = max(2, len(str(len(settings) - 1)))
    return tuple(replace(setting, name=TODAY if at == 0 else f"s{at:0{width}d}") for at, setting in enumerate(settings))


def _no_overlap(
    axes: Sequence[MatrixAxis],
    across: Sequence[MatrixAxis],
    tree: Tree,
    overrides: tuple[Tree, ...],
    mistakes: Mistakes,
) -> None:
    """Keys that stand in both, and keys of either that `--set` or `quick` would set to one value under all names."""
    for axis in axes:
        parts = split_key(axis.key, "")
        for other in across:
            if overlapping(parts, split_key(other.key, "")):
                got = f'it overlaps "{other.key}" of tune.across'
                mistakes.add(InputError(dotted(("tune", "space", axis.key)), got=got, where=_at(tree, "space")))
    for axis, place in [*((axis, "space") for axis in axes), *((axis, "across") for axis in across)]:
        for override in overrides:
            if find(override, split_key(axis.key, "")) is not None:
                got = f'the file has "{axis.key}" in tune.{place}'
                todo = "take it out there, or leave it unset"
                mistakes.add(InputError("cannot set it", got=got, todo=todo, where=override.at))


def _check_weights(section: Tune, across: Sequence[MatrixAxis], tree: Tree, mistakes: Mistakes) -> None:
    if not section.goal.weights:
        return
    where = _at(tree, "goal")
    if len(across) != 1:
        got = f"tune.across has {len(across)} keys"
        mistakes.add(InputError("tune.goal.weights", got=got, todo="weights need one key there", where=where))
        return
    known = [str(raw) for raw, _ in across[0].values]
    for name in section.goal.weights:
        if name not in known:
            got, todo = f'"{name}" is no value of {across[0].key}', did_you_mean(name, known)
            mistakes.add(InputError("tune.goal.weights", got=got, todo=todo, where=where))


def _level_of(tree: Tree, key: str) -> float | str | None:
    there = find(tree, split_key(key, tree.at))
    return level(there.value) if there is not None and not isinstance(there.value, (dict, tuple)) else None


def longer_run(base: Tree, times: int) -> Tree:
    """An overlay that makes every workload's measured time so many times as long."""
    single, several = base.child("workload"), base.child("workloads")
    if single is not None and single.value is not None:
        return tree_of({"workload": _duration_of(single, times)}, "a longer run")
    entries = several.value if several is not None and isinstance(several.value, tuple) else ()
    sections = {str(at): _duration_of(entry, times) for at, entry in enumerate(entries)}
    return tree_of({"workloads": sections}, "a longer run")


def _duration_of(workload: Tree, times: int) -> Document:
    own = workload.child("duration")
    try:
        duration_ns = parse_duration(own.plain()) if own is not None else _DURATION_NS
    except ValueError:
        duration_ns = _DURATION_NS  # it is complained of where it stands
    return {"duration": format_duration(duration_ns * times)}


def _at(tree: Tree, name: str) -> str:
    child = tree.child(name)
    return child.key_at if child is not None else tree.key_at
