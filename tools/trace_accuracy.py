"""How near to its slot each delivery of a packet-delivery trace comes, by sockets and the kernel's stamps, as a table.

sudo python -m tools.trace_accuracy [RATE[:LOAD]]...     by default 1mbit to 100mbit, as the kernel here does it
python -m tools.trace_accuracy --in-vm KERNEL [...]       in a guest, in model time

LOAD: full (frames of 1,514 bytes, more than fit), small (of 500, more than fit), sparse (full frames now and then). The
rate wanders by half, and the queue holds 0.5 s. What is expected is computed here from the lines of the trace and from
when packets were sent: with slots a packet's last byte leaves in the first slot with room for it; by rates, a packet
leaves when all before it have had their time, of several slots in a millisecond evenly.
"""

from __future__ import annotations

import math
import random
import socket
import struct
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack

from harness.kernel.journal import open_journal
from harness.kernel.netns import in_netns
from harness.run.link_changes import LinkChanger
from harness.signals import Stopper
from harness.spec.topology import Topology
from harness.spec.trace_file import packed
from harness.testbed import Testbed, open_testbed
from harness.units import parse_rate

RATES = ("1mbit", "10mbit", "50mbit", "100mbit")
LOADS = ("full", "small", "sparse")
_STAMPS = 35  # SO_TIMESTAMPNS
_FRAME, _HEADERS, _SMALL = 1514, 42, 500
_TURN_MS, _MS = 1000, 10**6
_TOO_NEAR_NS = 200_000

Sent = list[int]
Came = dict[int, int]


def window_s(rate_bps: int) -> float:
    """How long a row takes."""
    return 5.0 if rate_bps <= 10**7 else 2.0


def main(words: list[str]) -> None:
    """Measure each and print its row."""
    if words[:1] == ["--in-vm"]:
        from tools.in_guest import run_in_guest

        run_in_guest(__file__, words[1], words[2:])
        return
    print("| rate | load | by | deliveries | of slots | late us: p50 | p99 | most |\n" + "| - " * 8 + "|", flush=True)
    for word in words or RATES:
        rate, _, load = word.partition(":")
        for one in [load] if load else LOADS:
            print(f"| {rate} | {one} | {_row(parse_rate(rate), one)} |", flush=True)


def lines_of(rate_bps: int) -> list[int]:
    """A turn of a trace: the milliseconds in which a frame may pass, at a rate that wanders by half."""
    lines, due = [], 0.0
    for ms in range(1, _TURN_MS + 1):
        due += rate_bps * (1 + 0.5 * math.sin(2 * math.pi * ms / _TURN_MS)) / (_FRAME * 8 * 1000)
        lines += [ms] * (int(due) - len(lines))
    return lines if lines[-1] == _TURN_MS else [*lines, _TURN_MS]


def _row(rate_bps: int, load: str) -> str:
    lines = lines_of(rate_bps)
    text = "".join(f"{ms}\n" for ms in lines)
    forward = {"rate": f"{rate_bps}bit", "queue": "500ms", "changes": {"trace": "t", "trace_data": packed(text)}}
    link = {"between": ["a", "b"], "forward": forward}
    made = Topology.model_validate({"nodes": {"a": {}, "b": {}}, "links": [link]})
    with open_journal() as journal, open_testbed(made, napi=False, journal=journal) as testbed, ExitStack() as stack:
        changer = LinkChanger(testbed, Stopper(), stack, set())
        sent, came, begun_ns = _traffic(testbed, changer, load, rate_bps)
        by = "slots" if changer.metrics().get("link_slots") else "rates"
    size = _SMALL if load == "small" else _FRAME
    sent, came = [at - begun_ns for at in sent], {number: at - begun_ns for number, at in came.items()}
    late = sorted(_lateness(lines, load, by, size, window_s(rate_bps), sent, came))
    slots = len(lines) * window_s(rate_bps) * 1000 / _TURN_MS
    count = sum(at < window_s(rate_bps) * 1e9 for at in came.values())
    share = f"{100 * count * size / (slots * _FRAME):.1f} %"
    p50, p99 = (late[int(part * (len(late) - 1))] / 1e3 for part in (0.5, 0.99))
    return f"{by} | {len(late):,} | {share} | {p50:,.0f} | {p99:,.0f} | {late[-1] / 1e3:,.0f}"


