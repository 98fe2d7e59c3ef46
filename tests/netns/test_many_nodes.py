"""Testbeds of many nodes, for which the host's own neighbour tables are given room: no other namespace shows them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.kernel import netns
from harness.kernel.journal import clean, open_journal
from harness.testbed import open_testbed
from harness.testbed.reach import ping_all
from tests.netns.test_engines import OWNER, ROOT, load

THRESHOLD = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["build", "teardown"])
def test_sigkill_with_200_nodes_then_clean(moment: str, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        token = owner.stdout.readline().decode().strip()
        if moment == "teardown":
            assert owner.stdout.readline() == b"built\n"
        time.sleep(0.02 if moment == "teardown" else 0.05)
        owner.kill()
    assert [act for act in clean(state=tmp_path) if act.action == "failed"] == []
    assert [name for name in netns.names() if token in name] == []
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_limits_are_raised_and_put_back() -> None:
    """Seventy hosts on one switch ask each other by ARP: the host's table has room for all while they live."""
    before = THRESHOLD.read_text()
    made = load("single,70")
    with open_journal() as journal, open_testbed(made, napi=False, journal=journal) as testbed:
        assert int(THRESHOLD.read_text()) >= 2 * 70 * 69
        assert ping_all(testbed, ["h1", "h35", "h70"]).unreached == ()
    assert THRESHOLD.read_text() == before


def test_where_the_limits_cannot_be_seen_a_testbed_is_built_all_the_same() -> None:
    """Within a namespace that is not the host's, as in a container, there are none of these files."""
    with netns.unnamed() as elsewhere, netns.in_netns(elsewhere), open_journal() as journal:
        assert not THRESHOLD.exists()
        with open_testbed(load("single,70"), napi=False, journal=journal) as testbed:
            assert ping_all(testbed, ["h1", "h35", "h70"]).unreached == ()
