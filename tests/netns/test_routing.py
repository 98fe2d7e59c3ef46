"""Routing daemons in nodes: they find the routes, are waited for, say what is wrong, and leave nothing."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from harness.errors import PollbenchError
from harness.kernel.journal import open_journal
from harness.run import standing
from harness.testbed import Testbed as Bed
from harness.testbed.daemons import own_directory
from tests.beds import bed, greet, run_in, topology

RIP = """\
protocol device { scan time 1; }
protocol kernel { ipv4 { export all; }; }
protocol direct { ipv4; interface "eth*"; }
protocol rip { ipv4 { import all; export all; }; interface "eth*" { update time 1; }; }
"""
LINKS = {"between": ["a", "m"]}, {"between": ["m", "b"]}


@pytest.fixture(autouse=True)
def bird() -> None:
    if shutil.which("bird", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("there is no program bird; type: tools/os-packages.sh test")


def underneath(before: standing.Standing, testbed: Bed) -> tuple[str, ...]:
    """What has changed since."""
    return standing.differences(before, standing.read(testbed))


def test_three_routers_find_each_other() -> None:
    router = {"routing": {"bird": RIP}}
    with bed(topology(*LINKS, a=router, m=router, b=router)) as testbed:
        greet(testbed, "a", "b")
        assert testbed.columns["a"]["routes"] == "10.0.0.0/24; 10.0.1.0/24 via 10.0.0.2"
        assert str(testbed.columns["a"]["routing"]).startswith("BIRD version ")
        assert "10.0.1.0/24 via 10.0.0.2 dev eth0 proto bird" in run_in(testbed.nodes["a"], "ip", "route")
        before, deadline = standing.read(testbed), time.monotonic() + 30
        # Its way gone, the route goes, and the run hears of it.
        run_in(testbed.nodes["m"], "ip", "link", "set", "eth1", "down")
        while not (changed := [text for text in underneath(before, testbed) if text.startswith("routes of a ")]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        ways = "from 10.0.0.0/24; 10.0.1.0/24 via 10.0.0.2 to 10.0.0.0/24"
        assert changed == [f"routes of a changed underneath, during the run: {ways}"]
    assert list(Path("/run").glob("pollbench-routing-*")) == []


def test_programs_without_root_s_rights_reach_their_files_whatever_the_umask() -> None:
    with open_journal() as journal:
        mask = os.umask(0o077)
        try:
            with own_directory("test", journal) as home:
                assert home.stat().st_mode & 0o777 == 0o755
        finally:
            os.umask(mask)


@pytest.mark.parametrize(
    ("routing", "got"),
    [
        ({"bird": RIP.replace("direct", "direkt")}, "bird ended with status 1: bird: bird.conf:3:10 syntax error"),
        ({"bird": RIP, "within": "300ms"}, "no route to 10.0.1.0/24 within 0.3 s (its key within)"),
    ],
    ids=["not-a-configuration", "nobody-answers"],
)
def test_a_daemon_without_routes_says_why(routing: dict[str, str], got: str) -> None:
    with pytest.raises(PollbenchError) as caught, bed(topology(*LINKS, a={"routing": routing})):
        pass
    assert got in caught.value.got
