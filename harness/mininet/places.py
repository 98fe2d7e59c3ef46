"""In the child: which line of a user's file added a node or a link, noted beside what it added."""

from __future__ import annotations

import functools
import os
import sys
import types
from typing import Any


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
        self._noted[id(graph), item] = self.here()

    def here(self) -> str:
        """file:line:column of the nearest caller that is a file of the user's; "" where there is none."""
        frame: types.FrameType | None = sys._getframe(1)
        while frame is not None:
            # Mininet's examples are somebody's programs too.
            name = str(frame.f_globals.get("__name__"))
            known = name.startswith(("mininet.", "harness.")) and not name.startswith("mininet.examples.")
            if not known and frame.f_code.co_filename.startswith(f"{self._directory}{os.sep}"):
                return f"{frame.f_code.co_filename}:{frame.f_lineno}:1"
            frame = frame.f_back
        return ""
