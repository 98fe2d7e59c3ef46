"""A topology as text and as Graphviz source."""

from __future__ import annotations

import json
from collections.abc import Sequence

from harness.topology.draw.data import NodePicture, TopologyPicture
from harness.units import counted

_ROUTES_SHOWN, _LINES_SHOWN = 4, 20


def as_text(picture: TopologyPicture) -> str:
    """Two tables: nodes with addresses, CPUs and routes; links with devices and shaping."""
    lines = [picture.description] if picture.description else []
    nodes, links = picture.nodes, picture.links
    kinds = [node.kind for node in nodes.values()]
    by_kind = [counted(kinds.count(kind), kind) for kind in dict.fromkeys(kinds)]
    how = f"; switching: {picture.switching}" if picture.switching else ""
    lines += [f"{', '.join(by_kind)}, {counted(len(links), 'link')}; engine: {picture.engine}{how}"]
    rows = [("node", "kind", "cpus", "addresses", "routes")]
    for name, node in nodes.items():
        routes = node.routes
        more = f"; and {len(routes) - _ROUTES_SHOWN} more" if len(routes) > _ROUTES_SHOWN else ""
        addresses = " ".join(node.addresses) or "-"
        ways = "; ".join(routes[:_ROUTES_SHOWN]) + more
        rows.append((name, node.kind, _cpus(node), addresses, ways or "-"))
    lines += ["", *_table(rows)]
    rows = [("link", "devices", "->", "<-", "")]
    for link in links:
        ends, devices = " - ".join(link.between), " - ".join(link.devices)
        idle = "idle: out of the spanning tree" if link.idle else ""
        rows.append((ends, devices, link.forward or "-", link.reverse or "-", idle))
    lines += ["", *_table(rows)]
    if picture.script:
        heading = "what its script says or does besides, which is not done here:"
        lines += ["", heading, *_shortened(picture.script)]
    return "\n".join(lines) + "\n"


def _shortened(script: Sequence[str]) -> list[str]:
    """The first lines, and the last, which may say that it went no further."""
    lines = [f"  {line}" for line in script]
    left = len(lines) - _LINES_SHOWN
    return lines if left <= 1 else [*lines[: _LINES_SHOWN - 1], f"  ({left} more: --format json)", lines[-1]]


def _cpus(node: NodePicture) -> str:
    share = f" at most {node.cpu_share}" if node.cpu_share else ""
    return (node.cpus or "any") + share if node.kind != "switch" else "-"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def as_dot(picture: TopologyPicture) -> str:
    """An undirected graph for Graphviz: `pollbench topology FILE --format dot | dot -Tpdf`."""
    lines = ["graph topology {", "  node [fontname=sans, fontsize=10]; edge [fontname=sans, fontsize=8];"]
    for name, node in picture.nodes.items():
        shape = {"switch": "box, style=filled, fillcolor=lightgrey", "router": "diamond"}.get(node.kind, "ellipse")
        lines.append(f"  {json.dumps(name)} [label={json.dumps(chr(10).join([name, *node.lines()]))}, shape={shape}];")
    for link in picture.links:
        first, second = map(json.dumps, link.between)
        both = (link.forward, link.reverse)
        ways = [f"{way} {words or '-'}" for way, words in zip("><", both, strict=True)]
        text = chr(10).join([both[0] or ""] if both[0] == both[1] else ways)
        label = f" [label={json.dumps(text)}]" if any(both) else ""
        lines.append(f"  {first} -- {second}{label};")
    return "\n".join([*lines, "}"]) + "\n"
