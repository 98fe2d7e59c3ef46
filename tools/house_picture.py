"""Draws docs/pictures/house.svg: the rooms of harness/ by floors, and who imports whom; a test keeps it true.

A row is a room, from the top floor down, a column the same room as a target: a dot stands where the row imports the
column. Every dot lies right of the diagonal, which is to say that every import points down.
"""

from __future__ import annotations

import ast
import sys
from html import escape

from tools.house import ROOT, arrows_of, floors_of, rooms_of
from tools.source import Module, load_modules

PICTURE = ROOT / "docs" / "pictures" / "house.svg"
# Rooms that need the machine, as tests/test_house.py has them; the others work anywhere, without root.
MACHINE = ("host", "kernel", "places", "run", "testbed")
_ROW, _TOP, _FLOOR, _NAME, _DUTY, _RIGHT = 22, 110, 16, 44, 140, 720
_STYLE = """\
text{font:13px system-ui,sans-serif;fill:#1b2330}.n{font-weight:600}.m{fill:#9a3412}.d{fill:#4b5563;font-size:12px}
.f{fill:#6b7280;font-size:11px}.l{stroke:#d6dae1}.b{fill:#f4f6f9}.s{fill:#e3e7ed}.o{fill:#1f6feb}.t{font-size:16px;font-weight:600}"""


def duty(module: Module) -> str:
    """The first sentence of a room's docstring."""
    return (ast.get_docstring(module.tree) or "").split("\n\n")[0].replace("\n", " ").replace("`", "").rstrip(".")


def picture(modules: dict[str, Module]) -> str:
    """The drawing as SVG text."""
    arrows = arrows_of(modules)
    floors = floors_of(rooms_of(modules), arrows)
    rooms = sorted((room for room in floors if room != "__init__"), key=lambda room: (-floors[room], room))
    place = {room: index for index, room in enumerate(rooms)}
    width, height = _RIGHT + _ROW * len(rooms) + 20, _TOP + _ROW * len(rooms) + 20
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>The rooms of harness/ by floors, and who imports whom</title><style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text class="t" x="{_FLOOR}" y="30">The house: {len(rooms)} rooms on {max(floors.values())} floors, '
        f"{len(arrows)} arrows</text>",
        f'<text class="d" x="{_FLOOR}" y="52">A dot: the room of the row imports the room of the column. '
        "All lie right of the diagonal: every import points down.</text>",
        f'<text class="d" x="{_FLOOR}" y="70">Names in <tspan class="m">rust</tspan> need Linux and mostly root; '
        "the others work anywhere.</text>",
    ]
    for room, index in place.items():
        lines += _row(room, index, floors, modules, width)
        x = _RIGHT + _ROW * index + _ROW / 2
        lines.append(f'<text class="f" transform="translate({x + 4:g} {_TOP - 8}) rotate(-60)">{room}</text>')
        lines.append(f'<rect class="s" x="{x - _ROW / 2:g}" y="{_TOP + _ROW * index}" width="{_ROW}" height="{_ROW}"/>')
    for source, target in sorted(arrows):
        if source in place:
            x, y = (_RIGHT + _ROW * place[target] + _ROW / 2, _TOP + _ROW * place[source] + _ROW / 2)
            lines.append(
                f'<circle class="o" cx="{x:g}" cy="{y:g}" r="5"><title>{source} imports {target}</title></circle>'
            )
    return "\n".join([*lines, "</svg>", ""])


def _row(room: str, index: int, floors: dict[str, int], modules: dict[str, Module], width: int) -> list[str]:
    y = _TOP + _ROW * index
    shade = "b" if floors[room] % 2 else ""
    text = y + _ROW - 7
    kind = "n m" if room in MACHINE else "n"
    return [
        f'<rect class="{shade}" x="0" y="{y}" width="{width}" height="{_ROW}"/>' if shade else "",
        f'<line class="l" x1="0" x2="{width}" y1="{y}" y2="{y}"/>',
        f'<text class="f" x="{_FLOOR}" y="{text}">{floors[room]}</text>',
        f'<text class="{kind}" x="{_NAME}" y="{text}">{room}</text>',
        f'<text class="d" x="{_DUTY}" y="{text}">{escape(duty(modules[f"harness.{room}"]))}</text>',
    ]


def main() -> int:
    """Write it."""
    PICTURE.write_text(picture(load_modules(ROOT / "harness")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
