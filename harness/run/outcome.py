"""All that is known of one run when its programs have ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.knobs import GroupUse
from harness.run.counters import Difference

FAR_CPUS = 1 << 16
"""What is added to the numbers of the other host's CPUs, where a run is of two hosts."""


@dataclass(frozen=True)
class Part:
    """One program of the run: its label ("client", "background1-server"), node, way to wait, and result line."""

    label: str
    node: str
    wait: str
    report: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """All that is known of one run when its programs have ended.

    client, server, hog: their result lines, as far as they have one (hog None without contention). protocol: of all
    workloads, joined by "+". parts: every program of a workload. napis: node -> napi-get of its devices after the run.
    metrics: columns that the measured program itself gave. background: figures of the workloads beside it. groups: what
    each control group did. numa: the NUMA nodes of the CPUs that each node's programs may use. far_node: the node on
    another host, whose CPUs are numbered from FAR_CPUS on; "" where there is none.
    """

    difference: Difference
    client: dict[str, Any]
    server: dict[str, Any]
    hog: dict[str, Any] | None
    hog_threads: int
    protocol: str
    parts: tuple[Part, ...]
    cpus: set[int]
    napis: dict[str, list[dict[str, int | None]]] = field(default_factory=dict)
    metrics: dict[str, float | int | None] = field(default_factory=dict)
    background: tuple[dict[str, Any], ...] = ()
    groups: dict[str, GroupUse] = field(default_factory=dict)
    numa: dict[str, list[int]] = field(default_factory=dict)
    far_node: str = ""

    def measured(self) -> dict[str, Part]:
        """The programs of the measured workload by role."""
        return {part.label: part for part in self.parts if part.label in ("client", "server")}
