"""A topology drawn as SVG: nodes in layers, hosts below, what is further from them above."""

from __future__ import annotations

from html import escape

from harness.topology.draw.data import LinkPicture, NodePicture, TopologyPicture
from harness.topology.switching import distances

Point = tuple[float, float]

_COLUMN, _ROW, _MARGIN, _TOP = 26.0, 104.0, 24.0, 34.0
_BOX_HEIGHT, _LETTER, _SMALL = 26.0, 7.0, 5.4
_LABELS_AT_MOST = 40  # links; more labels than that only cover one another
_SWEEPS = 8
_ADDRESSES = 3  # of a node, below its box
_FILL = {"host": "#e8f1fa", "router": "#fdf0dc", "switch": "#e9e9ec"}
_LINE = {"host": "#3b78b5", "router": "#c98a1b", "switch": "#6b6b76"}


def as_svg(picture: TopologyPicture) -> str:
    """The drawing, a whole SVG document."""
    nodes, links = picture.nodes, picture.links
    neighbours: dict[str, list[str]] = {name: [] for name in nodes}
    for link in links:
        first, second = link.between
        neighbours[first].append(second)
        neighbours[second].append(first)
    rows = _ordered(_layers(nodes, neighbours), neighbours)
    places = _places(rows, nodes)
    width = max(x + _width(name, nodes[name]) / 2 for name, (x, _) in places.items()) + _MARGIN
    height = _TOP + _ROW * (len(rows) - 1) + _BOX_HEIGHT + 2 * _MARGIN
    parts = [_edge(link, places, len(links) <= _LABELS_AT_MOST, bend) for link, bend in _bends(links)]
    parts += [_box(name, nodes[name], places[name]) for name in nodes]
    about = escape(picture.description or f"{len(nodes)} nodes, {len(links)} links")
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" role="img">\n<title>{about}</title>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
    )
    return head + "\n".join(parts) + "\n</svg>\n"


def _layers(nodes: dict[str, NodePicture], neighbours: dict[str, list[str]]) -> list[list[str]]:
    """Nodes by their distance from the nearest edge: a host, or where there is none, a node with one link."""
    edge = [name for name, node in nodes.items() if node.kind == "host"]
    edge = edge or [name for name in nodes if len(neighbours[name]) <= 1] or list(nodes)[:1]
    depth = distances(neighbours, edge)
    rows: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in nodes:
        rows[depth.get(name, 0)].append(name)
    return rows[::-1]


def _ordered(rows: list[list[str]], neighbours: dict[str, list[str]]) -> list[list[str]]:
    """Each row sorted by where its neighbours are, a few times up and down: fewer lines cross."""
    for sweep in range(_SWEEPS):
        place = {name: (i + 0.5) / len(row) for row in rows for i, name in enumerate(row)}
        for row in rows if sweep % 2 else rows[::-1]:
            means = {name: _mean([place[other] for other in neighbours[name]], place[name]) for name in row}
            row.sort(key=lambda name: means[name])
            place |= {name: (i + 0.5) / len(row) for i, name in enumerate(row)}
    return rows


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _width(name: str, node: NodePicture) -> float:
    longest = max((len(text) for text in node.lines(_ADDRESSES)), default=0)
    return max(len(name) * _LETTER + 16, longest * _SMALL)


def _places(rows: list[list[str]], nodes: dict[str, NodePicture]) -> dict[str, Point]:
    """The middle of every node's box: rows centred below one another."""
    widths = [sum(_width(name, nodes[name]) + _COLUMN for name in row) for row in rows]
    widest = max(widths)
    places: dict[str, Point] = {}
    for number, (row, width) in enumerate(zip(rows, widths, strict=True)):
        # A row of few nodes spreads out over the width, so that a tree looks like one.
        gap = _COLUMN + (widest - width) / len(row)
        x = _MARGIN - _COLUMN / 2
        for name in row:
            own = _width(name, nodes[name]) + gap
            places[name] = (x + own / 2, _TOP + _ROW * number)
            x += own
    return places


def _bends(links: list[LinkPicture]) -> list[tuple[LinkPicture, float]]:
    """Every link and how far it bows out: parallel ones must not lie on one another."""
    seen: dict[frozenset[str], int] = {}
    bends = []
    for link in links:
        key = frozenset(link.between)
        number = seen[key] = seen.get(key, -1) + 1
        bends.append((link, (number + 1) // 2 * 24.0 * (-1) ** number))
    return bends


def _edge(link: LinkPicture, places: dict[str, Point], labelled: bool, bend: float) -> str:
    (x1, y1), (x2, y2) = (places[name] for name in link.between)
    if y1 == y2 and abs(x1 - x2) > 0 and not bend:
        bend = -0.12 * abs(x1 - x2)
    x, y = (x1 + x2) / 2 + (bend if y1 != y2 else 0), (y1 + y2) / 2 + (bend if y1 == y2 else 0)
    dash = ' stroke-dasharray="4 4"' if link.idle else ""
    line = f'<path d="M{x1:.1f} {y1:.1f} Q{x:.1f} {y:.1f} {x2:.1f} {y2:.1f}" fill="none" stroke="#8a8f98"{dash}/>'
    both = (link.forward, link.reverse)
    if not labelled or not any(both):
        return line
    texts = both[:1] if both[0] == both[1] else tuple(f"{a} {b or '-'}" for a, b in zip("→←", both, strict=True))
    labels = [
        f'<text x="{x:.1f}" y="{y + 10 * number:.1f}" font-size="9" text-anchor="middle" fill="#8a4b08" '
        f'paint-order="stroke" stroke="#ffffff" stroke-width="3">{escape(str(text))}</text>'
        for number, text in enumerate(texts)
    ]
    return "\n".join([line, *labels])


def _box(name: str, node: NodePicture, place: Point) -> str:
    x, y = place
    width = len(name) * _LETTER + 16
    corner = 3 if node.kind == "switch" else 12
    parts = [
        f'<rect x="{x - width / 2:.1f}" y="{y - _BOX_HEIGHT / 2:.1f}" width="{width:.1f}" height="{_BOX_HEIGHT}" '
        f'rx="{corner}" fill="{_FILL[node.kind]}" stroke="{_LINE[node.kind]}"/>',
        f'<text x="{x:.1f}" y="{y + 4:.1f}" font-size="12" text-anchor="middle" fill="#1d2126">{escape(name)}</text>',
    ]
    for number, text in enumerate(node.lines(_ADDRESSES), 1):
        below = y + _BOX_HEIGHT / 2 + 1 + 10 * number
        parts.append(
            f'<text x="{x:.1f}" y="{below:.1f}" font-size="9" text-anchor="middle" fill="#5a6068" '
            f'paint-order="stroke" stroke="#ffffff" stroke-width="2">{escape(text)}</text>'
        )
    return "\n".join(parts)
