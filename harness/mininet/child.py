"""The child process that runs a user's topology file and tells its graph as JSON on a descriptor of its own."""

from __future__ import annotations

import functools
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from harness.mininet.find import make_topo, prepare
from harness.mininet.graph import Graph, GraphLink, GraphNode, Refused, TopoRequest
from harness.mininet.places import Places
from harness.mininet.rehearsal import rehearse
from harness.mininet.scripts import Recorded


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
    return Graph(hosts, switches, links, [*getattr(topo, "said", ())])


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
        made, _ = make_topo(request, places)
        rehearsed = asked["rehearsed"]
        graph = made.graph(_plain, not rehearsed) if isinstance(made, Recorded) else graph_of(made, rehearsed, places)
        answer = asdict(graph)
    except Refused as error:
        answer = error.answer()
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        answer = Refused(f"its graph cannot be read: {type(error).__name__}: {error}").answer()
    with os.fdopen(out, "w", encoding="utf-8") as pipe:
        pipe.write(json.dumps(answer))


if __name__ == "__main__":
    main(int(sys.argv[1]))
