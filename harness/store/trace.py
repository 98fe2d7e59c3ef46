"""The trace of a run as it is kept: events of fixed size, what their numbers mean, and what the run was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydantic import TypeAdapter

EVENTS_FILE, META_FILE = "trace.parquet", "trace.json"
"""The files of a traced run beside its samples."""
REQUESTS_FILE = "trace-requests.bin"
"""Of a program that tells nothing: its requests by their packets, each a REQUEST_DTYPE."""
TRACED = "traced"
"""The directory of a set's traced repetitions: a result set of its own, which no table of this one counts."""
VERSION = 1


class Kind(IntEnum):
    """What happened, and what `a` and `b` of the event are. pid: the task that was running, 0 idle."""

    SWITCH = 0
    """a: the next task's id; b: the state in which the former leaves (0: it could go on)."""
    WAKING = 1
    """a: the task that is woken; b: the CPU it was on."""
    RUNTIME = 2
    """a: a task; b: its run time since the last such event, ns, by the scheduler's clock."""
    IRQ_ENTRY = 3
    """a: the interrupt's number."""
    IRQ_EXIT = 4
    SOFTIRQ_RAISE = 5
    """a: which; 3 is NET_RX."""
    SOFTIRQ_ENTRY = 6
    SOFTIRQ_EXIT = 7
    VECTOR_ENTRY = 8
    """a: which of VECTORS."""
    VECTOR_EXIT = 9
    QUEUE = 10
    """a: the packet's address; b: the device, an index of Meta.devices."""
    XMIT = 11
    """As QUEUE, when the device was given the packet."""
    NAPI_TIMER = 12
    """The timer of a deferral (gro_flush_timeout) fired."""
    FAULT = 13
    """A page fault of the task."""
    SIGNAL = 14
    """a: the signal; b: the task that gets it."""
    NAPI_POLL = 15
    """A poll that brought packets, at its end; only where asked for. a: an index of Meta.napis; b: packets."""


VECTORS = ("local_timer", "reschedule", "call_function", "call_function_single", "irq_work")
"""Interrupts between CPUs and of the CPU's own timer."""
SOFTIRQS = ("HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU")
NET_RX = 3
REQUEST_DTYPE = np.dtype([("intended_ns", "<i8"), ("latency_ns", "<i8")])
EVENT_DTYPE = np.dtype([("ns", "<i8"), ("a", "<i8"), ("b", "<i8"), ("pid", "<i4"), ("kind", "<i4"), ("cpu", "<i4")])


@dataclass(frozen=True)
class Meta:
    """What a trace is of. Times are CLOCK_MONOTONIC, ns.

    start_ns: what the samples' times are counted from; begin_ns, end_ns: while events were taken. cpus: those traced.
    lost: events that found no room, by CPU. lacking: events that the kernel does not have, with the reason. programs:
    task ids by our program's label ("client", "server", "hog"); client_tids: in the order of the client's threads, over
    which `connections` are spread. names, irqs: of tasks and interrupts by number; devices: names; napis: of each NAPI
    the name of its device; shaped: which node's devices queue. timed: whether replies carry the server's times;
    by_packets: requests are those of REQUESTS_FILE.
    """

    start_ns: int = 0
    begin_ns: int = 0
    end_ns: int = 0
    cpus: tuple[int, ...] = ()
    lost: dict[int, int] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    programs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    client_tids: tuple[int, ...] = ()
    connections: int = 1
    names: dict[int, str] = field(default_factory=dict)
    irqs: dict[int, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    napis: tuple[str, ...] = ()
    shaped: dict[str, tuple[str, ...]] = field(default_factory=dict)
    timed: bool = False
    by_packets: bool = False
    version: int = VERSION

    def label(self, tid: int) -> str:
        """Our program that a task is of; "" for anybody else's."""
        return next((name for name, tids in self.programs.items() if tid in tids), "")


def to_json(meta: Meta) -> bytes:
    """The file META_FILE."""
    return json.dumps(asdict(meta), indent=1).encode() + b"\n"


@cache
def _adapter() -> TypeAdapter[Meta]:
    # Imported here: `--help` passes by this module.
    from pydantic import TypeAdapter

    return TypeAdapter(Meta)


def read_meta(data: bytes) -> Meta:
    """What to_json wrote. Raises ValueError saying what is wrong with it."""
    from pydantic import ValidationError

    try:
        meta = _adapter().validate_json(data)
    except ValidationError as error:
        raise ValueError(str(error.errors(include_url=False)[0]["msg"])) from error
    if meta.version > VERSION:
        raise ValueError(f"is of version {meta.version}; this pollbench reads versions up to {VERSION}")
    return meta
