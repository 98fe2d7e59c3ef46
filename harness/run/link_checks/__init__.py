"""Does every shaped link do what it declares? Tried with frames of our own before anything is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain

from harness.kernel import qdiscs
from harness.kernel.frames import FrameEnd
from harness.kernel.netlink import NetlinkSocket
from harness.kernel.netns import in_netns
from harness.run.context import nothing
from harness.run.counters import HOGS, CounterDelta
from harness.run.link_checks.direction import Direction, drain
from harness.run.link_checks.netem import chance_rows, delay_rows, slot_rows
from harness.run.link_checks.queue import queue_rows
from harness.run.link_checks.rate import EASY_BPS, RATE_SHARE, megabits, rate_rows
from harness.run.link_checks.single import single_rows
from harness.run.outcome import Outcome
from harness.spec.shape import Shape
from harness.store.record import LinkCheck
from harness.testbed import Testbed
from harness.topology.layout import Layout, PortLayout
from harness.topology.overlays import wire_mtu
from harness.topology.qdiscs import DEFAULT_MTU, free_bytes
from harness.units import format_rate

READING_S = 0.05
_TRIES, _LONGER = 3, 3
# Of directions with the same qdiscs, so many have queue and single frames tried: of all, these are read back.
_OF_A_KIND = 2
# What is said of a link that promises nothing of it: a second try would say the same.
_STATED = ("order", "single")

_KNOWN: dict[str, list[LinkCheck]] = {}


def verify(testbed: Testbed, how: str, key: str, alone: Callable[[], None] = nothing) -> list[LinkCheck]:
    """A row for each declared property of each shaped direction.

    how: "off" for none; "every" tries now; "first" takes what was found of `key` before, unless something was wrong.
    alone: called before any is tried. ok is None where this host cannot offer enough to tell. Raises OSError.
    """
    if how == "off":
        return []
    known = _KNOWN.get(key)
    if how == "first" and known is not None and all(row.ok is not False for row in known):
        return known
    alone()
    rows: list[LinkCheck] = []
    layout = testbed.layout
    alike: Counter[object] = Counter()
    for port in chain.from_iterable(layout.links):
        shape = layout.shape(port)
        if shape is not None and shape.changes is not None:
            # It changes while it is measured with: now it is what it begins as.
            shape = shape.model_copy(update={"changes": None})
        if shape is not None and (shape.rate_bps is not None or shape.needs_netem):
            mtu = layout.topology.links[port.link].mtu or DEFAULT_MTU
            alike[kind := f"{port.discs} {mtu}"] += 1
            # What Mininet makes of a queue is its own.
            thoroughly = alike[kind] <= _OF_A_KIND and layout.topology.engine == "netlink"
            rows += _tried(testbed, port, shape, mtu, thoroughly)
    _KNOWN[key] = rows
    return rows


def begin_chance(testbed: Testbed) -> None:
    """Have every netem with a seed begin its draws anew: what passed so far was not the workload's. Raises OSError."""
    for port in chain.from_iterable(testbed.layout.links if testbed.layout.topology.engine == "netlink" else ()):
        seeded = [disc for disc in port.discs if "seed" in disc.options]
        if seeded:
            with in_netns(testbed.nodes[port.node].fd), NetlinkSocket() as sock:
                sock.batch([qdiscs.change_qdisc(port.ifindex, *disc[:4]) for disc in seeded])


def doubts(rows: list[LinkCheck]) -> list[str]:
    """Reasons not to believe a run on such links."""
    return [row.reason for row in rows if row.ok is False]