def _traffic(testbed: Testbed, changer: LinkChanger, load: str, rate_bps: int) -> tuple[Sent, Came, int]:
    """When each packet was sent, when each of those that came did, and when the trace began, in ns of one clock."""
    sent: Sent = []
    came: Came = {}
    with _socket(testbed, "b") as far, _socket(testbed, "a") as near:
        far.setsockopt(socket.SOL_SOCKET, _STAMPS, 1)
        far.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        near.setsockopt(socket.SOL_SOCKET, 32, 16 << 20)  # SO_SNDBUFFORCE
        far.bind((testbed.address("b"), 9000))
        near.connect(far.getsockname())
        near.send(b"the neighbour is looked up")
        time.sleep(0.2)
        far.recv(100)
        reader = threading.Thread(target=_read, args=(far, came))
        reader.start()
        changer.begin()
        begun_ns = changer.report["begun_ns"]
        offset_ns = time.time_ns() - time.monotonic_ns()
        size = _SMALL if load == "small" else _FRAME
        for pause_s in _pauses(load, rate_bps):
            sent.append(time.monotonic_ns())
            near.send(struct.pack("=q", len(sent) - 1).ljust(size - _HEADERS, b"\0"))
            if pause_s:
                time.sleep(pause_s)
            if sent[-1] - begun_ns > window_s(rate_bps) * 1e9:
                break
        changer.end()
        reader.join()
    # Of rates, the helper's own beginning.
    return sent, {number: at - offset_ns for number, at in came.items()}, changer.report["begun_ns"]


def _read(far: socket.socket, came: Came) -> None:
    """Take what comes, with the kernel's stamps, until nothing does for a while."""
    far.settimeout(0.5)
    try:
        while True:
            data, [(_, _, stamp)], _, _ = far.recvmsg(2048, 64)
            seconds, ns = struct.unpack("=qq", stamp)
            came[struct.unpack_from("=q", data)[0]] = seconds * 10**9 + ns
    except TimeoutError:
        return


def _socket(testbed: Testbed, node: str) -> socket.socket:
    with in_netns(testbed.nodes[node].fd):
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _pauses(load: str, rate_bps: int) -> Iterator[float]:
    """How long to wait after each packet, in s."""
    chance = random.Random(1)
    frame_s = _FRAME * 8 / rate_bps
    size = _SMALL if load == "small" else _FRAME
    # Twice as much as the mean rate, a little at a time.
    burst = max(1, round(2 * rate_bps * 0.002 / (8 * size)))
    while True:
        if load == "sparse":
            yield chance.uniform(3, 9) * max(frame_s, 0.001)
        else:
            for _ in range(burst - 1):
                yield 0
            yield burst * size * 8 / (2 * rate_bps)


def _lateness(
    lines: list[int], load: str, by: str, size: int, window_s: float, sent: Sent, came: Came
) -> Iterator[float]:
    """How long after what the trace says each packet came, in ns."""
    turns = range(8)
    slots = [(turn * _TURN_MS + ms) * _MS for turn in turns for ms in lines]
    if by == "rates":
        slots = _spread(slots)
    if load == "sparse":
        for number, at in came.items():
            if by == "rates":
                yield at - sent[number]
                continue
            due = slots[bisect_left(slots, sent[number])]
            # When exactly it came to the queue nobody knows.
            if due - sent[number] > _TOO_NEAR_NS:
                yield at - due
        return
    # What waits at the end leaves as the link was before.
    arrived = [came[number] for number in sorted(came) if came[number] < window_s * 1e9]
    first = bisect_left(slots, min(sent[number] for number in came))
    for number, at in enumerate(arrived):
        if by == "slots":
            yield at - slots[first + ((number + 1) * size - 1) // _FRAME]
        else:
            # The first finds the link idle, and leaves at once; each other when all before it have had their time.
            frames, part = divmod(number * size, _FRAME)
            since = slots[first + frames - 1] if first + frames else 0
            yield at - since - part * (slots[first + frames] - since) / _FRAME


def _spread(slots: list[int]) -> list[int]:
    """Several slots in one millisecond, evenly since the slot before."""
    made: list[int] = []
    before = index = 0
    while index < len(slots):
        count = sum(1 for at in slots[index : index + 1000] if at == slots[index])
        made += [before + (slots[index] - before) * (n + 1) // count for n in range(count)]
        before = slots[index]
        index += count
    return made


if __name__ == "__main__":
    main(sys.argv[1:])
