"""Build and tear down Mininet's topologies: our engine against Mininet's own on the same Topo, and against the floor.

Ways, interleaved round by round: `ours`, from the declared topology to the last namespace removed, journal, sysctls and
reading back included; `floor`, the same namespaces and the same netlink messages made beforehand and sent with the
fewest system calls, and nothing else; `mininet`, Mininet building the same Topo with Linux bridges in a namespace of
its own, timing itself, its import not counted. Every N stands for switches (linear), hosts (single, tree), pairs.

POLLBENCH_BENCH_SIZES="10,100,500" and POLLBENCH_BENCH_ROUNDS choose more than the default; POLLBENCH_BENCH_WAYS and
POLLBENCH_BENCH_KINDS fewer ways and topologies ("ours,floor", "pairs").
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.kernel import netns
from harness.kernel.journal import open_journal
from harness.kernel.netlink import NetlinkSocket, Request
from harness.kernel.netns import in_netns
from harness.spec.topology import Topology
from harness.spec.toponame import load_topology
from harness.testbed import open_testbed
from harness.topology.layout import plan_layout

SIZES = [int(size) for size in os.environ.get("POLLBENCH_BENCH_SIZES", "10,100").split(",")]
ROUNDS = int(os.environ.get("POLLBENCH_BENCH_ROUNDS", "3"))
WAYS = os.environ.get("POLLBENCH_BENCH_WAYS", "ours,floor,mininet").split(",")
KINDS = os.environ.get("POLLBENCH_BENCH_KINDS", "linear,single,tree,pairs").split(",")
PAUSE_S = 2.0

PAIRS = """
from mininet.topo import Topo


class Pairs(Topo):
    def build(self, n=10):
        for i in range(n):
            self.addLink(self.addHost(f"a{i}"), self.addHost(f"b{i}"), bw=100, use_tbf=True)
