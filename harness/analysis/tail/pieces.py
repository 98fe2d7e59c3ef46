"""A round trip cut into pieces without a gap: which segment of the way each is of, and what held it up."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from harness.analysis.tail.flows import interrupted
from harness.analysis.tail.timeline import Cpu, Doing, State
from harness.analysis.tail.trace import OWN, Cause, Piece, Request, Trace
from harness.analysis.tail.turns import by_turns
from harness.store.trace import Kind

SEGMENTS = (
    "late",
    *(
        f"{way}_{part}"
        for way in ("request", "reply")
        for part in ("send", "shaper", "softirq", "napi", "wakeup", "runqueue", "receive")
    ),
)
SEGMENTS = (*SEGMENTS[:8], "work", *SEGMENTS[8:])
"""The way of a request, in order. late: due, not sent yet; send: until the packet is under way; shaper: in a queueing
discipline; softirq: on the wire, deferred, or waiting for a CPU to take it up; napi: from there to the socket; wakeup:
an idle CPU comes back; runqueue: the receiver could run and others do; receive: it runs until it has the message; work:
the server's."""

_QUIET_NS = 15_000
"""Own code of the way without an event for longer than this is no code of the way: the CPU itself stood still."""
_OF_IT_NS = 5_000
_TIMER_TO_RAISE_NS = 50_000
_QUEUED_NS = 2_000
_STOPPED, _BLOCKED = 0x04 | 0x08, 0x02


def pieces_of(trace: Trace, request: Request) -> list[Piece]:
    """The whole way of a request, from due to received: the pieces follow one another without a gap."""
    pieces = list(_walk(trace, request.client, request.due, request.sent, "late", own=Cause("busy", "client")))
    pieces += _leg(trace, "request", request.client, request.server, request.sent, request.taken)
    pieces += _work(trace, request)
    pieces += _leg(trace, "reply", request.server, request.client, request.answered, request.received)
    return list(by_turns(trace, request, pieces)) if trace.in_turns else pieces


def work_of(trace: Trace, request: Request) -> list[Piece]:
    """Of the whole way only the server's work."""
    pieces = list(_work(trace, request))
    return list(by_turns(trace, request, pieces)) if trace.in_turns else pieces


def _work(trace: Trace, request: Request) -> Iterator[Piece]:
    own = Cause("work", trace.name(request.server), request.server, -1)
    faults = trace.faults.get(request.server, [])
    for piece in _walk(trace, request.server, request.taken, request.answered, "work", own=own, awake=True):
        place = bisect_left(faults, piece.begin)
        if piece.cause.kind != "work" or place >= len(faults) or faults[place] >= piece.end:
            yield piece
            continue
        # What a fault takes ends with no event: it is the time until the next one of this CPU, at most all of it.
        yield piece._replace(end=faults[place])
        yield piece._replace(begin=faults[place], cause=piece.cause._replace(kind="fault"))


def _leg(trace: Trace, way: str, sender: int, receiver: int, begin: int, end: int) -> Iterator[Piece]:
    """From one end's sending to the other's having it."""
    woken = trace.tasks[receiver].woken(begin, end)
    if woken is None:
        yield from _taken_awake(trace, way, sender, receiver, begin, end)
        return
    for piece in _under_way(trace, way, sender, begin, woken):
        yield from _while_stopped(trace, receiver, piece) if piece.cause.kind == "wire" else (piece,)
    yield from _received(trace, way, receiver, woken, end)


def _received(trace: Trace, way: str, receiver: int, begin: int, end: int) -> Iterator[Piece]:
    """The receiver's own part, without what it did for others."""
    for first, last, other, wholly in _with_others(trace, receiver, begin, end):
        if other and wholly:
            yield Piece(first, last, f"{way}_receive", other)
            continue
        for piece in _walk(trace, receiver, first, last, f"{way}_receive", way=way):
            yield piece._replace(cause=other) if other and piece.cause.kind == "own" else piece


