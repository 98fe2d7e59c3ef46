"""The child process that runs a user's topology file and tells its graph as JSON on a descriptor of its own."""

from __future__ import annotations

import functools
import json
import os
import sys
import types
from dataclasses import asdict
from typing import Any

from harness.mininet.find import make_topo, prepare
from harness.mininet.graph import Graph, GraphLink, GraphNode, Refused, TopoRequest
from harness.mininet.rehearsal import rehearse


class Places:
    """Where nodes and links were added: noted beside a Topo's graph, whose calls and options stay as they are."""

    def __init__(self, directory: str) -> None:
        """Note from now on, for every graph of Mininet's; directory: that of the user's files."""
        from mininet.topo import MultiGraph

        self._directory = directory
        self._noted: dict[Any, str] = {}
        self._graphs: list[Any] = []  # kept, so that no other graph gets the number of one that is gone
        add_node, add_edge = MultiGraph.add_node, MultiGraph.add_edge

        @functools.wraps(add_node)
        def node_added(graph: Any, node: Any, *args: Any, **options: Any) -> Any:
            self._note(graph, node)
            return add_node(graph, node, *args, **options)

        @functools.wraps(add_edge)
        def edge_added(graph: Any, src: Any, dst: Any, *args: Any, **options: Any) -> Any:
            key = add_edge(graph, src, dst, *args, **options)
            self._note(graph, (frozenset((src, dst)), key))
            return key

        MultiGraph.add_node, MultiGraph.add_edge = node_added, edge_added

    def of_node(self, topo: Any, name: Any) -> str:
        """file:line:column of where it was added; "" where that is not known."""
        return self._noted.get((id(topo.g), name), "")

    def of_link(self, topo: Any, first: Any, second: Any, key: Any) -> str:
        """The same of a link."""
        return self._noted.get((id(topo.g), (frozenset((first, second)), key)), "")

    def _note(self, graph: Any, item: Any) -> None:
        if not any(graph is known for known in self._graphs):
            self._graphs.append(graph)
        self._noted[id(graph), item] = place_of_caller(self._directory)


def place_of_caller(directory: str) -> str:
    """file:line:column of the nearest caller that is a file of the user's; "" where there is none."""
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        mininets = str(frame.f_globals.get("__name__")).startswith("mininet.")
        if not mininets and frame.f_code.co_filename.startswith(f"{directory}{os.sep}"):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}:1"
        frame = frame.f_back
    return ""


def graph_of(topo: Any, rehearsed: bool, places: Places) -> Graph:
    """The graph of a Topo. rehearsed: try host classes of the user's own, and tell what they would do."""
    own = rehearse(topo, _plain) if rehearsed else {}
    hosts, switches = (
        [GraphNode(name, _plain(topo.nodeInfo(name)), places.of_node(topo, name), own.get(name)) for name in names]
        for names in (topo.hosts(), topo.switches())
    )
    links = [
        GraphLink((_plain(first), _plain(second)), _plain(options), places.of_link(topo, first, second, key))
        for first, second, key, options in topo.links(sort=True, withKeys=True, withInfo=True)
    ]
    return Graph(hosts, switches, links)


def _plain(value: Any) -> Any:
    """JSON data; a class or function as {"class": name, "keywords", "bases"}, anything else as {"object": text}."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple, set, range)):
        return [_plain(child) for child in value]
    if isinstance(value, functools.partial):
        inner = _plain(value.func)
        keywords = _plain(value.keywords)
        return inner | {"keywords": inner.get("keywords", {}) | keywords} if "class" in inner else inner
    if callable(value):
        bases = [base.__name__ for base in getattr(value, "__mro__", ())]
        return {"class": str(getattr(value, "__name__", value)), "keywords": {}, "bases": bases}
    return {"object": repr(value)[:80]}


def main(out: int) -> None:
    """Read the request from standard input, write the graph, or {"error": ...}, to the descriptor `out`."""
    asked = json.load(sys.stdin)
    request = TopoRequest(**asked["topo"])
    prepare()
    places = Places(request.directory)
    try:
        answer = asdict(graph_of(make_topo(request)[0], asked["rehearsed"], places))
    except Refused as error:
        answer = error.answer()
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        answer = Refused(f"its graph cannot be read: {type(error).__name__}: {error}").answer()
    with os.fdopen(out, "w", encoding="utf-8") as pipe:
        pipe.write(json.dumps(answer))


if __name__ == "__main__":
    main(int(sys.argv[1]))
