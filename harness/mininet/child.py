"""The child process that runs a user's topology file and tells its graph as JSON on a descriptor of its own."""

from __future__ import annotations

import functools
import json
import os
import sys
import types
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from harness.mininet.find import make_topo, prepare
from harness.mininet.graph import Graph, GraphLink, GraphNode, Refused, TopoRequest
from harness.mininet.rehearsal import rehearse

# Under which option a node or link knows where it was added.
_AT = "added_at"


def graph_of(topo: Any, rehearsed: bool) -> Graph:
    """The graph of a Topo. rehearsed: try host classes of the user's own, and tell what they would do."""
    at = {name: topo.nodeInfo(name).pop(_AT, "") for name in topo.nodes(sort=False)}
    own = rehearse(topo, _plain) if rehearsed else {}
    hosts, switches = (
        [GraphNode(name, _plain(topo.nodeInfo(name)), at[name], own.get(name)) for name in names]
        for names in (topo.hosts(), topo.switches())
    )
    links = []
    for first, second, _, options in topo.links(sort=True, withKeys=True, withInfo=True):
        place = options.pop(_AT, "")
        links.append(GraphLink((_plain(first), _plain(second)), _plain(options), place))
    return Graph(hosts, switches, links)


def _remember_places(directory: str) -> None:
    """Have every node and link know the line of the user's file that added it."""
    from mininet.topo import Topo

    def remembering(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def added(*args: Any, **options: Any) -> Any:
            options.setdefault(_AT, _place(directory))
            return original(*args, **options)

        return added

    Topo.addNode, Topo.addLink = remembering(Topo.addNode), remembering(Topo.addLink)


def _place(directory: str) -> str:
    """file:line:column of the nearest caller that is a file of the user's; "" where there is none."""
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        mininets = frame.f_globals.get("__name__") == "mininet.topo"
        if not mininets and frame.f_code.co_filename.startswith(f"{directory}{os.sep}"):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}:1"
        frame = frame.f_back
    return ""


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
    _remember_places(request.directory)
    try:
        answer = asdict(graph_of(make_topo(request)[0], asked["rehearsed"]))
    except Refused as error:
        answer = error.answer()
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        answer = Refused(f"its graph cannot be read: {type(error).__name__}: {error}").answer()
    with os.fdopen(out, "w", encoding="utf-8") as pipe:
        pipe.write(json.dumps(answer))


if __name__ == "__main__":
    main(int(sys.argv[1]))
