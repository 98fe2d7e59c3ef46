"""Who polled each NAPI in a traced run, and how many packets that brought."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.tail.timeline import Events
from harness.store.trace import NET_RX, Kind, Meta


class Polled(NamedTuple):
    """What one task took from one NAPI in polls that brought packets.

    napi: its place in Meta.napis; device: its name, "(no_device)" of a CPU's backlog; receiver: our program that its
    packets woke, or that polled it, most often, "" if none; who: the task that was running; softirq: NET_RX ran over
    it, which is no poll of its own; pid: of a task that polled, else 0; packets, polls: counts.
    """

    napi: int
    device: str
    receiver: str
    softirq: bool
    who: str
    pid: int
    packets: int
    polls: int


def polled(events: Events, meta: Meta) -> tuple[Polled, ...]:
    """Every NAPI's pollers, who took most first; none where the trace has no polls.

    events: in the order of their times, EVENT_DTYPE.
    """
    sums: dict[tuple[int, bool, str, int], list[int]] = {}
    receivers: dict[int, Counter[str]] = {}
    for cpu in meta.cpus if meta.napis else ():
        here = events[events["cpu"] == cpu]
        at = np.flatnonzero(here["kind"] == Kind.NAPI_POLL)
        if not len(at):
            continue
        softirq, woken = _in_softirq(here)[at], _woken(here, at)
        columns = (here[name][at].tolist() for name in ("a", "b", "pid"))
        for napi, packets, pid, inside, whom in zip(*columns, softirq.tolist(), woken, strict=True):
            row = sums.setdefault((napi, inside, _name(pid, meta), 0 if inside else pid), [0, 0])
            row[0] += packets
            row[1] += 1
            if label := meta.label(whom if inside else pid) or meta.label(whom):
                receivers.setdefault(napi, Counter())[label] += 1
    order = sorted(sums.items(), key=lambda item: (item[0][0], -item[1][0]))
    first = {napi: seen.most_common(1)[0][0] for napi, seen in receivers.items()}
    # A trace.json that was changed may name fewer.
    devices = dict(enumerate(meta.napis))
    return tuple(
        Polled(napi, devices.get(napi, ""), first.get(napi, ""), inside, who, pid, packets, polls)
        for (napi, inside, who, pid), (packets, polls) in order
    )


def _in_softirq(events: Events) -> npt.NDArray[np.bool_]:
    """Of events of one CPU, in their order: did each happen while it ran NET_RX?"""
    ends = np.where(events["kind"] == Kind.SOFTIRQ_ENTRY, 1, np.where(events["kind"] == Kind.SOFTIRQ_EXIT, -1, 0))
    ends[events["a"] != NET_RX] = 0
    known = np.flatnonzero(ends)
    if len(known) and ends[known[0]] < 0:
        ends[0] = ends[0] or 1  # it began before the trace
    last = np.maximum.accumulate(np.where(ends != 0, np.arange(len(ends)), 0))
    return np.asarray(ends[last] > 0)


def _woken(events: Events, polls: npt.NDArray[np.intp]) -> list[int]:
    """Whom each poll of one CPU woke first, 0 if nobody: what is between it and what the CPU did before."""
    bound = np.isin(events["kind"], (Kind.NAPI_POLL, Kind.SOFTIRQ_ENTRY, Kind.SWITCH))
    before = np.maximum.accumulate(np.where(bound, np.arange(len(events)), 0))[np.maximum(polls - 1, 0)]
    waking = np.flatnonzero(events["kind"] == Kind.WAKING)
    if not len(waking):
        return [0] * len(polls)
    place = np.minimum(np.searchsorted(waking, before), len(waking) - 1)
    inside = (waking[place] >= before) & (waking[place] < polls)
    return np.where(inside, events["a"][waking[place]], 0).astype(np.int64).tolist()


def _name(pid: int, meta: Meta) -> str:
    return "an idle CPU" if pid == 0 else meta.label(pid) or meta.names.get(pid, f"task {pid}")