def _under_way(trace: Trace, way: str, sender: int, begin: int, woken: int) -> Iterator[Piece]:
    """From sending to the receiver's being woken."""
    cpu, entry = _delivered_by(trace, woken)
    if entry is None and cpu >= 0 and (relay := trace.cpus[cpu].at(woken)[0].task) in trace.relays:
        yield from _relayed(trace, way, sender, relay, begin, woken)
        return
    raised = None
    if entry is not None and entry > begin:
        times = trace.raised.get(cpu, [])
        place = bisect_right(times, entry) - 1
        raised = times[place] if place >= 0 and times[place] > begin else None
    until = raised or (entry if entry is not None and entry > begin else woken)
    queue, begin = _through_queue(trace, way, sender, begin, woken)
    yield from queue
    if queue:
        until = max(until, begin)
        raised = max(raised, begin) if raised else None
    if raised is not None and _by_timer(trace, raised):
        yield from _deferred(trace, way, sender, begin, until)
    elif until > begin:
        segment = f"{way}_softirq" if queue else f"{way}_send"
        for piece in _walk(trace, sender, begin, until, segment, awake=True, asleep=Cause("wire")):
            # It has been sent, and is not taken up: by the CPU that does so later, if that is busy.
            pending = piece.cause.kind == "wire" and entry is not None
            yield from _on_cpu(trace, cpu, *piece[:2], f"{way}_softirq", "wire") if pending else (piece,)
    if raised is not None and entry is not None:
        # NET_RX is due on that CPU, and something else has it.
        yield from _on_cpu(trace, cpu, until, entry, f"{way}_softirq")
        until = max(until, entry)
    yield from _on_cpu(trace, cpu, until, woken, f"{way}_napi")


def _relayed(trace: Trace, way: str, sender: int, relay: int, begin: int, woken: int) -> Iterator[Piece]:
    """From sending to the receiver's being woken by a thread that takes packets in (threaded NAPI)."""
    queue, begin = _through_queue(trace, way, sender, begin, woken)
    yield from queue
    until = trace.relays[relay].woken(begin, woken) or begin
    yield from _walk(trace, sender, begin, until, f"{way}_send", awake=True, asleep=Cause("wire"))
    yield from _walk(trace, relay, until, woken, f"{way}_softirq")


def _deferred(trace: Trace, way: str, sender: int, begin: int, until: int) -> Iterator[Piece]:
    for piece in _walk(trace, sender, begin, until, f"{way}_softirq", awake=True, asleep=Cause("deferred")):
        kept = piece.cause.kind in ("behind", "stopped")
        yield piece if kept else piece._replace(cause=Cause("deferred"))


def _delivered_by(trace: Trace, woken: int) -> tuple[int, int | None]:
    """Which CPU woke the receiver, and when the NET_RX began in which it did; None: not in one."""
    for number, cpu in trace.cpus.items():
        place = bisect_left(cpu.event_ns, woken)
        if place < len(cpu.event_ns) and cpu.event_ns[place] == woken:
            doing, _ = cpu.at(woken)
            back = bisect_right(cpu.begins, woken) - 1
            while doing.what == "irq" and back > 0:  # within the softirq
                back -= 1
                doing = cpu.doings[back]
            return number, _softirq_since(cpu, back) if doing.what == "softirq" and doing.who == "NET_RX" else None
    return -1, None


def _softirq_since(cpu: Cpu, place: int) -> int:
    """When the softirq that runs at a place of the timeline began: interrupts cut it into parts."""
    since = cpu.begins[place]
    while place > 1 and cpu.doings[place - 1].what == "irq" and cpu.doings[place - 2].what == "softirq":
        place -= 2
        since = cpu.begins[place]
    return since


def _through_queue(trace: Trace, way: str, sender: int, begin: int, end: int) -> tuple[list[Piece], int]:
    """Until the packet has left a queueing discipline, and when that was; nothing where it did not wait in one."""
    queued = _queued(trace, sender, begin, end)
    if queued is None:
        return [], begin
    came, left, device = queued
    left = min(left, end)
    sent = _walk(trace, sender, begin, came, f"{way}_send", awake=True)
    return [*sent, Piece(came, left, f"{way}_shaper", Cause("shaper", device))], left


