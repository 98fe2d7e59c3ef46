"""What netem and queues that mark do to packets, by plain sockets and the kernel's own counters, as a Markdown table.

sudo python -m tools.netem_truth [NAME]...     the rows of these names; all by default
python -m tools.netem_truth --in-vm 6.12       in a guest of that kernel, in model time

None of pollbench's own checks take part: datagrams are numbered and stamped, sent one by one and looked at on arrival.
"""

from __future__ import annotations

import argparse
import itertools
import math
import socket
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import PollbenchError
from harness.kernel.journal import open_journal
from harness.kernel.netns import in_netns
from harness.run.link_checks import begin_chance
from harness.spec.delay_table import UNIT
from harness.spec.netem import correlated_share
from harness.spec.shape import Shape
from harness.spec.topology import Topology
from harness.spec.trace_file import packed
from harness.testbed import Testbed, open_testbed

_STAMPS, _RECEIVE_FORCED, _SEND_FORCED = 35, 33, 32
_IP_BYTES, _UDP_BYTES, _ETHERNET_BYTES = 20, 8, 14
_PAYLOAD = 1000
_FRAME = _PAYLOAD + _IP_BYTES + _UDP_BYTES + _ETHERNET_BYTES
_HEAD = struct.Struct("=Iq")
_PACE_S = 0.0002
_SIGMAS = 4
_PORT = 9000
TWO = " ".join(["-8192", "8192"] * 512)


class Arrival(NamedTuple):
    """A datagram: its number, when it was sent and came (ns), and the ECN bits that it came with."""

    number: int
    sent_ns: int
    came_ns: int
    ecn: int


class Truth(NamedTuple):
    """What of a shape was expected and what came out, with the tolerance; all in words, and whether it is within."""

    what: str
    expected: float
    measured: float
    slack: float

    def row(self, name: str) -> str:
        ok = "yes" if abs(self.measured - self.expected) <= self.slack else "**no**"
        return f"| {name} | {self.what} | {self.expected:.4g} | {self.measured:.4g} | {self.slack:.2g} | {ok} |"


def sent(testbed: Testbed, count: int, pace_s: float = _PACE_S, ecn: int = 0) -> list[Arrival]:
    """Datagrams from a to b, in the order in which they came."""
    came: list[Arrival] = []
    with in_netns(testbed.nodes["b"].fd):
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with in_netns(testbed.nodes["a"].fd):
        near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with near, far:
        far.setsockopt(socket.SOL_SOCKET, _STAMPS, 1)
        far.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        far.setsockopt(socket.SOL_SOCKET, _RECEIVE_FORCED, 16 << 20)
        near.setsockopt(socket.SOL_SOCKET, _SEND_FORCED, 16 << 20)
        near.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, ecn)
        far.bind((testbed.address("b"), _PORT))
        near.connect(far.getsockname())
        far.settimeout(0.5)
        for number in range(count):
            near.send(_HEAD.pack(number, time.time_ns()).ljust(_PAYLOAD, b"\0"))
            if pace_s:
                time.sleep(pace_s)
        try:
            while True:
                data, control, _, _ = far.recvmsg(2048, 128)
                came.append(_arrival(data, control))
        except TimeoutError:
            return came


def _arrival(data: bytes, control: list[Any]) -> Arrival:
    told = {(level, kind): value for level, kind, value in control}
    seconds, rest_ns = struct.unpack("=qq", told[socket.SOL_SOCKET, _STAMPS])
    number, sent_ns = _HEAD.unpack_from(data)
    return Arrival(number, sent_ns, seconds * 10**9 + rest_ns, told[socket.IPPROTO_IP, socket.IP_TOS][0] & 3)


def share(what: str, expected: float, events: int, of: int, inflation: float = 1.0) -> Truth:
    """A share in percent; what chance allows of it is the tolerance."""
    slack = _SIGMAS * math.sqrt(expected * (1 - expected) * inflation / of)
    return Truth(f"{what}, %", 100 * expected, 100 * events / of, 100 * slack)


def delays(testbed: Testbed, shape: Shape) -> Iterator[Truth]:
    """Mean and deviation of the delay, and how much one is like the one before it."""
    came = sorted(sent(testbed, 3000))
    took_ms = [(one.came_ns - one.sent_ns) / 1e6 for one in came]
    table = [value / UNIT for value in shape.table]
    jitter_ms = shape.jitter_ns / 1e6
    middle = shape.delay_ns / 1e6 + jitter_ms * (statistics.fmean(table) if table else 0)
    deviation = jitter_ms * (statistics.pstdev(table) if table else 1 / math.sqrt(3))
    mean, spread = statistics.fmean(took_ms), statistics.pstdev(took_ms)
    yield Truth("mean delay, ms", middle, mean, _SIGMAS * deviation / math.sqrt(len(came)) + 0.1)
    yield Truth("its deviation, ms", deviation, spread, 0.06 * deviation + 0.02)
    if shape.correlation is not None:
        like = sum((one - mean) * (two - mean) for one, two in itertools.pairwise(took_ms)) / len(came) / spread**2
        yield Truth("correlation of neighbours", 0, like, _SIGMAS / math.sqrt(len(came)))