def breaches(layout: Layout, delta: CounterDelta) -> list[str]:
    """What shaped links did while the workload ran that their shaping does not allow, in words."""
    reasons = []
    for port in chain.from_iterable(layout.ports.values()):
        shape = layout.shape(port)
        if shape is None or shape.rate_bps is None:
            continue
        counters = delta.nodes.get(port.node, {})
        sent, drops = (counters.get(f"qdisc:{port.device}:{key}", 0) for key in ("bytes", "drops"))
        # Counters of many nodes are read one after another: over a second, that is little.
        mean_bps, highest_bps = _rates(shape, delta.elapsed_ns)
        seconds = delta.elapsed_ns / 1e9
        most = (mean_bps * seconds + highest_bps * (RATE_SHARE * seconds + READING_S)) / 8
        name = f"{port.node} -> {port.peer_node}"
        if sent > most + free_bytes(port.discs, wire_mtu(layout.topology.links[port.link])):
            rate = megabits(8e9 * sent / delta.elapsed_ns)
            reasons.append(f"{name}: sent {rate} through a queue of {format_rate(round(mean_bps))}")
        if drops and not sent:
            reasons.append(f"{name}: its queue sent nothing and dropped {drops} packets")
    return reasons


def _rates(shape: Shape, elapsed_ns: int) -> tuple[float, int]:
    """(mean, highest) rate that a direction has in so long a time, in bit/s."""
    if shape.course is None or not elapsed_ns:
        return float(shape.rate_bps or 0), shape.rate_bps or 0
    spans = [(until - since, moment.state.rate_bps or 0) for since, until, moment in shape.course.spans(elapsed_ns)]
    return sum(length * rate for length, rate in spans) / elapsed_ns, max(rate for _, rate in spans)


def starved(outcome: Outcome, most: float) -> list[str]:
    """Programs that waited for a CPU for more than this share of the time, without any contention."""
    if outcome.hog is not None:
        return []
    elapsed_ns = max(outcome.delta.elapsed_ns, 1)
    programs = outcome.delta.programs
    waits = {label: usage.wait_ns / elapsed_ns for label, usage in programs.items() if label not in HOGS}
    return [f"the {label} was starved: {_waited(share, elapsed_ns)}" for label, share in waits.items() if share > most]


def _waited(share: float, elapsed_ns: int) -> str:
    """How long a program waited for a CPU; its threads are added up, and a wait counts whole when it ends."""
    if share <= 1:
        return f"it waited for a CPU {100 * share:.0f} % of the time"
    seconds = elapsed_ns / 1e9
    return (
        f"its threads waited for a CPU {share * seconds:.2g} s in all while {seconds:.2g} s passed (waits that began "
        "before are counted whole)"
    )


def _tried(testbed: Testbed, port: PortLayout, shape: Shape, mtu: int, thoroughly: bool) -> list[LinkCheck]:
    """The rows of one direction's checks; one that fails is tried again, for longer: this host may have been busy.

    thoroughly: with its queue and its single frames, which take longest.
    """
    with ExitStack() as stack:
        far = testbed.layout.peer(port)
        ends = [
            stack.enter_context(FrameEnd(testbed.nodes[here.node].fd, here.device, here.ifindex, here.mac, there.mac))
            for here, there in ((port, far), (far, port))
        ]
        for end in ends:
            end.received()
        direction = Direction(f"{port.node} -> {port.peer_node}", shape, mtu, ends[0], ends[1], port.discs)
        checks = [chance_rows, slot_rows if shape.slots is not None else delay_rows] if shape.needs_netem else []
        if shape.rate_bps is not None:
            # Behind slots no packet is alone, and what waits for one is not what waits for the rate.
            checks += [single_rows, rate_rows, queue_rows] if thoroughly and shape.slots is None else [rate_rows]
        rows: list[LinkCheck] = []
        for check in checks:
            rows += _settled(direction, check)
        drain(direction)
        return rows


def _settled(direction: Direction, check: Callable[[Direction, int], list[LinkCheck]]) -> list[LinkCheck]:
    """The check's rows of the first try that passes, else of the last that could tell, else of the last."""
    longer: int = 1
    telling: list[LinkCheck] | None = None
    rows: list[LinkCheck] = []
    for _ in range(_TRIES):
        # What an earlier try left waiting would be taken for this one's.
        drain(direction)
        rows = check(direction, longer)
        if all(row.ok or (row.ok is None and row.check in _STATED) for row in rows):
            return rows
        if any(row.ok is False for row in rows):
            telling = rows
            longer *= _LONGER
        elif (direction.shape.rate_bps or 0) > EASY_BPS:
            # Perhaps faster than this host can be: another try would only take time.
            break
    return telling if telling is not None else rows