def _queued(trace: Trace, sender: int, begin: int, end: int) -> tuple[int, int, str] | None:
    """When a packet of the sender came to a queueing discipline and left it, and the device; None: it did not wait."""
    rows = trace.queued.get(sender, [])
    place = bisect_left(rows, (begin, -(1 << 63), 0))
    if place == len(rows) or rows[place][0] >= end:
        return None
    ns, packet, device = rows[place]
    times = trace.left.get(packet, [])
    after = bisect_left(times, ns)
    left = times[after] if after < len(times) else end
    names = trace.meta.devices
    name = names[device] if 0 <= device < len(names) else ""
    return (ns, left, name) if left - ns > _QUEUED_NS else None


def _by_timer(trace: Trace, raised: int) -> bool:
    times = trace.times[Kind.NAPI_TIMER]
    place = bisect_right(times, raised) - 1
    return place >= 0 and raised - times[place] < _TIMER_TO_RAISE_NS


def _timer_before(trace: Trace, begin: int, end: int) -> int | None:
    """When a deferral's timer last fired in a stretch: what polled until then polled in vain. None: none did."""
    times = trace.times[Kind.NAPI_TIMER]
    place = bisect_right(times, end) - 1
    return times[place] if place >= 0 and times[place] > begin else None


def _taken_awake(trace: Trace, way: str, sender: int, receiver: int, begin: int, end: int) -> Iterator[Piece]:
    """The receiver was not asleep: it polled, or was busy, or waited for its CPU already."""
    queue, begin = _through_queue(trace, way, sender, begin, end)
    yield from queue
    timer = _timer_before(trace, begin, end)
    for piece in _received(trace, way, receiver, begin, end):
        if piece.cause.kind == "silent":
            # Of two CPUs that have nothing to say, either may be the one that stood still.
            piece = piece._replace(cause=Cause("silent"))
        if piece.cause.kind not in ("own", "silent", "asleep"):
            yield piece
            continue
        if timer is not None and piece.begin < timer:
            yield Piece(piece.begin, min(timer, piece.end), f"{way}_softirq", Cause("deferred"))
            piece = piece._replace(begin=min(timer, piece.end))
        if piece.end > piece.begin:
            yield from _sender_kept(trace, way, sender, piece)


def _sender_kept(trace: Trace, way: str, sender: int, piece: Piece) -> Iterator[Piece]:
    """The receiver polls in vain while the sender is kept from sending: it is the sender's CPU that matters then."""
    for part in _walk(trace, sender, piece.begin, piece.end, f"{way}_send", awake=True, asleep=piece.cause):
        kept = part.cause.kind in ("behind", "stopped", "irq", "softirq", "flow", "joined", "stolen")
        yield part if kept else part._replace(segment=piece.segment, cause=piece.cause)


def _with_others(trace: Trace, receiver: int, begin: int, end: int) -> Iterator[tuple[int, int, Cause | None, bool]]:
    """A stretch cut by the requests that the receiver had meanwhile: begin, end, the cause, and whether all is that.

    All that a server does until it has answered one is for that one; a client sends and takes in one after another.
    """
    taken, answered, numbers = trace.served.get(receiver, ([], [], []))
    for place in range(bisect_right(answered, begin), bisect_left(taken, end)):
        cause = Cause("queued", f"request {numbers[place]}")
        first, last = max(begin, taken[place]), min(end, answered[place])
        yield begin, first, cause, False
        yield first, last, cause, True
        begin = last
    acts = trace.acts.get(receiver, [])
    place = bisect_left(acts, end) - 1
    if place >= 0 and acts[place] > begin:
        yield begin, acts[place], Cause("busy", "client"), False
        begin = acts[place]
    yield begin, end, None, False


def _walk(
    trace: Trace,
    tid: int,
    begin: int,
    end: int,
    segment: str,
    *,
    way: str = "",
    own: Cause = OWN,
    awake: bool = False,
    asleep: Cause | None = None,
) -> Iterator[Piece]:
    """What a task did from `begin` to `end`, or what kept it.

    way: it is a receiver that was woken, so waiting is `wakeup` or `runqueue`; awake: it is known to run at `begin`;
    asleep: the cause of its sleeping, where that is known.
    """
    for first, last, state in trace.task(tid).spans(begin, end):
        if state.how == "asleep":
            yield Piece(
                first,
                last,
                segment,
                asleep if asleep and not state.why & _STOPPED else _sleep(trace, tid, state.why, first),
            )
            continue
        cpu = trace.cpus.get(state.cpu)
        if cpu is None:
            yield Piece(first, last, segment, own)
            continue
        for span in cpu.spans(first, last):
            yield from _span(trace, tid, span.begin, span.end, span.doing, state, segment, way, own, awake)


