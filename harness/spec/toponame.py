"""A topology by itself: from an experiment file, a topology file, a Mininet file or a name of Mininet's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from harness.errors import InputError
from harness.spec.generated import Generator
from harness.spec.load import load_experiment
from harness.spec.messages import Mistakes, did_you_mean, validate
from harness.spec.overlay import merge, overlay_of
from harness.spec.rules_topology import check_topology
from harness.spec.shipped import shipped_topology
from harness.spec.topology import Topology
from harness.spec.yaml_tree import Tree, parse_setting, read_file, tree_of


def load_topology(
    name: str, overrides: Iterable[tuple[str, str]] = (), case: str | None = None, argv: Sequence[str] = ()
) -> Topology:
    """The topology that `name` means, checked: a file, a shipped one, one of Mininet's. InputError at a mistake.

    overrides: dotted keys to set, of the topology, or of the experiment if `name` is one. case: of an experiment, the
    first if absent. argv: the words that a Mininet file finds on its command line.
    """
    settings = list(overrides)
    if (known := shipped_topology(name)) is not None:
        name = str(known)
    if not name.split(":")[0].endswith((".yaml", ".yml")):
        return _by_name(name, [*settings, *_argv("argv", argv)])
    _, tree = read_file(name)
    if tree.child("topology") is None:
        return _checked(tree, [*settings, *_argv("argv", argv)])
    settings += _argv("topology.argv", argv)
    experiment = load_experiment(name, settings)
    cells = [cell for cell in experiment.cells if case is None or cell.case == case]
    if not cells:
        todo = did_you_mean(case or "", experiment.case_descriptions, "cases")
        raise InputError(f'there is no case "{case}" in {name}', todo=todo, where="--case")
    return cells[0].spec.topology


def _argv(key: str, words: Sequence[str]) -> list[tuple[str, str]]:
    return [(key, json.dumps(list(words)))] if words else []


def _by_name(name: str, settings: list[tuple[str, str]]) -> Topology:
    """A topology of Mininet's. Its name is in no file: an error there is placed at the name as it was typed."""
    # As if a file in this directory said it, so that a path leads from here.
    place = f"{Path.cwd() / 'the command line'}:1:1"
    try:
        return _checked(Tree({"mininet": tree_of(name, place)}, name, name), settings)
    except InputError as error:
        if error.where != place:
            raise
        raise InputError(error.attempted, error.on, error.got, error.todo, name) from None


def _checked(tree: Tree, settings: list[tuple[str, str]]) -> Topology:
    for key, text in settings:
        value = parse_setting(key, text)
        tree = merge(tree, overlay_of(key, value, value.at))
    mistakes = Mistakes()
    section = Generator().topology(tree, mistakes)
    made: list[Topology] = []
    with mistakes.noting():
        made.append(validate(TypeAdapter(Topology), section, ("topology",)))
        check_topology(made[0], Tree({"topology": section}, section.at, section.key_at))
    mistakes.raise_any()
    return made[0]
