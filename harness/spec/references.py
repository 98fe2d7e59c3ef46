"""`topology: NAME` in an experiment file: finding the file it means and putting its content in its place."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from harness.errors import InputError
from harness.spec.messages import did_you_mean
from harness.spec.yaml_tree import Tree, read_file

_SUFFIXES = (".yaml", ".yml")
_PLACES = ("topologies", "../topologies", "")


def with_topology(section: Tree, experiment: Path) -> Tree:
    """`section`, with a `topology` that is a text replaced by the topology file it names.

    A path is relative to the experiment file; a bare name is looked for as NAME.yaml in topologies/ beside
    the file, in ../topologies/ above it, and beside the file. InputError if there is no such YAML mapping.
    """
    named = section.child("topology")
    if named is None or not isinstance(named.value, str):
        return section
    return section.updated({"topology": topology_named(named, experiment)})


def topology_named(named: Tree, experiment: Path) -> Tree:
    """The topology that a text names; laid over another topology, it takes that one's place."""
    _, tree = read_file(_found(str(named.value), experiment, named.at))
    return replace(tree, whole=True, key_at=named.key_at)


def _found(name: str, experiment: Path, at: str) -> Path:
    if "/" in name or name.endswith(_SUFFIXES):
        path = _tidy(experiment.parent / name)
        if not _is_file(path):
            raise InputError("topology", got=f"there is no file {path}", where=at)
        return path
    for place in _PLACES:
        path = _tidy(experiment.parent / place / f"{name}.yaml")
        if _is_file(path) and path != _tidy(experiment):
            return path
    known = sorted(path.stem for place in _PLACES[:2] for path in _tidy(experiment.parent / place).glob("*.yaml"))
    got = f'no "{name[:60]}.yaml" in topologies/ or ../topologies/, nor beside the file'
    raise InputError("topology", got=got, todo=did_you_mean(name, known, "topologies"), where=at)


def _tidy(path: Path) -> Path:
    return Path(os.path.normpath(path))


def _is_file(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):  # a NUL in the name, or a name that is too long
        return False