def losses(testbed: Testbed, shape: Shape) -> Iterator[Truth]:
    """The share lost, and the mean length of its bursts."""
    count = 12_000
    there = {one.number for one in sent(testbed, count)}
    chain = shape.chain
    if chain is None:
        like = shape.correlation.loss if shape.correlation is not None else 0.0
        yield share("lost", correlated_share(shape.loss, like), count - len(there), count, (1 + like) / (1 - like))
        return
    yield share("lost", chain.share(), count - len(there), count, chain.inflation())
    runs = [len(list(run)) for lost, run in itertools.groupby(range(count), lambda n: n not in there) if lost]
    deviation = statistics.pstdev(runs)
    slack = _SIGMAS * deviation / math.sqrt(len(runs))
    yield Truth("mean burst, packets", chain.burst(), statistics.fmean(runs), slack)


def duplicates(testbed: Testbed, shape: Shape) -> Iterator[Truth]:
    """Packets that came twice."""
    count = 4000
    yield share("came twice", shape.duplicate, len(sent(testbed, count)) - count, count)


def reordered(testbed: Testbed, shape: Shape) -> Iterator[Truth]:
    """Packets that did not wait, and packets from one of them to the next."""
    came = sent(testbed, 4000)
    early = sorted(one.number for one in came if one.came_ns - one.sent_ns < shape.delay_ns / 2)
    each = shape.gap - 1 + 1 / shape.reorder
    yield Truth("packets to the next early one", each, (early[-1] - early[0]) / (len(early) - 1), 0.1 * each)
    least = min(later - earlier for earlier, later in itertools.pairwise(early))
    yield Truth("and at least", shape.gap, least, 0)


def corrupted(testbed: Testbed, shape: Shape) -> Iterator[Truth]:
    """Errors of checksums that the receiver's kernel counts, of UDP and of IP's header."""
    count = 6000
    before = _snmp(testbed)
    sent(testbed, count)
    after = _snmp(testbed)
    checked = (_PAYLOAD + _UDP_BYTES) / _FRAME
    udp, ip = (after[key] - before[key] for key in ("Udp:InCsumErrors", "Ip:InHdrErrors"))
    yield share("UDP checksum errors", shape.corrupt * checked, udp, count)
    yield share("errors in IP headers", shape.corrupt * _IP_BYTES / _FRAME, ip, count)


def _snmp(testbed: Testbed) -> dict[str, int]:
    with in_netns(testbed.nodes["b"].fd):
        lines = [line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()]
    return {
        names[0] + name: int(value)
        for names, values in zip(lines[::2], lines[1::2], strict=True)
        for name, value in zip(names[1:], values[1:], strict=True)
    }


def slots(testbed: Testbed, shape: Shape) -> Iterator[Truth]:
    """The time from one burst of arrivals to the next."""
    assert shape.slots is not None
    least, most = shape.slots.least_ns / 1e6, (shape.slots.most_ns or shape.slots.least_ns) / 1e6
    came = sorted(one.came_ns / 1e6 for one in sent(testbed, 3000))
    gaps = [later - earlier for earlier, later in itertools.pairwise(came) if later - earlier > least / 2]
    # A slot is counted from the packet that finds the link closed.
    mean = (least + most) / 2 + _PACE_S * 1e3 / 2
    slack = _SIGMAS * (most - least) / math.sqrt(12 * len(gaps)) + _PACE_S * 1e3
    yield Truth("from slot to slot, ms", mean, statistics.fmean(gaps), slack)
    yield Truth("shortest, ms", least, min(gaps), _PACE_S * 2e3 + (most - least) / 10)


def marked(testbed: Testbed, shape: Shape) -> Iterator[Truth]:
    """Packets with ECN that came with a mark, and none lost."""
    count = 4000
    came = sent(testbed, count, ecn=1)
    yield share("marked", shape.loss, sum(one.ecn == 3 for one in came), count)
    yield Truth("lost", 0, count - len(came), 0)


