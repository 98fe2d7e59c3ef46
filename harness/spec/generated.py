"""Completes topology sections: names become files' content, Mininet topologies nodes and links, nodes get CPUs."""

from __future__ import annotations

import fnmatch
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import InputError
from harness.mininet.graph import TopoRequest
from harness.mininet.load import load_graph
from harness.mininet.topology import document_of
from harness.spec.messages import Mistakes, did_you_mean
from harness.spec.overlay import merge
from harness.spec.shipped import shipped, shipped_topology
from harness.spec.traces import with_traces
from harness.spec.yaml_tree import Document, Tree, read_file, tree_of
from harness.units import format_cpus

# Where a file that `mininet:` names is looked for, from the directory of the file that names it.
_PLACES = ("", "topologies", "..", "../topologies")
# Where a file that `topology:` names is, in this order, from the directory of the experiment file.
_SHIPPED_IN = ("topologies", "../topologies")
_SUFFIXES = (".yaml", ".yml")


def with_topology(section: Tree, experiment: Path) -> Tree:
    """`section`, with a `topology` that is a text replaced by the topology file it names.

    A path is relative to the experiment file; a bare name is looked for as NAME.yaml in topologies/ beside
    the file, in ../topologies/ above it, beside the file, and among those that are shipped. InputError if there is no
    such YAML mapping.
    """
    named = section.child("topology")
    if named is None or not isinstance(named.value, str):
        return section
    _, tree = read_file(_found(named.value, experiment, named.at))
    # Laid over another topology, it takes that one's place.
    return section.updated({"topology": replace(tree, whole=True, key_at=named.key_at)})


def _found(name: str, experiment: Path, at: str) -> Path:
    if "/" in name or name.endswith(_SUFFIXES):
        path = _tidy(experiment.parent / name)
        if not _is_file(path):
            raise InputError("topology", got=f"there is no file {path}", where=at)
        return path
    for place in (*_SHIPPED_IN, ""):
        path = _tidy(experiment.parent / place / f"{name}.yaml")
        if _is_file(path) and path != _tidy(experiment):
            return path
    if (path := shipped_topology(name)) is not None:
        return path
    places = [*(_tidy(experiment.parent / place) for place in _SHIPPED_IN), shipped("topologies")]
    known = sorted({path.stem for place in places for path in place.glob("*.yaml")})
    got = f'no "{name[:60]}.yaml" in topologies/ or ../topologies/, nor beside the file, and none is shipped'
    raise InputError("topology", got=got, todo=did_you_mean(name, known, "topologies"), where=at)


def _tidy(path: Path) -> Path:
    return Path(os.path.normpath(path))


def _is_file(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):  # a NUL in the name, or a name that is too long
        return False


@dataclass
class Generator:
    """Makes the topology sections of cells, each topology that several cells share only once."""

    _known: dict[str, Tree] = field(default_factory=dict)

    def realise(self, cell: Tree, mistakes: Mistakes) -> Tree:
        """The cell with its topology as nodes and links, those of the file laid over what is generated.

        Raises InputError for a topology file that breaks, or options that are not known. mistakes: gets what is wrong
        beside which the rest can still be checked.
        """
        cell = at_home(cell)
        section = cell.child("topology")
        if section is None or not section.entries:
            return cell
        made = self.topology(section, mistakes)
        return cell if made is section else cell.updated({"topology": made})

    def topology(self, section: Tree, mistakes: Mistakes) -> Tree:
        """The same for a topology section alone."""
        section = with_traces(section, mistakes)
        if section.child("mininet") is None and section.child("cpus") is None:
            return section
        key = json.dumps([section.plain(), section.at])
        if key not in self._known:
            self._known[key] = _placed(_translated(section))
        return self._known[key]


_WITH_PATHS = ("command", "sockperf")


def at_home(cell: Tree) -> Tree:
    """The cell, or whole file, whose workloads with paths know the directory of their file, from which these lead."""
    single, several = cell.child("workload"), cell.child("workloads")
    if single is not None and single.entries:
        cell = cell.updated({"workload": _with_home(single)})
    if several is not None and isinstance(several.value, tuple):
        cell = cell.updated({"workloads": replace(several, value=tuple(map(_with_home, several.value)))})
    return cell


def _with_home(workload: Tree) -> Tree:
    kind, own = workload.child("kind"), workload.child("home")
    if not workload.entries or kind is None or kind.value not in _WITH_PATHS:
        return workload
    home = Path(workload.at.rsplit(":", 2)[0]).parent if workload.at.count(":") >= 2 else Path()
    if own is not None:
        if not isinstance(own.value, str):
            return workload
        home /= own.value
    return workload.updated({"home": tree_of(os.path.abspath(home), own.at if own is not None else workload.at)})


