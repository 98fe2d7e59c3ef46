"""Build and tear down many shaped veth pairs: ours against Mininet's own and against ip -batch with tc -batch.

Every way makes the same: per pair two namespaces, a veth link born in them, an address and a 100 Mbit/s tbf at
either end, all up. Ours also writes its journal, sets sysctls and neighbours, and reads every qdisc back through
pyroute2. That is imported in the first round, once for all testbeds of a process; Mininet's import is not counted.
The rounds are interleaved, and a ratio is the median of the rounds' own ratios.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections import deque
from collections.abc import Callable

import pytest

from harness.kernel.journal import open_journal
from harness.kernel.netns import in_netns
from harness.testbed import open_testbed
from tests.beds import topology

PAIRS = int(os.environ.get("POLLBENCH_BENCH_PAIRS", "100"))
ROUNDS = int(os.environ.get("POLLBENCH_BENCH_ROUNDS", "3"))
# The kernel takes down a removed namespace in its own time; the next way must not pay for it.
PAUSE_S = 2.0

MININET_PYTHON = "/usr/bin/python3"
# In Debian's Python, which has Mininet, timing itself. Its raising of host-wide limits is left out: it would change
# this host for good, and without it Mininet is faster, if anything.
MININET = """
import sys, time
import mininet.net
from mininet.link import TCLink
from mininet.log import setLogLevel
from mininet.topo import Topo
mininet.net.fixLimits = lambda: None
setLogLevel("critical")
start = time.perf_counter()
topo = Topo()
for i in range(int(sys.argv[1])):
    one, other = topo.addHost(f"a{i}"), topo.addHost(f"b{i}")
    topo.addLink(one, other, bw=100, use_tbf=True)
net = mininet.net.Mininet(topo=topo, link=TCLink, controller=None)
net.start()
built = time.perf_counter()
net.stop()
print(built - start, time.perf_counter() - built)
"""

Times = tuple[float, float]


def ours() -> Times:
    """(build, teardown) in seconds."""
    start = time.perf_counter()
    shape = {"rate": "100mbit", "method": "tbf"}  # as the others': by itself htb with a bfifo, two qdiscs an end
    declared = topology(*({"between": [f"a{i}", f"b{i}"], "shape": shape} for i in range(PAIRS)))
    with open_journal() as journal, open_testbed(declared, napi=False, journal=journal) as testbed:
        built = time.perf_counter()
        assert len(testbed.qdiscs) == 2 * PAIRS
    return built - start, time.perf_counter() - built


def mininet() -> Times:
    """The same by Mininet: hosts and TCLinks, no switch, no controller."""
    command = [MININET_PYTHON, "-c", MININET, str(PAIRS)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    build, teardown = map(float, told.split())
    return build, teardown


def batch() -> Times:
    """The same by the fewest processes of iproute2 that can do it, two at a time.

    One ip makes all namespaces and links; but a process works in one namespace only, so each takes an ip and a tc.
    They are started from inside it, which is faster than their own -n (that mounts a new /sys as well).
    """
    start = time.perf_counter()
    names = [f"pbbench{end}{i}" for i in range(PAIRS) for end in "ab"]
    try:
        lines = [f"netns add {name}" for name in names]
        for one, other in zip(names[::2], names[1::2], strict=True):
            lines.append(f"link add eth0 netns {one} type veth peer name eth0 netns {other}")
        _feed("ip", lines)
        running: deque[subprocess.Popen[bytes]] = deque()
        for number, name in enumerate(names):
            with in_netns(name):
                running.append(_start("ip", _addressing(number)))
                running.append(_start("tc", [TBF]))
            while len(running) > 2:
                assert running.popleft().wait() == 0
        for process in running:
            assert process.wait() == 0
        built = time.perf_counter()
    finally:
        end = time.perf_counter()
        _feed("ip", [f"netns del {name}" for name in names])
    return built - start, time.perf_counter() - end


TBF = "qdisc add dev eth0 root tbf rate 100mbit burst 50000 latency 50ms"


def _addressing(number: int) -> list[str]:
    pair, end = divmod(number, 2)
    address = f"10.{pair >> 8}.{pair & 255}.{end + 1}/24"
    return ["link set lo up", "link set eth0 up", f"addr add {address} dev eth0"]


def _start(program: str, lines: list[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([program, "-batch", "-"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write("".join(f"{line}\n" for line in lines).encode())
    process.stdin.close()
    return process


def _feed(program: str, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    subprocess.run([program, "-batch", "-"], input=text.encode(), check=True)


def absent() -> str:
    """Why this cannot be measured here, or ""."""
    if os.geteuid() != 0:
        return "needs root"
    if shutil.which("mn") is None:
        return "needs mininet (Debian: apt-get install mininet)"
    return "" if shutil.which("tc") else "needs iproute2"


def compare() -> dict[str, list[Times]]:
    """The times of each way, round by round; who goes first changes from round to round."""
    ways: list[tuple[str, Callable[[], Times]]] = [("ours", ours), ("batch", batch), ("mininet", mininet)]
    found: dict[str, list[Times]] = {name: [] for name, _ in ways}
    for i in range(ROUNDS):
        for name, way in ways[i % len(ways) :] + ways[: i % len(ways)]:
            found[name].append(way())
            time.sleep(PAUSE_S)
    return found


def table(found: dict[str, list[Times]]) -> str:
    """Medians in milliseconds, and how many times longer than ours the others take."""
    lines = [f"{PAIRS} pairs  build ms  teardown ms  total ms  ms/pair  / ours  rounds"]
    mine = [sum(times) for times in found["ours"]]
    for name, times in found.items():
        build, teardown = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
        totals = [sum(each) for each in times]
        total = 1e3 * statistics.median(totals)
        ratio = statistics.median(theirs / own for theirs, own in zip(totals, mine, strict=True))
        head = f"{name:<9}  {build:8.1f}  {teardown:11.1f}  {total:8.1f}"
        lines.append(f"{head}  {total / PAIRS:7.2f}  {ratio:6.2f}  {len(times):>6}")
    return "\n".join(lines)


@pytest.mark.skipif(bool(absent()), reason=absent())
def test_testbed_speed() -> None:
    """Prints the table; fails only when a way does not work."""
    print("\n" + table(compare()))