def same_again(testbed: Testbed, shape: Shape) -> Iterator[Truth]:
    """Two series of packets from the same beginning, and one more from where that left off."""
    lost = []
    for anew in (True, True, False):
        if anew:
            begin_chance(testbed)
        lost.append(set(range(4000)) - {one.number for one in sent(testbed, 4000)})
    yield Truth("lost in one of two series only", 0, len(lost[0] ^ lost[1]), 0)
    yield share("lost", shape.loss, len(lost[0]), 4000)
    yield share("lost again without a new beginning", shape.loss**2, len(lost[0] & lost[2]), 4000)


def threshold(testbed: Testbed, shape: Shape) -> Iterator[Truth]:
    """A burst into a slow link: the wait of the first packet that was marked, and how many after it were not."""
    assert shape.leaf is not None and shape.leaf.ce_threshold_ns is not None and shape.rate_bps is not None
    each_ms = _FRAME * 8e3 / shape.rate_bps
    came = sent(testbed, 60, 0, ecn=1)
    marks = [place for place, one in enumerate(came) if one.ecn == 3]
    limit_ms = shape.leaf.ce_threshold_ns / 1e6
    first_ms = (came[marks[0]].came_ns - came[marks[0]].sent_ns) / 1e6 if marks else float("inf")
    yield Truth("wait of the first marked, ms", limit_ms + each_ms / 2, first_ms, each_ms)
    yield Truth("not marked after it", 0, len(came) - marks[0] - len(marks) if marks else len(came), 0)


Check = Callable[[Testbed, Shape], Iterator[Truth]]
_JITTER = {"delay": "20ms", "jitter": "4ms"}
_QUEUE = {"rate": "10mbit", "method": "htb", "queue": "1s"}
CASES: dict[str, tuple[dict[str, Any], Check]] = {
    "even": (_JITTER, delays),
    "normal": (_JITTER | {"distribution": "normal"}, delays),
    "pareto": (_JITTER | {"distribution": "pareto"}, delays),
    "paretonormal": (_JITTER | {"distribution": "paretonormal"}, delays),
    "own": (_JITTER | {"distribution": "two.dist", "distribution_data": packed(TWO)}, delays),
    "delay-correlation": (_JITTER | {"correlation": {"delay": "75%"}}, delays),
    "loss": ({"loss": "10%"}, losses),
    "loss-correlation": ({"loss": "10%", "correlation": {"loss": "25%"}}, losses),
    "gilbert-elliott": ({"gilbert_elliott": {"to_bad": "1%", "to_good": "20%"}}, losses),
    "gilbert-elliott-2": (
        {"gilbert_elliott": {"to_bad": "2%", "to_good": "25%", "bad_loss": "80%", "good_loss": "1%"}},
        losses,
    ),
    "four-states": ({"four_states": {"p13": "1%", "p31": "20%", "p32": "10%", "p23": "30%", "p14": "1%"}}, losses),
    "duplicate": ({"duplicate": "10%"}, duplicates),
    "reorder": ({"delay": "20ms", "reorder": "25%", "gap": 5}, reordered),
    "corrupt": ({"corrupt": "10%"}, corrupted),
    "slots": ({"slots": {"least": "10ms"}}, slots),
    "slots-2": ({"slots": {"least": "5ms", "most": "15ms"}}, slots),
    "ecn": ({"loss": "10%", "ecn": True}, marked),
    "seed": ({"loss": "10%", "seed": 7}, same_again),
    **{
        f"{kind}-ce": (_QUEUE | {"qdisc": {"kind": kind, "ce_threshold": "10ms"}}, threshold)
        for kind in ("fq", "codel", "fq_codel", "dualpi2")
    },
}


def here(names: list[str]) -> None:
    """Measure in namespaces of this kernel, and print the rows."""
    print("| shape | what | expected | measured | tolerance | within |\n| - | - | - | - | - | - |", flush=True)
    for name in names or CASES:
        declared, check = CASES[name]
        document = {"nodes": {"a": {}, "b": {}}, "links": [{"between": ["a", "b"], "forward": declared}]}
        try:
            made = Topology.model_validate(document)
            with open_journal() as journal, open_testbed(made, napi=False, journal=journal) as testbed:
                shape = made.links[0].forward
                assert shape is not None
                for truth in check(testbed, shape):
                    print(truth.row(name), flush=True)
        except PollbenchError as error:
            print(f"| {name} | {error.got} | | | | |", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in-vm", metavar="KERNEL")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if options.in_vm:
        from tools.in_guest import run_in_guest

        run_in_guest(__file__, options.in_vm, options.names)
    else:
        here(options.names)


if __name__ == "__main__":
    main()
