"""Packets that leave a device in slots: a BPF program gives each its time of departure, and fq holds it until then.

In place of a timer in user space that changes a rate for every slot, each packet has its slot when it comes: what is
late is the one timer of the kernel's queue, and no lateness adds up.
"""

from __future__ import annotations

import errno
import mmap
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from harness.kernel import bpf, qdiscs, readback
from harness.kernel.bpf import op, op_map
from harness.kernel.netlink import NetlinkSocket, Request
from harness.kernel.netns import in_netns
from harness.kernel.syscalls import held

FQ_HANDLE = 0xF0 << 16
_CLASS_MINOR = 2
# The class holds nothing back: more than any slots that a line of milliseconds can say.
_OPEN = {"rate_bps": 30 * 10**9, "burst_bytes": 187_500}
# Nothing is dropped here, the program has done so; and however far off a slot is, it is waited for.
_FQ = {"limit": 1 << 20, "flow_limit": 1 << 20, "pacing": 0, "timer_slack_ns": 0, "horizon_us": 4 * 10**9}
_MS = 1_000_000
MOST_ENTRIES = 1 << 20
"""Milliseconds and slots of a turn: 8 MB of a map."""

# The map, eight bytes an entry: four of the state, then when each of the last packets leaves, as many as may wait; then
# for each millisecond of a turn the first slot that is not before it; then when each slot comes.
_BEGUN, _TAKEN, _PACKETS, _STATE_ENTRIES = 0, 1, 2, 4
_CALL, _LOOK_UP, _NOW, _EXIT = 0x85, 1, 5, 0x95
_LOAD, _LOAD_U32, _STORE, _STORE_U32 = 0x79, 0x61, 0x7B, 0x63
_MOVE, _ADD, _SUB, _MUL, _DIV, _MOD = 0xBF, 0x0F, 0x1F, 0x2F, 0x3F, 0x9F
_IF_LESS, _IF_MORE, _IF_NOT_LESS, _IF_ZERO = 0xAD, 0x2D, 0x3D, 0x15
# Of struct __sk_buff.
_CLASSID_AT, _TSTAMP_AT, _WIRE_LEN_AT = 72, 152, 160
_UNSPEC, _OK, _SHOT = -1, 0, 2


class Slots(NamedTuple):
    """When so many bytes may leave: at_ns in a turn, in order; what fits into no slot waits for the next.

    limit_packets, else limit_bytes: what may wait; more is dropped.
    """

    at_ns: Sequence[int]
    period_ns: int
    slot_bytes: int
    limit_bytes: int
    limit_packets: int | None


class SlotQueue(ExitStack):
    """The slots of a device with htb, from `begin` to its end; what came before waits in htb's own class, as ever."""

    def __init__(self, netns: int, ifindex: int, handle: int, slots: Slots) -> None:
        """handle: of htb. Raises OSError: what the kernel lacks (fq, cls_bpf), EPERM, E2BIG for too long a turn."""
        super().__init__()
        self._ifindex = ifindex
        if slots.period_ns // _MS + len(slots.at_ns) > MOST_ENTRIES:
            turn = f"{slots.period_ns / 1e9:g} s and {len(slots.at_ns):,} slots"
            raise OSError(errno.E2BIG, f"a turn of {turn} is more than is followed slot by slot")
        words = _words(slots)
        leaf = handle | _CLASS_MINOR
        with ExitStack() as undo:
            undo.callback(self.close)
            table = self.enter_context(held(bpf.make_map(bpf.ARRAY, 8, len(words), bpf.MMAPABLE)))
            self._map = self.enter_context(mmap.mmap(table, 8 * len(words)))
            self._map[: 8 * len(words)] = struct.pack(f"={len(words)}Q", *words)
            program = self.enter_context(held(bpf.load(bpf.CLASSIFIER, _program(table, slots))))
            made = [
                qdiscs.new_class(ifindex, "htb", leaf, handle, _OPEN),
                *qdiscs.new_qdisc(ifindex, "fq", FQ_HANDLE, leaf, _FQ),
                qdiscs.new_filter(ifindex, handle, program),
            ]
            # Backwards: the class takes its queue with it.
            gone = [qdiscs.delete_filter(ifindex, handle), qdiscs.delete_class(ifindex, leaf)]
            with in_netns(netns):
                self._sock = self.enter_context(NetlinkSocket())
            self.callback(_remove, self._sock, gone)
            for request in made:
                self._sock.batch([request])
            undo.pop_all()

    def begin(self, at_ns: int) -> None:
        """The first turn begins at this time of the monotonic clock."""
        # Of native size it is written at once, not byte by byte: packets may be on their way.
        struct.pack_into("@Q", self._map, 8 * _BEGUN, at_ns)

    def packets(self) -> int:
        """So many have had a slot."""
        return int(struct.unpack_from("=Q", self._map, 8 * _PACKETS)[0])

    def late_ns(self) -> int:
        """How late they leave, as the kernel has it: its moving average. Raises OSError: the queue has gone."""
        for state in readback.dump(self._sock, {(self._ifindex, FQ_HANDLE)}):
            return state.unthrottled_late_ns()
        raise OSError(errno.ENOENT, "the queue that held packets until their slots has gone")


class _Jump(NamedTuple):
    """To one of the program's ends, on a condition."""

    code: int
    target: int
    source: int
    end: str


_Part = bytes | _Jump
# Where each end leads: to htb's own class, to nowhere, or with its slot to the class of slots.
_ENDS = {"pass": _UNSPEC, "drop": _SHOT}


def _remove(sock: NetlinkSocket, requests: Sequence[Request]) -> None:
    for request in requests:
        try:
            sock.batch([request])
        except OSError:
            # It was not made, or has gone with its device.
            continue


