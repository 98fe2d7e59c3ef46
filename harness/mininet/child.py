"""The child process that runs a user's topology file and tells its graph as JSON on a descriptor of its own."""

from __future__ import annotations

import functools
import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from harness.mininet.find import Refused, make_topo
from harness.mininet.imports import prepare
from harness.mininet.rehearsal import own_classes

# Under which option a node or link knows where it was added.
_AT = "added_at"


def graph(topo: Any, rehearsed: bool) -> dict[str, Any]:
    """Nodes and links of a Topo in the order in which Mininet makes them, options as plain data.

    rehearsed: say of host classes of the user's own what they would do ("own").
    """
    at = {name: topo.nodeInfo(name).pop(_AT, "") for name in topo.nodes(sort=False)}
    hosts, switches = (
        [{"name": name, "opts": _plain(topo.nodeInfo(name)), "at": at[name]} for name in names]
        for names in (topo.hosts(), topo.switches())
    )
    links = []
    for first, second, _, opts in topo.links(sort=True, withKeys=True, withInfo=True):
        place = opts.pop(_AT, "")
        links.append({"ends": [_plain(first), _plain(second)], "opts": _plain(opts), "at": place})
    own = own_classes(topo) if rehearsed else {}
    for host in hosts:
        if (told := own.get(host["name"])) is not None:
            host["own"] = _plain(told)
    return {"hosts": hosts, "switches": switches, "links": links}


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
    if isinstance(value, list | tuple | set | range):
        return [_plain(child) for child in value]
    if isinstance(value, functools.partial):
        inner = _plain(value.func)
        keywords = _plain(value.keywords)
        return inner | {"keywords": inner.get("keywords", {}) | keywords} if "class" in inner else inner
    if callable(value):
        bases = [base.__name__ for base in getattr(value, "__mro__", ())]
        return {"class": str(getattr(value, "__name__", value)), "keywords": {}, "bases": bases}
    return {"object": repr(value)[:80]}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The graph, or {"error": ...}."""
    prepare()
    _remember_places(request["directory"])
    try:
        topo, _ = make_topo(
            request["name"], request["directory"], list(request["args"]), dict(request["keywords"])
        )
        return graph(topo, bool(request["rehearsed"]))
    except Refused as error:
        return {"error": {"got": error.got, "todo": error.todo, "where": error.where}}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return {
            "error": {
                "got": f"its graph cannot be read: {type(error).__name__}: {error}",
                "todo": "",
                "where": "",
            }
        }


def main(out: int) -> None:
    """Read the request from standard input, write the answer to the descriptor `out`."""
    reply = json.dumps(answer(json.load(sys.stdin))).encode()
    with os.fdopen(out, "wb") as pipe:
        pipe.write(reply)


if __name__ == "__main__":
    main(int(sys.argv[1]))
