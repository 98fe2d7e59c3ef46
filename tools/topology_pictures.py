"""Draws the shipped topologies for docs/topologies.md, without CPUs: those depend on the machine."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.spec.toponame import load_topology
from harness.topology.draw.data import picture_of
from harness.topology.draw.svg import as_svg
from harness.topology.layout import plan_layout

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
SHIPPED = sorted((ROOT / "topologies").glob("*.yaml"))


def picture(path: Path) -> str:
    """The drawing of a topology file."""
    topology = load_topology(str(path))
    shown = picture_of(plan_layout(topology))
    for node in shown.nodes.values():
        node.cpus = None
    return as_svg(shown)


def main() -> int:
    """Write them all."""
    PICTURES.mkdir(exist_ok=True)
    for path in SHIPPED:
        (PICTURES / f"{path.stem}.svg").write_text(picture(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
