"""How many frames may travel as one packet of the kernel where a link looks at packets one by one. Pure.

TCP hands down packets of up to 64 KiB, and a receiving NAPI joins what it forwards. A queue counts such a packet as
one, chance loses it as one, and a shaper holds all of its frames back together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.spec.shape import Shape
from harness.topology.qdiscs import Disc, default_burst, frame_bytes, pace_of, passing_bytes

UNLIMITED = 0
# More than the 64 KiB of any packet hold.
_MOST = 44
_COUNTING = {"pfifo", "sfq", "fq", "fq_codel", "codel", "dualpi2"}

Port = tuple[int, int]
"""A port by its link and its end of it."""


def most_segments(shape: Shape | None, discs: Sequence[Disc], mtu: int | None) -> int:
    """Frames that one packet may hold on its way out of a port of this shape; UNLIMITED where it does not matter."""
    if shape is None or not discs:
        return UNLIMITED
    states = shape.states()
    by_chance = shape.by_chance or shape.slots is not None or any(state.loss for state in states)
    counted = shape.limit or shape.queue_packets or any(disc.kind in _COUNTING for disc in discs)
    pace = pace_of(discs)
    if by_chance or counted or (pace is not None and pace.kind in ("netem", "hfsc")):
        return 1
    if pace is None:
        return UNLIMITED
    # No more than the shaper lets through at once: finer than that it does not tell packets apart. One that fills the
    # bucket of tbf would leave it nothing by which to make up for a late timer.
    held = passing_bytes(int(pace.options["rate_bps"])) if pace.kind == "tbf" else 0
    burst = int(pace.options["burst_bytes"])
    if shape.burst_bytes is None:
        # Of a link that changes, at its slowest.
        burst = min([burst, *(default_burst(state.rate_bps, mtu) for state in states if state.rate_bps)])
    segments = max(1, (burst - held) // frame_bytes(mtu))
    return segments if segments <= _MOST else UNLIMITED


def spread(
    own: Mapping[Port, int], nodes: Mapping[str, Sequence[Port]], forwards: Mapping[str, bool]
) -> tuple[dict[Port, int], dict[Port, int]]:
    """(frames in a packet that a port sends, frames that it may join of what it receives), of the limited ports.

    own: what each port's own shape allows; nodes: the ports of each node. A node that forwards can no longer take apart
    what reaches it joined, so whoever sends to it keeps its limit, and so on against the traffic.
    """
    sent = {port: limit for port, limit in own.items() if limit}
    joined: dict[Port, int] = {}
    at = {port: node for node, ports in nodes.items() for port in ports}
    waiting = [node for node, on in forwards.items() if on]
    while waiting:
        node = waiting.pop()
        for link, end in nodes[node]:
            # What comes in here leaves by the others.
            least = min((sent[port] for port in nodes[node] if port in sent and port != (link, end)), default=_MOST + 1)
            if least > _MOST:
                continue
            far = (link, 1 - end)
            joined[link, end] = least
            if least < sent.get(far, _MOST + 1):
                sent[far] = least
                if far in at and forwards[at[far]]:
                    waiting.append(at[far])
    return sent, joined
