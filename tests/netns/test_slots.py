"""What the program for slots says of packets: run by the kernel itself, which needs neither fq nor a link for that."""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from harness.kernel import bpf, slots
from harness.kernel.slots import Slots
from harness.kernel.syscalls import held
from harness.run import standing
from harness.run.link_changes import LinkChanger
from harness.run.link_slots import slots_for
from harness.signals import Stopper
from harness.spec.shape import Shape
from harness.spec.trace_file import packed
from harness.topology.qdiscs import discs_of
from tests.beds import bed, pair, run_in

MS, FRAME = 10**6, 1514
BPF_SYSCALL, TEST_RUN = 321, 10
PASSED, DROPPED = 2**32 - 1, 2
LINES = "500\n500\n501\n503\n510\n"


class Machine:
    """The program and its map; the first slot comes half a second after now."""

    def __init__(self, program: int, table: int, of: Slots) -> None:
        self._program, self._table = program, table
        for key, word in enumerate(slots._words(of)):
            self._put(key, word)
        self.begun_ns = 0

    def begin(self, at_ns: int) -> None:
        self.begun_ns = at_ns
        self._put(slots._BEGUN, at_ns)

    def _put(self, key: int, value: int) -> None:
        bpf._entry(bpf._MAP_UPDATE, self._table, key, ctypes.create_string_buffer(struct.pack("=Q", value), 8))

    def packet(self, size: int) -> tuple[int, float]:
        """(what the program returns, in which millisecond of the turns the packet leaves; 0 without a time)."""
        frame, skb = ctypes.create_string_buffer(size), ctypes.create_string_buffer(192)
        places = [ctypes.addressof(part) for part in (frame, skb, skb)]
        head = struct.pack("=4I2Q4I2Q", self._program, 0, size, 0, places[0], 0, 1, 0, 192, 192, *places[1:])
        attributes = ctypes.create_string_buffer(head, 128)
        assert ctypes.CDLL(None).syscall(BPF_SYSCALL, TEST_RUN, attributes, 128) == 0
        stamp = struct.unpack_from("=Q", skb.raw, slots._TSTAMP_AT)[0]
        return struct.unpack_from("=I", attributes.raw, 4)[0], (stamp - self.begun_ns) / MS if stamp else 0.0


@contextmanager
def machine(**queue: int) -> Iterator[Machine]:
    shape = Shape.model_validate({"rate": "1mbit", **queue, "changes": {"trace": "t", "trace_data": packed(LINES)}})
    of = slots_for(shape, discs_of(shape), None)
    assert of is not None
    with (
        held(bpf.make_map(bpf.ARRAY, 8, len(slots._words(of)))) as table,
        held(bpf.load(bpf.CLASSIFIER, slots._program(table, of))) as program,
    ):
        yield Machine(program, table, of)


def test_a_packet_leaves_in_the_first_slot_with_room_for_its_last_byte() -> None:
    with machine() as made:
        assert made.packet(FRAME) == (PASSED, 0)
        made.begin(time.monotonic_ns() + 10**10)
        assert made.packet(FRAME) == (PASSED, 0)
        made.begin(time.monotonic_ns())
        # 1,514 bytes a slot: 400, 800, 1,200 | 1,600, 3,000 | 3,114 and 4,628 | 6,128.
        sizes = [400, 400, 400, 400, 1400, 114, FRAME, 1500]
        assert [made.packet(size)[1] for size in sizes] == [500, 500, 500, 500, 500, 501, 503, 510]
        # 7,570 bytes are a turn, of 510 ms.
        assert [made.packet(size)[1] for size in (FRAME, 64, FRAME, FRAME)] == [1010, 1010, 1010, 1011]


def test_a_slot_that_nobody_used_is_lost_in_whichever_turn() -> None:
    with machine() as made:
        made.begin(time.monotonic_ns() - 7 * 510 * MS - 400 * MS)
        assert [made.packet(FRAME)[1] for _ in range(3)] == [4070, 4070, 4071]
        made.begin(time.monotonic_ns() - 30 * 510 * MS - 400 * MS)
        assert made.packet(FRAME)[1] == 15800


@pytest.mark.parametrize("queue", [{"queue_packets": 3}, {"queue_bytes": 2 * FRAME}])
def test_more_than_the_queue_holds_is_dropped_and_takes_no_slot(queue: dict[str, int]) -> None:
    with machine(**queue) as made:
        made.begin(time.monotonic_ns() - 300 * MS)
        came = [made.packet(FRAME) for _ in range(5)]
        assert [ms for _, ms in came[:3]] == [500, 500, 501]
        assert [verdict for verdict, _ in came] == [0, 0, 0, DROPPED, DROPPED]
        assert made.packet(64)[0] == DROPPED
        time.sleep(0.25)
        # They have left.
        assert made.packet(FRAME) == (0, 1010)


def test_what_the_kernel_lacks_leaves_the_link_as_it_was() -> None:
    changes = {"trace": "t", "trace_data": packed(LINES)}
    with bed(pair(forward={"rate": "1mbit", "changes": changes})) as testbed:
        node = testbed.nodes["a"]
        before = standing.read(testbed), run_in(node, "tc", "class", "show", "dev", "eth0")
        with ExitStack() as stack:
            changer = LinkChanger(testbed, Stopper(), stack, set())
            changer.begin()
            changer.end()
            by_slots = "link_slots" in changer.metrics()
        assert by_slots or "fq" in "".join(changer.hints)
        assert "changes" in changer.report or by_slots
        assert (standing.read(testbed), run_in(node, "tc", "class", "show", "dev", "eth0")) == before
