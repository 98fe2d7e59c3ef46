"""Holds the topologies of an experiment against what can be laid out, before anything is built; with places."""

from __future__ import annotations

from harness.errors import InputError
from harness.spec.load import Experiment
from harness.spec.messages import Mistakes, Path, problem
from harness.spec.topology import Topology
from harness.spec.yaml_tree import Tree
from harness.topology.layout import plan_layout


def check_layout(experiment: Experiment) -> None:
    """InputError where addresses run out, a gateway is not nearby, or a shape is beyond any kernel; others with it."""
    mistakes = Mistakes()
    tried: set[int] = set()
    for cell, tree in zip(experiment.cells, experiment.trees, strict=True):
        section = tree.child("topology")
        if section is None or id(section) in tried or cell.spec.topology.on_hosts():
            continue
        tried.add(id(section))
        try:
            layout = plan_layout(cell.spec.topology)
        except InputError as error:
            mistakes.add(_placed(error, tree, ("topology",)))
            continue
        for node, declared in cell.spec.topology.nodes.items():
            if not declared.routes and declared.default_route is None:
                continue  # what is computed has a way
            try:
                layout.routes(node)
            except InputError as error:
                mistakes.add(_placed(error, tree, ("topology", "nodes", node)))
    mistakes.raise_any()


def _placed(error: InputError, tree: Tree, path: Path) -> InputError:
    """The same with the place of the section, or node, that it is about."""
    return problem(tree, path, error.got, error.todo, key=True)


def refuse_here(topology: Topology) -> None:
    """Raise InputError for a topology on hosts of an inventory: there is no fleet here."""
    hosts = topology.on_hosts()
    if hosts:
        got = f"its nodes are on hosts of an inventory ({', '.join(hosts.values())})"
        todo = "type: pollbench fleet run FILE -i INVENTORY (or tune FILE -i INVENTORY)"
        raise InputError("build the topology on one host", got=got, todo=todo)
