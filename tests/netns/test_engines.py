"""The same contract for both engines and all shipped topologies; what up, down and enter do; SIGKILL, then clean."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli.up import reach_words
from harness.errors import InputError, MissingError, PollbenchError
from harness.kernel import netns
from harness.kernel.journal import clean, open_journal
from harness.kernel.links import link_stats
from harness.spec.topology import Topology
from harness.spec.toponame import load_topology
from harness.testbed.namespaces import room_for
from harness.testbed.reach import ping_all
from tests import command
from tests.beds import bed, greet, run_in, topology

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "topologies").glob("*.yaml"))
TOPOS = ROOT / "tests" / "topos"


def load(name: str, **settings: Any) -> Topology:
    """A topology by name, keys of it set."""
    return load_topology(name, [(key, json.dumps(value)) for key, value in settings.items()])


def needs(*programs: str) -> None:
    """Skip where one of Mininet's programs is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


def complete(made: Topology, napi: bool = True) -> None:
    """Every host reaches every other, by echo requests and by datagrams; every shaped end is there."""
    with bed(made, napi=napi) as testbed:
        reach = ping_all(testbed)
        assert reach.unreached == () and reach.asked == len(reach.hosts) * (len(reach.hosts) - 1)
        hosts = made.hosts()
        greet(testbed, hosts[0], hosts[-1])
        for name in hosts:
            assert any(stats["rx_packets"] for stats in link_stats(testbed.nodes[name].fd).values())
        shaped = {(row.node, row.device) for row in testbed.qdiscs}
        wanted = {
            (port.node, port.device)
            for ports in testbed.layout.ports.values()
            for port in ports
            if port.discs and port.discs[0].kind in ("htb", "tbf", "netem")
        }
        assert wanted <= shaped


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_pingall_is_complete_on_every_shipped_topology(path: Path) -> None:
    # What the star's bottleneck queues with, not every kernel has; a test of its own asks for that.
    complete(load(str(path), **({"links.0.shape.qdisc": None} if path.stem == "star" else {})))


TREE = {"switching": "bridge", "stp": True}
OVS = {"switch": "OVSSwitch", "controller": {"command": "ovs-testcontroller ptcp:6653"}}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        (f"{ROOT}/topologies/dumbbell.yaml", {}),
        (f"{ROOT}/topologies/incast.yaml", {}),
        (f"{ROOT}/topologies/fat-tree.yaml", TREE),
        ("tree,2,2", {}),
        (f"{TOPOS}/campus.py:small", {}),
        (f"{TOPOS}/routers.py:sites", {}),
        ("mininet.examples.linuxrouter:NetworkTopo", {}),
    ],
    ids=lambda value: value.rsplit("/", 1)[-1] if isinstance(value, str) else "",
)
def test_mininet_builds_and_our_testbed_is_on_top(name: str, more: dict[str, Any]) -> None:
    needs("mnexec", "brctl")
    complete(load(name, engine="mininet", **more))


@pytest.mark.parametrize(
    ("name", "emulator", "more"),
    [
        (f"{TOPOS}/factory.py:Server", {"switch": "OVSBridge"}, {"args": [1, 3]}),
        (f"{ROOT}/topologies/leaf-spine.yaml", {"switch": "OVSBridge"}, TREE),
        ("tree,2,2", OVS, {}),
        (f"{TOPOS}/openflow.py:line", {"switch": "OVSSwitch", "controller": "learning"}, {}),
    ],
    ids=["bridge", "tree", "command", "of-the-file"],
)
def test_open_vswitch(name: str, emulator: dict[str, Any], more: dict[str, Any]) -> None:
    needs("mnexec", "ovs-vsctl", "ovsdb-server", "ovs-testcontroller")
    complete(load(name, engine="mininet", emulator=emulator, **more))


