"""Links that end on a switch, of every kind and by both engines: frames of ours are seen at either end."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from typing import Any

import pytest

from harness.kernel.frames import FrameEnd
from harness.run import link_checks
from harness.spec.generated import Generator
from harness.spec.messages import Mistakes
from harness.spec.topology import Topology
from harness.spec.yaml_tree import tree_of
from harness.testbed import Testbed as Bed
from tests.beds import bed

LAB = """from mininet.topo import Topo
class Lab(Topo):
    def build(self):
        for host in ("h1", "h2"):
            self.addLink(self.addHost(host), self.addSwitch("s1"), bw=20)
"""
FRAMES = 30
KINDS: dict[str, dict[str, Any]] = {
    "bridge": {},
    "route": {"switching": "route"},
    "linuxbridge": {"engine": "mininet"},
    "ovs": {"engine": "mininet", "emulator": {"switch": "OVSBridge"}},
}


def frames_seen(testbed: Bed, ends: Any, patience_s: float = 5) -> tuple[list[int], list[int]]:
    """The numbers of the frames that arrive at the second end of those sent from the first, and at the first again."""
    with contextlib.ExitStack() as stack:
        sender, receiver = (
            stack.enter_context(FrameEnd(testbed.nodes[one.node].fd, one.device, one.ifindex, one.mac, other.mac))
            for one, other in (ends, ends[::-1])
        )
        for number in range(FRAMES):
            assert sender.send(200, number, time.time_ns())
        came: list[int] = []
        deadline = time.monotonic() + patience_s
        while len(came) < FRAMES and time.monotonic() < deadline:
            came += [number for number, _, _ in receiver.received()]
            time.sleep(0.01)
        return came, [number for number, _, _ in sender.received()]


@pytest.mark.parametrize("kind", KINDS)
def test_both_ends_of_a_link_see_its_frames(kind: str, tmp_path: Any) -> None:
    for program in ("mnexec", "brctl", "ovs-vsctl", "ovsdb-server") if "engine" in KINDS[kind] else ():
        if shutil.which(program) is None:
            pytest.skip(f"there is no program {program}")
    (tmp_path / "lab.py").write_text(LAB)
    tree = Generator().topology(tree_of({"mininet": f"{tmp_path}/lab.py:Lab", **KINDS[kind]}, "test:1:1"), Mistakes())
    with bed(Topology.model_validate(tree.plain())) as testbed:
        for ends in itertools.chain.from_iterable((link, link[::-1]) for link in testbed.layout.links):
            assert frames_seen(testbed, ends) == ([*range(FRAMES)], [])
        rows = link_checks.verify(testbed, "every", "")
        assert {row.link for row in rows} == {"h1 -> s1", "s1 -> h1", "h2 -> s1", "s1 -> h2"}
        # What Mininet installs lets 15 KiB pass at once, and has a queue of its own.
        ours = set() if "engine" in KINDS[kind] else {"single", "queue"}
        assert {row.check for row in rows} == {"rate", *ours}
