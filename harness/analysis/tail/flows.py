"""Whose packets a softirq took in: what an interrupt made due, or a task that sends, or what another CPU hands over."""

from __future__ import annotations

from bisect import bisect_right

from harness.analysis.tail.timeline import Cpu, Doing
from harness.analysis.tail.trace import Cause, Trace
from harness.store.trace import VECTORS

_DOINGS_BACK, _HANDED_OVER_NS = 16, 50_000
_CALLS = ("call_function", "call_function_single")
_OWN_PACKETS_NS = 20_000
"""A NET_RX that a task began by sending goes on for less than this with what it sent."""
_MOST_LOOKED_AT = 2000


def interrupted(trace: Trace, doing: Doing, cpu: int, end: int) -> Cause:
    """An interrupt, or a softirq; where that has packets that somebody else sent, whose. end: of it, ns."""
    due = doing.raised
    if due is None:
        return Cause(doing.what, doing.who, 0, cpu)
    sender = 0 if due.irq else due.task
    if _from_elsewhere(due.irq, due.task):
        # Of an idle CPU the interrupt is not traced.
        sender = _handed_over(trace, cpu, due.ns)
    if sender > 0 and sender not in trace.tasks:
        return Cause("flow", trace.name(sender), sender, cpu)
    # Of what a device's interrupt or a timer made due the device is known, and says more.
    may_be_joined = end - due.ns > _OWN_PACKETS_NS and (not due.irq or due.irq in _CALLS)
    if may_be_joined and (joined := _joined_in(trace, cpu, due.ns, end)):
        return Cause("joined", trace.name(joined), joined, cpu)
    device = f" after {due.irq}" if due.irq and due.irq not in VECTORS else ""
    return Cause(doing.what, f"{doing.who}{device}", 0, cpu)


def _from_elsewhere(irq: str, task: int) -> bool:
    return irq in _CALLS or not (irq or task)


def _handed_over(trace: Trace, cpu: int, ns: int) -> int:
    """Who had sent what another CPU hands over (RPS), which it does at the end of a NET_RX: the last one there.

    Of somebody else's, if one was a moment ago: until the interrupt has come, our own may have been sent as well.
    """
    last, sender = 0, 0
    for other in (of_it for number, of_it in trace.cpus.items() if number != cpu):
        place = bisect_right(other.begins, ns) - 1
        for at in range(place, max(-1, place - _DOINGS_BACK), -1):
            raised = other.doings[at].raised
            foreign = raised is not None and not raised.irq and raised.task > 0 and raised.task not in trace.tasks
            if foreign and raised is not None and other.begins[at] > max(last, ns - _HANDED_OVER_NS):
                last, sender = other.begins[at], raised.task
                break
    return sender


def _joined_in(trace: Trace, cpu: int, begin: int, end: int) -> int:
    """Whose packets came to a NET_RX while it ran: they need no interrupt then, so nothing says so at that moment.

    The one task that hands packets over to this CPU at other times and ran elsewhere; 0 where there are several.
    """
    if cpu not in trace.handers:
        trace.handers[cpu] = _handers(trace, cpu)
    there = {
        span.doing.task
        for number, other in trace.cpus.items()
        if number != cpu
        for span in other.spans(begin, end)
        if span.doing.task in trace.handers[cpu]
    }
    return there.pop() if len(there) == 1 else 0


def _handers(trace: Trace, cpu: int) -> frozenset[int]:
    """Who hands packets over to a CPU, by the interrupts that say so: none of our own tasks."""
    of_it: Cpu = trace.cpus[cpu]
    times = sorted({doing.raised.ns for doing in of_it.doings if doing.raised and _from_elsewhere(*doing.raised[1:])})
    chosen = times[:: 1 + len(times) // _MOST_LOOKED_AT]
    return frozenset(sender for ns in chosen if (sender := _handed_over(trace, cpu, ns)))