@pytest.mark.parametrize(
    ("command", "kind", "told"),
    [
        ("nosuchprogram", MissingError, "there is no program nosuchprogram; install it"),
        ("sh -c 'echo no way; exit 3'", PollbenchError, "ended with status 3: no way"),
    ],
)
def test_a_controller_that_does_not_start(command: str, kind: type[PollbenchError], told: str) -> None:
    needs("mnexec", "ovs-vsctl", "ovsdb-server")
    emulator = {"switch": "OVSSwitch", "controller": {"command": command}}
    with pytest.raises(kind, match=told), bed(load("minimal", engine="mininet", emulator=emulator)):
        pass


def test_mininets_switches_are_not_in_the_hosts_namespace() -> None:
    needs("mnexec", "brctl")
    with bed(load("linear,2", engine="mininet")) as testbed:
        seen = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
        assert "s1-eth1" not in seen
        assert "s1-eth1" in run_in(testbed.nodes["s1"], "ip", "-br", "link")


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        ("class H(Host):\n  def config(self, **p): raise Exception('no config')\n", PollbenchError, "no config"),
        ("class H(Host):\n  def config(self, **p): exit(7)\n", PollbenchError, r"called sys.exit\(7\)"),
    ],
)
def test_what_mininet_raises_becomes_our_error(
    body: str, kind: type[PollbenchError], told: str, tmp_path: Path
) -> None:
    needs("mnexec", "brctl")
    path = tmp_path / "own.py"
    build = "class T(Topo):\n  def build(self):\n    self.addLink(self.addHost('h1', cls=H), self.addSwitch('s1'))\n"
    path.write_text(
        f"from sys import exit\nfrom mininet.topo import Topo\nfrom mininet.node import Host\n{body}{build}"
    )
    with pytest.raises(kind, match=told), bed(load(f"{path}:T", engine="mininet")):
        pass
    with pytest.raises(InputError, match="host h1 is of class H"):
        load(f"{path}:T")


@pytest.mark.parametrize(
    ("act", "told"),
    [("time.sleep(600)", "still building after 1 s"), ("bytearray(5 << 30)", "MemoryError")],
    ids=["hangs", "takes all memory"],
)
def test_a_file_that_does_otherwise_when_it_is_built_has_limits_too(
    act: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("mnexec", "brctl")
    if "sleep" in act:
        module = sys.modules["harness.testbed.emulated"]  # whose function of the same name hides it
        monkeypatch.setattr(module, "_BUILD_S", 1.0)
        monkeypatch.setattr(module, "_BUILD_PER_NODE_S", 0.0)
    path = tmp_path / "own.py"
    # It is read by nobody first, and built from by root.
    path.write_text(
        "import os, time\nfrom mininet.topo import Topo\nclass T(Topo):\n  def build(self):\n"
        f"    if os.geteuid() == 0: {act}\n    self.addLink(self.addHost('h1'), self.addSwitch('s1'))\n"
    )
    made = load(f"{path}:T", engine="mininet")
    with pytest.raises(PollbenchError, match=told), bed(made):
        pass


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    made = load("minimal", engine="mininet")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingError, match="no program mnexec; install it: apt install mininet"), bed(made):
        pass


# -- held open ------------------------------------------------------------------------------------------------


@pytest.fixture
def held() -> Iterator[str]:
    """The name of a testbed of its own, taken down afterwards."""
    name = f"t{os.getpid()}"
    yield name
    command.run("down", name)


def test_up_enter_down(held: str) -> None:
    done = command.run("up", "single,3", "--name", held, "--pingall", "--set", "switching=route")
    assert done.returncode == 0, done.stderr
    assert "h1 -> h2 h3\n" in done.stdout and "0% dropped (6/6 received)" in done.stdout
    inside = command.run("enter", "--name", held, "h2", "--", "ip", "-br", "addr", "show", "h2-eth0")
    assert "10.0.0.2/32" in inside.stdout
    names = command.run("enter", "--name", held, "h2", "--", "sh", "-c", "getent hosts h3 h2; ls -A /run/pollbench")
    assert "10.0.0.3        h3\n10.0.0.2        h2\n" in names.stdout and "up-" in names.stdout
    assert "h3" not in Path("/etc/hosts").read_text().split()
    wrong = command.run("enter", "--name", held, "h9")
    assert wrong.returncode == 2 and 'there is no node "h9"; nodes: h1, h2, h3, s1' in wrong.stderr
    again = command.run("up", "minimal", "--name", held)
    assert again.returncode == 2 and "there is one of this name" in again.stderr
    assert command.run("down", held).stdout == f"{held}: down\n"
    assert command.run("down", held).returncode == 2
    assert command.run("up", "nosuch.yaml", "--name", held).returncode == 2