def _words(slots: Slots) -> list[int]:
    """The map's entries as they begin."""
    index, number = [], 0
    for ms in range(-(-slots.period_ns // _MS) + 1):
        while number < len(slots.at_ns) and slots.at_ns[number] < ms * _MS:
            number += 1
        index.append(number)
    return [0] * (_STATE_ENTRIES + (slots.limit_packets or 0)) + index + list(slots.at_ns)


def _program(table: int, slots: Slots) -> bytes:
    """Gives a packet the first slot that has room for its last byte, or drops it; runs under the lock of the queue.

    Bytes are counted from the first slot of the first turn on. Register 6: the packet; 8: when the turns began.
    """
    room, entries = slots.limit_packets or 0, -(-slots.period_ns // _MS) + 1
    index_at = _STATE_ENTRIES + room
    count, bytes_each = _constant(2, len(slots.at_ns)), _constant(3, slots.slot_bytes)
    turn = _constant(1, slots.period_ns)
    # 7: how long ago they did; 9: the turn, then the first byte of the first slot that is still to come.
    begun = [op(_MOVE, 6, 1), op(_CALL, value=_NOW), op(_STORE, 10, 0, -32), op(_MOVE, 7, 0)]
    begun += [*_entry(table, op(0xB7, 1, value=_BEGUN)), op(_LOAD, 8, 0), _Jump(_IF_ZERO, 8, 0, "pass")]
    begun += [_Jump(_IF_LESS, 7, 8, "pass"), op(_SUB, 7, 8), op(_MOVE, 9, 7), turn, op(_DIV, 9, 1), op(_MOD, 7, 1)]
    soonest = [op(0x07, 7, value=_MS - 1), _constant(1, _MS), op(_DIV, 7, 1), op(0x07, 7, value=index_at)]
    soonest += [*_entry(table, op(_MOVE, 1, 7)), op(_LOAD, 1, 0), count, bytes_each]
    soonest += [op(_MUL, 9, 2), op(_ADD, 9, 1), op(_MUL, 9, 3)]
    # 7: the byte after the packet's last.
    taken = [*_entry(table, op(0xB7, 1, value=_TAKEN)), op(_STORE, 10, 0, -16), op(_LOAD, 7, 0)]
    taken += [op(_IF_NOT_LESS, 7, 9, 1), op(_MOVE, 7, 9), op(_LOAD_U32, 1, 6, _WIRE_LEN_AT), op(_ADD, 7, 1)]
    if not room:
        taken += [op(_MOVE, 2, 7), op(_SUB, 2, 9), _constant(3, slots.limit_bytes), _Jump(_IF_MORE, 2, 3, "drop")]
    taken += [op(_STORE, 10, 7, -24)]
    # 9: when its slot comes.
    due = [op(0x07, 7, value=-1), bytes_each, count, turn, op(_DIV, 7, 3), op(_MOVE, 9, 7), op(_DIV, 9, 2)]
    due += [op(_MUL, 9, 1), op(_ADD, 9, 8), op(_MOD, 7, 2), op(0x07, 7, value=index_at + entries)]
    due += [*_entry(table, op(_MOVE, 1, 7)), op(_LOAD, 1, 0), op(_ADD, 9, 1)]
    counted = [*_entry(table, op(0xB7, 1, value=_PACKETS)), op(_LOAD, 7, 0)]
    if room:
        # The place of the packet that came as many before: it must have left by now.
        place = op(_MOVE, 1, 7) + _constant(2, room) + op(_MOD, 1, 2) + op(0x07, 1, value=_STATE_ENTRIES)
        counted += [*_entry(table, place), op(_LOAD, 1, 0), op(_LOAD, 2, 10, -32), _Jump(_IF_MORE, 1, 2, "drop")]
        counted += [op(_STORE, 0, 9), *_entry(table, op(0xB7, 1, value=_PACKETS))]
    counted += [op(0x07, 7, value=1), op(_STORE, 0, 7)]
    leave = [op(_LOAD, 1, 10, -16), op(_LOAD, 2, 10, -24), op(_STORE, 1, 2), op(_STORE, 6, 9, _TSTAMP_AT)]
    leave += [op(0xB7, 1, value=_CLASS_MINOR), op(_STORE_U32, 6, 1, _CLASSID_AT), op(0xB7, value=_OK), op(_EXIT)]
    return _assembled([*begun, *soonest, *taken, *due, *counted, *leave])


def _entry(table: int, key: bytes) -> list[_Part]:
    """The entry of the map whose key that puts into register 1."""
    ready = key + op(_STORE_U32, 10, 1, -4) + op(_MOVE, 2, 10) + op(0x07, 2, value=-4)
    return [ready + op_map(1, table) + op(_CALL, value=_LOOK_UP), _Jump(_IF_ZERO, 0, 0, "pass")]


def _constant(target: int, value: int) -> bytes:
    """A register has a number of 64 bits."""
    low, high = struct.unpack("=ii", struct.pack("=Q", value))
    return op(0x18, target, value=low) + op(0, value=high)


def _assembled(parts: Sequence[_Part]) -> bytes:
    """The instructions, with the ends behind them."""
    length = sum(len(part) // 8 if isinstance(part, bytes) else 1 for part in parts)
    places = {name: length + 2 * number for number, name in enumerate(_ENDS)}
    code = b""
    for part in parts:
        here = len(code) // 8
        code += part if isinstance(part, bytes) else op(*part[:3], places[part.end] - here - 1)
    return code + b"".join(op(0xB7, value=value) + op(_EXIT) for value in _ENDS.values())