"""
MININET = """
import json, sys, time
from harness.mininet.find import make_topo, prepare
prepare()
from harness.mininet.graph import TopoRequest
from harness.mininet.places import Places
import mininet.net
from mininet.link import Link, TCLink
from mininet.log import setLogLevel
from mininet.nodelib import LinuxBridge
mininet.net.fixLimits = lambda: None
setLogLevel("critical")
_, name, directory = sys.argv
# The file finds a command line of its own in sys.argv from here on.
topo, _ = make_topo(TopoRequest(name, directory), Places(directory))
start = time.perf_counter()
link = TCLink if "pairs" in name else Link
net = mininet.net.Mininet(topo=topo, link=link, switch=LinuxBridge, controller=None)
net.start()
built = time.perf_counter()
net.stop()
print(built - start, time.perf_counter() - built)
"""
Times = tuple[float, float]


def name_of(kind: str, size: int, directory: Path) -> str:
    """The Mininet topology of a kind and size."""
    if kind == "pairs":
        (directory / "pairs.py").write_text(PAIRS)
        return f"pairs.py:Pairs,{size}"
    # A tree of depth 2 with about `size` hosts.
    return f"tree,2,{round(size**0.5)}" if kind == "tree" else f"{kind},{size}"


def ours(made: Topology) -> Times:
    """(build, teardown) in seconds."""
    start = time.perf_counter()
    with open_journal() as journal, open_testbed(made, napi=False, journal=journal):
        built = time.perf_counter()
    return built - start, time.perf_counter() - built


def floor(made: Topology) -> Times:
    """The same namespaces and messages with the fewest calls: what the kernel takes, whoever asks it."""
    layout = plan_layout(made)
    names = {node: f"pbbench-{os.getpid()}-{node}" for node in made.nodes}
    with ExitStack() as stack:
        # Descriptor numbers are part of the messages, so that these are made when the namespaces are there; the time
        # that takes does not count.
        start = time.perf_counter()
        fds = {}
        for node, name in names.items():
            fds[node] = netns.create(name)
            stack.callback(netns.remove, name)
            stack.callback(os.close, fds[node])
        namespaces = time.perf_counter() - start
        batches = messages_of(layout, fds)
        start = time.perf_counter()
        for node, requests in batches:
            with in_netns(fds[node]), NetlinkSocket() as sock:
                sock.batch(requests)
        built = time.perf_counter() - start + namespaces
        start = time.perf_counter()
    return built, time.perf_counter() - start


def messages_of(layout: Any, fds: dict[str, int]) -> list[tuple[str, list[Request]]]:
    """Every message of a build by the node whose namespace it is sent in."""
    from harness.kernel import links, qdiscs
    from harness.testbed import addressing
    from harness.testbed.wiring import Wiring

    wiring = Wiring(layout, fds)
    pairs = [links.new_pair(wiring._end(one), wiring._end(other)) for one, other in layout.links]
    batches = [(next(iter(fds)), pairs)] if pairs else []
    for node in fds:
        ups = [links.link_up(port.ifindex, port.device) for port in layout.ports[node]]
        shaping = [
            request
            for port in layout.ports[node]
            for disc in port.discs
            for request in qdiscs.new_qdisc(port.ifindex, disc.kind, disc.handle, disc.parent, disc.options)
        ]
        first = [links.link_up(links.LOOPBACK_IFINDEX, "lo"), *ups, *wiring._bridging(node)]
        batches.append((node, [*first, *addressing.requests(layout, node), *shaping]))
    return batches


def mininet(name: str, directory: Path) -> Times:
    """By Mininet, in a network namespace and a /sys of its own."""
    command = ["unshare", "-n", "-m", "sh", "-c", 'mount -t sysfs sysfs /sys; exec "$@"', "sh"]
    command += [sys.executable, "-c", MININET, name, str(directory)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3600, env=environment).stdout
    build, teardown = map(float, told.split())
    return build, teardown


def absent() -> str:
    """Why this cannot be measured here, or ""."""
    if os.geteuid() != 0:
        return "needs root"
    for program, package in {"mnexec": "mininet", "brctl": "bridge-utils", "unshare": "util-linux"}.items():
        if shutil.which(program) is None:
            return f"needs {program} (Debian: apt-get install {package})"
    return ""


def measured(kind: str, size: int, directory: Path) -> str:
    """One line of the table: medians in milliseconds, ratios to ours."""
    name = name_of(kind, size, directory)
    before = os.getcwd()
    os.chdir(directory)
    try:
        made = load_topology(name)
    finally:
        os.chdir(before)
    doing: dict[str, Callable[[], Times]] = {
        "ours": lambda: ours(made),
        "floor": lambda: floor(made),
        "mininet": lambda: mininet(name, directory),
    }
    found: dict[str, list[Times]] = {way: [] for way in WAYS}
    for number in range(ROUNDS):
        for way in WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]:
            found[way].append(doing[way]())
            time.sleep(PAUSE_S)
    build, teardown = (1e3 * statistics.median(column) for column in zip(*found["ours"], strict=True))
    totals = {way: [sum(times) for times in each] for way, each in found.items()}
    cells = [f"{kind:<7}{size:>5}{len(made.nodes):>7}{len(made.links):>7}{build:>10.1f}{teardown:>10.1f}"]
    for way in ("floor", "mininet"):
        if way in totals:
            ratio = statistics.median(other / own for other, own in zip(totals[way], totals["ours"], strict=True))
            median = 1e3 * statistics.median(totals[way])
            shown = 1 / ratio if way == "floor" else ratio
            cells.append(f"{median:>12.1f}{shown:>9.2f}")
        else:
            cells.append(f"{'-':>12}{'-':>9}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return "".join(cells) + f"{memory:>9.0f}"


def main() -> int:
    """Print the table. Exit code 0, also where it cannot be measured: 3 would stop the other benchmarks."""
    if reason := absent():
        print(f"skipped: {reason}")
        return 0
    head = f"{'':<7}{'N':>5}{'nodes':>7}{'links':>7}{'build ms':>10}{'down ms':>10}{'floor ms':>12}{'ours/fl.':>9}"
    print("\n" + head + f"{'mininet ms':>12}{'mn/ours':>9}{'peak MiB':>9}")
    with tempfile.TemporaryDirectory() as directory:
        for kind in KINDS:
            for size in SIZES:
                print(measured(kind, size, Path(directory)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