# -- scale, and sudden death ----------------------------------------------------------------------------------

OWNER = """
import sys
from pathlib import Path
from harness.kernel.journal import open_journal
from harness.spec.toponame import load_topology
from harness.testbed import open_testbed
topology = load_topology("linear,100")
print("ready", flush=True)
while True:
    with open_journal(Path(sys.argv[1])) as journal:
        print(journal.token, flush=True)
        with open_testbed(topology, napi=False, journal=journal):
            print("built", flush=True)
"""


MININET_OWNER = OWNER.replace('"linear,100"', '"linear,2", [("engine", "mininet")]')


@pytest.mark.slow
def test_sigkill_under_mininet_then_clean(tmp_path: Path) -> None:
    """Its shells and its own process are ended too: their namespaces go with them."""
    needs("mnexec", "brctl")
    with subprocess.Popen(
        [sys.executable, "-c", MININET_OWNER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as owner:
        assert owner.stdout is not None
        lines = [owner.stdout.readline() for _ in range(3)]
        assert lines[2] == b"built\n"
        notes = [json.loads(line) for line in next(tmp_path.glob("*/journal")).read_text().splitlines()]
        owner.kill()
    pids = [entry["pid"] for entry in notes if entry["kind"] == "process"]
    assert len(pids) >= 5
    assert [act for act in clean(state=tmp_path) if act.action == "failed"] == []
    time.sleep(0.2)
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z" not in state_of(pid)] == []
    assert [name for name in netns.names() if lines[1].decode().strip() in name] == []


def state_of(pid: int) -> str:
    """The state letter of a process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_two_testbeds_of_the_same_names_side_by_side() -> None:
    made = load("linear,3")
    with bed(made) as one, bed(made) as other:
        for each in (one, other):
            assert ping_all(each).unreached == ()
        greet(one, "h1", "h3")
    assert one.token != other.token


def test_the_limit_of_open_files_is_met_before_it_bites() -> None:
    import resource

    from harness.topology.layout import plan_layout

    layout = plan_layout(load("linear,50"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    try:
        with open_journal() as journal, room_for(layout, journal):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 2 * 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_default_options_shape_alike_by_either_engine() -> None:
    """Seen by tc, which neither engine of ours is."""
    needs("mnexec", "brctl")
    classes = []
    for engine in ("netlink", "mininet"):
        with bed(load(f"{TOPOS}/factory.py:star", engine=engine)) as testbed:
            ends = [("h0", "h0-eth0"), ("h2", "h2-eth0"), ("s1", "s1-eth1")]
            lines = [run_in(testbed.nodes[node], "tc", "class", "show", "dev", device) for node, device in ends]
            classes.append([re.findall(r"rate \S+|burst \S+", line)[:2] for line in lines])
    assert classes[0] == classes[1] == [["rate 50Mbit", "burst 15Kb"]] * 3


def test_pairs_without_a_path_are_marked() -> None:
    with bed(topology({"between": ["a", "b"]}, {"between": ["c", "d"]})) as testbed:
        reach = ping_all(testbed)
    assert reach_words(reach).splitlines() == [
        "a -> b X X",
        "b -> a X X",
        "c -> X X d",
        "d -> X X c",
        "*** Results: 67% dropped (4/12 received)",
    ]


@pytest.mark.parametrize("engine", ["netlink", "mininet"])
def test_a_script_s_net_stands_by_either_engine(engine: str) -> None:
    """Two segments and a router that the script itself configures, by Mininet's methods and by commands."""
    needs("mnexec", "brctl")
    complete(load(f"{TOPOS}/script.py", engine=engine))
