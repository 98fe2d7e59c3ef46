"""Which events of the kernel a trace takes, and how they are made records of one size."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness import loadgen
from harness.errors import PollbenchError
from harness.kernel import tracefs
from harness.kernel.tracefs import Instance
from harness.store.trace import EVENT_DTYPE, NET_RX, VECTORS, Kind

# What pollbench-loadgen writes: harness/loadgen/pages.c.
_RECORD = np.dtype(
    [("ns", "<i8"), ("a", "<i8"), ("b", "<i8"), ("pid", "<i4"), ("kind", "<u2"), ("cpu", "<u2"), ("text", "S16")]
)
_STOP_SIGNALS = (19, 20, 21, 22)  # SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU
_NAPI_TIMER = "napi_watchdog"
_BESIDE_TASKS = 0x18  # of an event's common_flags: TRACE_FLAG_HARDIRQ, TRACE_FLAG_SOFTIRQ
_OF_TIMER = "irq_vectors/local_timer_"
_PATIENCE_S = 60.0


class Wanted(NamedTuple):
    """One event: its kind, the fields that become `a`, `b` and the text; "": none."""

    kind: Kind
    a: str = ""
    b: str = ""
    text: str = ""


_ALWAYS: dict[str, Wanted] = {
    "sched/sched_switch": Wanted(Kind.SWITCH, "next_pid", "prev_state", "next_comm"),
    "sched/sched_waking": Wanted(Kind.WAKING, "pid", "target_cpu", "comm"),
    "sched/sched_stat_runtime": Wanted(Kind.RUNTIME, "pid", "runtime"),
    "irq/irq_handler_entry": Wanted(Kind.IRQ_ENTRY, "irq", "", "name"),
    "irq/irq_handler_exit": Wanted(Kind.IRQ_EXIT, "irq"),
    "irq/softirq_raise": Wanted(Kind.SOFTIRQ_RAISE, "vec"),
    "irq/softirq_entry": Wanted(Kind.SOFTIRQ_ENTRY, "vec"),
    "irq/softirq_exit": Wanted(Kind.SOFTIRQ_EXIT, "vec"),
    "exceptions/page_fault_user": Wanted(Kind.FAULT),
    "signal/signal_generate": Wanted(Kind.SIGNAL, "sig", "pid"),
    "timer/hrtimer_expire_entry": Wanted(Kind.NAPI_TIMER),
}
_OF_VECTORS = {
    f"irq_vectors/{name}_{end}": Wanted(kind)
    for name in VECTORS
    for end, kind in (("entry", Kind.VECTOR_ENTRY), ("exit", Kind.VECTOR_EXIT))
}
_OF_NAPIS = {"napi/napi_poll": Wanted(Kind.NAPI_POLL, "napi", "work", "dev_name")}
_OF_QUEUES = {
    "net/net_dev_queue": Wanted(Kind.QUEUE, "skbaddr", "", "name"),
    "net/net_dev_xmit": Wanted(Kind.XMIT, "skbaddr", "", "name"),
}


def chosen(tids: Iterable[int], devices: Collection[str], polls: bool = False) -> tuple[dict[str, str], dict[str, str]]:
    """The events of a trace by name, each with its filter or "", and those left out with the reason.

    tids: our tasks, whose page faults count; devices: names of those that queue packets; polls: those of NAPIs, too.
    """
    filters = dict.fromkeys((*_ALWAYS, *_OF_VECTORS), "")
    lacking: dict[str, str] = {}
    # What a task sends is taken up at once, in that task; and what wakes an idle CPU holds nobody up.
    filters["irq/softirq_raise"] = f"vec == {NET_RX} && common_flags & {_BESIDE_TASKS}"
    filters |= {event: "common_pid != 0" for event in _OF_VECTORS if not event.startswith(_OF_TIMER)}
    filters["exceptions/page_fault_user"] = " || ".join(f"common_pid == {tid}" for tid in sorted(set(tids))[:64])
    filters["signal/signal_generate"] = " || ".join(f"sig == {number}" for number in _STOP_SIGNALS)
    if address := tracefs.address_of(_NAPI_TIMER):
        filters["timer/hrtimer_expire_entry"] = f"function == {address}"
    else:
        del filters["timer/hrtimer_expire_entry"]
        lacking["timer/hrtimer_expire_entry"] = f"the kernel does not say where {_NAPI_TIMER} is"
    if polls:  # of those that bring packets: one that busy-polls looks a million times a second
        filters |= dict.fromkeys(_OF_NAPIS, "work > 0")
    if devices:
        names = " || ".join(f'name == "{name}"' for name in sorted(devices)[:16])
        filters |= dict.fromkeys(_OF_QUEUES, names)
    return filters, lacking


def read(instance: Instance, cpus: Iterable[int], events: Iterable[str]) -> npt.NDArray[Any]:
    """All events of the rings, in the order of their times, as records with a text. Raises PollbenchError, OSError."""
    wanted = _ALWAYS | _OF_VECTORS | _OF_NAPIS | _OF_QUEUES
    lines = [_line(event, wanted[event], instance) for event in events]
    pieces = []
    with tempfile.NamedTemporaryFile("w", prefix="pollbench-events-") as table:
        table.write("\n".join(lines) + "\n")
        table.flush()
        for cpu in cpus:
            pieces.append(_records(instance.pages(cpu), cpu, table.name, instance.page_bytes()))
    whole = np.concatenate(pieces) if pieces else np.zeros(0, _RECORD)
    return whole[np.argsort(whole["ns"], kind="stable")]


def _line(event: str, wanted: Wanted, instance: Instance) -> str:
    """Where the wanted fields lie in an event, as the program takes it."""
    form = instance.format(event)
    places = []
    for name in (wanted.a, wanted.b):
        where = form.fields.get(name)
        places += [where.offset, min(8, where.size)] if where else [0, 0]
    text = form.fields.get(wanted.text)
    places += [text.offset, -1 if text.located else text.size] if text else [0, 0]
    kind = int(wanted.kind)
    if event in _OF_VECTORS:
        # The vector's number is another on every machine; which it is, is in the kind, and taken apart below.
        kind += 256 * (1 + VECTORS.index(event.removeprefix("irq_vectors/").rpartition("_")[0]))
    return " ".join(map(str, (form.number, kind, *places)))


def _records(pages: bytes, cpu: int, table: str, page_bytes: int) -> npt.NDArray[Any]:
    argv = [str(loadgen.path()), "pages", "--wanted", table, "--cpu", str(cpu), "--page-bytes", str(page_bytes)]
    done = subprocess.run(argv, input=pages, capture_output=True, timeout=_PATIENCE_S, check=False)
    if done.returncode or len(done.stdout) % _RECORD.itemsize:
        raise PollbenchError("read the trace", f"CPU {cpu}", done.stderr.decode(errors="replace")[-200:])
    records = np.frombuffer(done.stdout, _RECORD).copy()
    numbered = records["kind"] >= 256
    records["a"][numbered] = records["kind"][numbered] // 256 - 1
    records["kind"] %= 256
    return records


class Texts(NamedTuple):
    """What numbers in the events mean: tasks, interrupts, devices, NAPIs by the names of their devices."""

    names: dict[int, str]
    irqs: dict[int, str]
    devices: tuple[str, ...]
    napis: tuple[str, ...]


def parted(records: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Texts]:
    """Events as they are kept, and their texts apart: names of tasks, of interrupts, of devices."""
    kinds = records["kind"]
    names = {0: "idle"}
    for kind, number in ((Kind.WAKING, "a"), (Kind.SWITCH, "a")):
        names |= _texts(records[kinds == kind], number)
    irqs = _texts(records[kinds == Kind.IRQ_ENTRY], "a")
    packets = (kinds == Kind.QUEUE) | (kinds == Kind.XMIT)
    devices, index = np.unique(records["text"][packets], return_inverse=True)
    events = np.zeros(len(records), EVENT_DTYPE)
    for column in EVENT_DTYPE.names or ():
        events[column] = records[column]
    events["b"][packets] = index
    polls = kinds == Kind.NAPI_POLL
    napis, index = np.unique(records[["a", "text"]][polls], return_inverse=True)
    events["a"][polls] = index
    names[0] = "idle"
    return events, Texts(names, irqs, _decoded(devices), _decoded(napis["text"]))


def _decoded(names: npt.NDArray[Any]) -> tuple[str, ...]:
    return tuple(name.decode(errors="replace") for name in names)


def _texts(records: npt.NDArray[Any], number: str) -> dict[int, str]:
    """The last text that goes with each number."""
    pairs = np.unique(records[[number, "text"]])
    return {int(pair[number]): pair["text"].decode(errors="replace") for pair in pairs}
