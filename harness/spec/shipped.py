"""Where the experiments, claims and topologies are that come with pollbench: in its wheel, or in the checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def shipped(kind: str) -> Path:
    """The directory of what is shipped: "experiments", "experiments/claims" or "topologies"."""
    package = Path(__file__).parents[1]
    inside = package / "shipped" / kind
    return inside if inside.is_dir() else package.parent / kind


def shipped_topology(name: str) -> Path | None:
    """The shipped topology file of a bare name; None where there is none, or the name is a path."""
    path = shipped("topologies") / f"{name}.yaml"
    return path if "/" not in name and "\0" not in name and len(name) < 200 and path.is_file() else None