def _span(
    trace: Trace,
    tid: int,
    begin: int,
    end: int,
    doing: Doing,
    state: State,
    segment: str,
    way: str,
    own: Cause,
    awake: bool,
) -> Iterator[Piece]:
    cpu = state.cpu
    ready = state.how == "ready"
    if doing.what in ("irq", "softirq"):
        yield Piece(begin, end, segment, interrupted(trace, doing, cpu, end))
    elif (doing.what == "hidden" and not awake) or (ready and doing.task == 0):
        yield Piece(begin, end, f"{way}_wakeup" if way else segment, Cause("idle", "", 0, cpu))
    elif ready and doing.task != tid:
        yield Piece(begin, end, f"{way}_runqueue" if way else segment, _behind(trace, doing.task, cpu))
    else:
        yield from _own(trace, begin, end, segment, own, cpu)


def _own(trace: Trace, begin: int, end: int, segment: str, own: Cause, cpu: int) -> Iterator[Piece]:
    """Its own code, as far as it had the CPU: what was stolen comes last, though where it lay nobody knows."""
    if end - begin <= _QUIET_NS:
        yield Piece(begin, end, segment, own)
        return
    taken = round(trace.stolen[cpu].within(begin, end)) if cpu in trace.stolen else 0
    if taken > _OF_IT_NS:
        yield Piece(begin, end - taken, segment, own)
        yield Piece(end - taken, end, segment, Cause("stolen", "", 0, cpu))
    elif own.kind == "own" and not trace.in_turns:
        yield Piece(begin, begin + _OF_IT_NS, segment, own)
        yield Piece(begin + _OF_IT_NS, end, segment, Cause("silent", "", 0, cpu))
    else:
        yield Piece(begin, end, segment, own)


def _while_stopped(trace: Trace, receiver: int, piece: Piece) -> Iterator[Piece]:
    """What waits while its receiver is stopped waits for that: data does not wake who was stopped by a signal."""
    for first, last, state in trace.tasks[receiver].spans(piece.begin, piece.end):
        stopped = state.how == "asleep" and state.why & _STOPPED
        cause = _sleep(trace, receiver, state.why, first) if stopped else piece.cause
        yield Piece(first, last, piece.segment, cause)


def _on_cpu(trace: Trace, number: int, begin: int, end: int, segment: str, idle: str = "idle") -> Iterator[Piece]:
    """What a CPU did that was to deliver; idle: the cause while it had nothing to do."""
    cpu = trace.cpus.get(number)
    if end <= begin:
        return
    if cpu is None:
        yield Piece(begin, end, segment, OWN)
        return
    for span in cpu.spans(begin, end):
        doing = span.doing
        if doing.what in ("irq", "softirq"):
            cause = interrupted(trace, doing, number, span.end)
        elif doing.task in (0, -1) or doing.what == "hidden":
            cause = Cause(idle, "", 0, number if idle == "idle" else -1)
        elif trace.name(doing.task).startswith(("ksoftirqd", "napi/", "backlog_napi/")):
            cause = OWN
        elif doing.task in trace.tasks and span.end - span.begin <= _QUIET_NS:
            cause = OWN  # on its way into the softirq
        else:
            cause = _behind(trace, doing.task, number)
        yield Piece(span.begin, span.end, segment, cause)


def _behind(trace: Trace, tid: int, cpu: int) -> Cause:
    return Cause("behind", trace.name(tid), tid, cpu)


def _sleep(trace: Trace, tid: int, why: int, begin: int) -> Cause:
    """Why a task slept that was to work or send."""
    if why & _STOPPED:
        senders = [
            pid for ns, target, pid in trace.signals if target in _family(trace, tid) and ns <= begin + _QUIET_NS
        ]
        return Cause("stopped", trace.name(senders[-1]) if senders else "", senders[-1] if senders else 0)
    return Cause("blocked" if why & _BLOCKED else "asleep", trace.name(tid), tid)


def _family(trace: Trace, tid: int) -> tuple[int, ...]:
    return next((tids for tids in trace.meta.programs.values() if tid in tids), (tid,))
