"""Packet-delivery traces followed slot by slot, in the kernel, where it can; else their rates have to do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from harness.kernel.slots import SlotQueue, Slots
from harness.spec.shape import Shape
from harness.spec.trace_file import FRAME_BYTES, slots_of, unpacked
from harness.store.record import Metrics
from harness.testbed import Testbed
from harness.topology.layout import PortLayout
from harness.topology.overlays import wire_mtu
from harness.topology.qdiscs import Disc, pace_of, room_of

_MS = 1_000_000


class SlottedLinks(ExitStack):
    """The directions that leave in slots while it is open. ports: of those asked for these do.

    missing: why others do not, which could where the kernel was another; "" if there is none.
    """

    def __init__(self, testbed: Testbed, ports: Sequence[PortLayout]) -> None:
        super().__init__()
        self._queues: list[SlotQueue] = []
        self.ports: list[PortLayout] = []
        self.missing = ""
        for port in ports:
            shape, mtu = testbed.layout.shape(port), wire_mtu(testbed.layout.topology.links[port.link])
            slots = None if shape is None else slots_for(shape, port.discs, mtu)
            if slots is None:
                continue
            try:
                handle = next(disc.handle for disc in port.discs if disc.kind == "htb")
                queue = SlotQueue(testbed.nodes[port.node].fd, port.ifindex, handle, slots)
            except OSError as error:
                self.missing = str(error)
                continue
            self._queues.append(self.enter_context(queue))
            self.ports.append(port)

    def begin(self, at_ns: int) -> None:
        """The first turn of all begins at this time of the monotonic clock."""
        for queue in self._queues:
            queue.begin(at_ns)

    def metrics(self) -> Metrics:
        """Columns of runs.csv, nothing without such directions; to be asked before its end. Raises OSError."""
        if not self._queues:
            return {}
        late_ns = max(queue.late_ns() for queue in self._queues)
        return {"link_slots": sum(queue.packets() for queue in self._queues), "link_slot_late_us": late_ns / 1e3}


def slots_for(shape: Shape, discs: Sequence[Disc], mtu: int | None) -> Slots | None:
    """The slots of a direction that follows a packet-delivery trace with a plain queue; None of any other."""
    changes, pace, room = shape.changes, pace_of(discs), room_of(discs, mtu)
    if changes is None or changes.trace_data is None or pace is None or pace.kind != "htb" or room is None:
        return None
    # Behind a netem it was not tried so far.
    if shape.needs_netem:
        return None
    frames = slots_of(unpacked(changes.trace_data))
    own_ns = max(frames, default=0) * _MS
    period_ns = own_ns if changes.every_ns is None else changes.every_ns
    at_ns = [ms * _MS for ms, count in frames.items() for _ in range(count) if ms * _MS <= period_ns]
    # One that stays as it was after its last line has no slots then.
    if not at_ns or period_ns > own_ns:
        return None
    packets = int(discs[-1].options["limit"]) if discs[-1].kind == "pfifo" else None
    return Slots(at_ns, period_ns, FRAME_BYTES, room, packets)