def _translated(section: Tree) -> Tree:
    """The section with the nodes and links of the Mininet topology that it names."""
    named, args = section.child("mininet"), section.child("args")
    if named is None or named.value is None:
        return section
    if not isinstance(named.value, str):
        got = "expected text such as FILE.py:CLASS"
        raise InputError("topology.mininet", got=got, where=named.at)
    plain = args.plain() if args is not None else None
    if plain is not None and not isinstance(plain, (dict, list)):
        raise InputError("topology.args", got="expected a mapping or a list", where=args.at if args else "")
    name, directory = _located(named.value, named.at)
    engine = section.child("engine")
    foreign = engine is not None and engine.value == "mininet"
    request = TopoRequest.of(name, directory, plain, _words(section.child("argv")))
    graph = load_graph(request, named.at, rehearsed=not foreign)
    made = tree_of(document_of(graph, named.value, named.at, foreign=foreign), named.at)
    made = _with_places(made, [link.at or named.at for link in graph.links])
    own = replace(section, whole=False)
    if graph.script:
        own = own.updated({"script": tree_of(list(graph.script), named.at)})
    if foreign:
        # Mininet will read the file again, when it builds.
        home = tree_of(os.path.abspath(directory), named.at)
        own = own.updated({"mininet": tree_of(name, named.at), "mininet_from": home})
    return replace(merge(made, own), at=section.at, key_at=section.key_at)


def _words(argv: Tree | None) -> list[str]:
    """The words of `argv`. InputError for what is no list of them."""
    plain = argv.plain() if argv is not None else None
    if plain is None:
        return []
    if not isinstance(plain, list) or not all(isinstance(word, str | int | float) for word in plain):
        todo = 'expected a list of words, such as ["--bw", "10"]'
        raise InputError("topology.argv", got="not a list of words", todo=todo, where=argv.at if argv else "")
    return [str(word) for word in plain]


def _with_places(topology: Tree, places: list[str]) -> Tree:
    """The same with its links placed where the topology's own file adds them."""
    links = topology.child("links")
    assert links is not None and isinstance(links.value, tuple)
    placed = tuple(tree_of(link.plain(), at) for link, at in zip(links.value, places, strict=True))
    return topology.updated({"links": replace(links, value=placed)})


def _located(name: str, at: str) -> tuple[str, str]:
    """(the name, the directory its file is in)."""
    source = name.partition(":")[0]
    home = Path(at.rsplit(":", 2)[0]).parent if at.count(":") >= 2 else Path()
    if not source.endswith(".py"):
        return name, str(home)
    for place in _PLACES:
        path = _tidy(home / place / source)
        if path.is_file():
            return f"{path.name}{name[len(source) :]}", str(path.parent)
    if "/" not in source and (shipped("topologies") / source).is_file():
        return name, str(shipped("topologies"))
    todo = f"a path is relative to {home}" if str(home) != "." else ""
    raise InputError("topology.mininet", got=f"there is no file {_tidy(home / source)}", todo=todo, where=at)


def _placed(section: Tree) -> Tree:
    """The section with CPUs for the hosts that declare none, as `cpus` has it."""
    choice, nodes = section.child("cpus"), section.child("nodes")
    if choice is None or choice.value is None or nodes is None:
        return section
    hosts = [name for name, node in nodes.entries.items() if not _is_on(node.child("switch"))]
    placed = {
        name: nodes.entries[name].updated({"cpus": tree_of(cpus, choice.at)})
        for name, cpus in _choose(choice, hosts).items()
        if isinstance(nodes.entries[name].value, dict) and nodes.entries[name].child("cpus") is None
    }
    return section.updated({"nodes": nodes.updated(placed)}) if nodes.entries else section


def _choose(choice: Tree, hosts: list[str]) -> Document:
    if isinstance(choice.value, dict):
        chosen: Document = {}
        for pattern, cpus in choice.value.items():
            matching = [name for name in hosts if fnmatch.fnmatchcase(name, pattern)]
            if not matching:
                got = f'no host is called "{pattern}"'
                raise InputError("topology.cpus", got=got, todo="expected a name or pattern", where=cpus.key_at)
            for name in matching:
                chosen.setdefault(name, cpus.plain())
        return chosen
    # The CPUs this process may use: the same that its children, the workloads, may use.
    usable = sorted(os.sched_getaffinity(0))
    if choice.value == "spread":
        return {name: format_cpus((usable[i % len(usable)],)) for i, name in enumerate(hosts)}
    if choice.value == "pack":
        return {name: format_cpus((usable[i * len(usable) // len(hosts)],)) for i, name in enumerate(hosts)}
    return {}  # not understood: the model says so


def _is_on(tree: Tree | None) -> bool:
    return tree is not None and str(tree.value).lower() in ("true", "on", "yes")
