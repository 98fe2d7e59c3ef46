"""The record of one run: frozen, typed and versioned; the one form in which a run passes from room to room."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

VERSION = 1
"""Version of the file run.json. A file without one was written before there were versions, and reads as version 1."""

ALREADY_SO = "already so: nothing changed"
"""Evidence of a setting that equals what was there before it."""
NO_TRAFFIC = "no traffic to act on"
"""How the evidence of a setting begins whose device no workload's packets passed."""

Verdict = Literal["valid", "inert", "suspect", "failed", "skipped"]
Scalar = str | int | float | bool | None
Columns = dict[str, Scalar]
"""Values by column name, for parts whose columns depend on the workload, the place or the program."""
Metrics = dict[str, float | int | None]
"""Numbers by column name, units in the names; None where a figure does not exist. Any name may be there."""


def file_key(name: str) -> str:
    """The key of a field in run.json, which is an older word for one of them."""
    return "fidelity" if name == "link_checks" else name


@dataclass(frozen=True)
class DeclaredContention:
    """The contention that was asked for. cpus: as a list of numbers ("1,3"); load_percent: of one CPU, each thread.

    awake: "on" where every CPU of the run was to be kept from going idle, else "".
    """

    kind: str
    cpus: str
    threads: int
    load_percent: float
    awake: str = ""


@dataclass(frozen=True)
class KnobRow:
    """One setting on one node, three facts apart: asked for, read back, took effect (None: nothing to see).

    node: "*" for the whole host. found: the value before. Values are as the kernel has them: number, text, or a list.
    """

    node: str = ""
    knob: str = ""
    setting: str = ""
    scope: str = ""
    requested: object = None
    found: object = None
    applied: object = None
    took_effect: bool | None = None
    evidence: str = ""


@dataclass(frozen=True)
class QdiscRow:
    """A declared queueing discipline: kind and options as asked for, and as the kernel has them."""

    node: str = ""
    device: str = ""
    requested: Columns = field(default_factory=dict)
    read_back: Columns = field(default_factory=dict)


@dataclass(frozen=True)
class LinkCheck:
    """One declared property of a shaped direction, tried. ok is None where this host cannot offer enough to tell."""

    link: str = ""
    check: str = ""
    declared: str = ""
    measured: str = ""
    tolerance: str = ""
    ok: bool | None = None
    reason: str = ""


@dataclass(frozen=True)
class LinkPhase:
    """What requests met in one phase of a direction that changes; of a program without samples, the phase alone.

    seconds: time the phase had of the window; rate_bps, delay_ms, loss_percent: declared, their means over that time.
    requests, lost: of those sent in it; p50_us, p99_us: of their round trips, None where there are too few.
    """

    link: str = ""
    phase: str = ""
    seconds: float = 0.0
    rate_bps: float = 0.0
    delay_ms: float = 0.0
    loss_percent: float = 0.0
    requests: int | None = None
    lost: int | None = None
    p50_us: float | None = None
    p99_us: float | None = None


@dataclass(frozen=True)
class QueueSeries:
    """What waited in the queues of one direction through the window, in stretches of `seconds` from its beginning.

    packets: mean of the looks in each stretch, None where there was none; most_packets, most_bytes: the most that any
    look found; drops: packets dropped in the stretch.
    """

    link: str = ""
    seconds: float = 0.0
    packets: list[float | None] = field(default_factory=list)
    most_packets: list[int | None] = field(default_factory=list)
    most_bytes: list[int | None] = field(default_factory=list)
    drops: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class RunRecord:
    """Everything that is known of one run. Made once, when the run has ended; `store.codec` writes and reads it.

    block: repetition, from 1; order: place in the sequence in which runs were made, from 0; wall_s: of the whole run,
    building and removing included, None where nobody measured it. hints: what is no reason against the run, and has to
    be known beside its figures. nodes, cpus: figures by node and by CPU
    (NODE:CPU on the other host of two). features: offloads that were on, by node and device. source_files: what an
    imported run was read from. attempt: from 1, more where the run was made again; rejected: why each attempt before
    did not count; again_s: their wall time in all. noise: which kinds of noise spoilt this one (`run.checks.NOISE`).
    """

    run_id: str
    case: str
    verdict: Verdict
    factors: dict[str, object] = field(default_factory=dict)
    block: int = 0
    order: int = 0
    started_utc: str = ""
    wall_s: float | None = None
    reasons: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    environment: Columns = field(default_factory=dict)
    datapath: str = ""
    workload: Columns = field(default_factory=dict)
    background: tuple[Columns, ...] = ()
    contention: DeclaredContention | None = None
    metrics: Metrics = field(default_factory=dict)
    nodes: dict[str, Columns] = field(default_factory=dict)
    cpus: dict[str, Columns] = field(default_factory=dict)
    knobs: tuple[KnobRow, ...] = ()
    qdiscs: tuple[QdiscRow, ...] = ()
    features: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    link_checks: tuple[LinkCheck, ...] = ()
    phases: tuple[LinkPhase, ...] = ()
    queues: tuple[QueueSeries, ...] = ()
    source_files: tuple[str, ...] = ()
    attempt: int = 1
    rejected: tuple[str, ...] = ()
    again_s: float = 0.0
    noise: tuple[str, ...] = ()
    version: int = VERSION

    # For pydantic, which reads the file: no text for a number, no flag for one, no infinity.
    __pydantic_config__: ClassVar[Any] = {"strict": True, "alias_generator": file_key, "allow_inf_nan": False}
