"""Interfaces that are lent and put back as they were found, and those that are not lent at all."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import MissingError
from harness.kernel import nic_lease
from harness.kernel.hostfiles import HOST, sysctl_file
from harness.kernel.iproute import iproute
from harness.kernel.journal import clean, open_journal
from harness.kernel.netlink import NetlinkError
from harness.kernel.netns import in_netns
from tests import command, experiment
from tests.beds import bed, greet, pair, run_in

NAME = f"pbtest-{os.getpid()}-lent"


def ip(*words: str) -> None:
    subprocess.run(["ip", "-n", NAME, *words], check=True, capture_output=True)


@pytest.fixture
def host() -> Iterator[None]:
    """A namespace for a host: a0 with a default route, b0 with an address, c0 in a bridge, d0 with a qdisc, e0 free."""
    subprocess.run(["ip", "netns", "add", NAME], check=True)
    try:
        with in_netns(NAME):
            # Else IPv6 asks for a second or two whether anybody else has its address, and shows it as tentative.
            HOST.write(sysctl_file("net.ipv6.conf.default.accept_dad"), 0)
        ip("link", "set", "lo", "up")
        for letter in "abcde":
            ip("link", "add", f"{letter}0", "type", "veth", "peer", "name", f"{letter}1")
            for end in (0, 1):
                ip("link", "set", f"{letter}{end}", "up")
        for number, letter in enumerate("abe"):
            ip("address", "add", f"192.0.2.{16 * number + 1}/28", "dev", f"{letter}0")
        ip("route", "add", "default", "via", "192.0.2.9")
        ip("link", "add", "lab", "type", "bridge")
        ip("link", "set", "c0", "master", "lab")
        subprocess.run(["tc", "-n", NAME, "qdisc", "add", "dev", "d0", "root", "handle", "7:", "pfifo"], check=True)
        yield
    finally:
        subprocess.run(["ip", "netns", "delete", NAME], check=True)


@pytest.mark.usefixtures("host")
def test_what_the_host_needs_itself_is_not_lent() -> None:
    with in_netns(NAME):
        listener = socket.create_server(("192.0.2.17", 0))
        mine = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
        with listener, mine, other:
            assert "a default route leads out by it" in nic_lease.why_not("a0")
            assert "a connection of this host is on it (to its address 192.0.2.17)" in nic_lease.why_not("b0")
            assert "part of another interface" in nic_lease.why_not("c0")
            assert "queueing discipline of somebody's" in nic_lease.why_not("d0")
            assert nic_lease.why_not("e0") == ""
            assert "what this host is reached by" in nic_lease.why_not("lo")
            assert "there is no such interface; there are: lo, " in nic_lease.why_not("z0")
        ip("address", "flush", "dev", "a0")
        assert nic_lease.why_not("e0") == nic_lease.why_not("e0", ["e1"]) == ""
        assert nic_lease.why_not("e0", ["b0"]) == "this host has no address elsewhere"
        ip("address", "flush", "dev", "b0")
        assert nic_lease.why_not("e0") == "this host has no address elsewhere"


@pytest.mark.usefixtures("host")
def test_a_device_that_cannot_be_moved_stays_as_it_is(tmp_path: Path) -> None:
    before, inside = seen("lab"), f"{NAME}-run"
    subprocess.run(["ip", "netns", "add", inside], check=True)
    try:
        refused = pytest.raises(MissingError, match="stays in the namespace in which it was made")
        with in_netns(NAME), open_journal(tmp_path) as journal, refused, nic_lease.lend("lab", inside, journal):
            pass
    finally:
        subprocess.run(["ip", "netns", "delete", inside], check=True)
    assert seen("lab") == before


# What a decoder may lose on the way: attributes that few use.
BESIDE = """\
address add 192.0.2.70 peer 192.0.2.71/32 dev e0
address add 198.51.100.1/24 dev e0 noprefixroute metric 50
address add 192.0.2.73/28 dev e0 label e0:x
route add 203.0.113.0/24 via 192.0.2.34 dev e0 metric 7 mtu lock 1400 initcwnd 20
route add 203.0.114.0/24 dev e0 src 192.0.2.33 table 70000 tos 8
route add 10.10.0.0/16 via 172.16.0.1 dev e0 onlink proto 99
route add 10.11.0.0/16 dev e0 congctl cubic fastopen_no_cookie 1
-6 address add 2001:db8::1/64 dev e0 nodad
-6 route add 2001:db8:1::/48 via 2001:db8::2 dev e0 pref high metric 5
"""


def seen(device: str = "e0") -> str:
    """The device, its addresses and routes, without the time that addresses have left."""
    shown = [("-d", "link"), ("-d", "address"), ("-d", "route", "show", "table", "all"), ("-d", "-6", "route")]
    texts = []
    for *words, last in [(*words, "dev") for words in shown]:
        done = subprocess.run(
            ["ip", "-n", NAME, *words, *(() if "show" in words else ("show",)), last, device],
            check=True,
            capture_output=True,
            text=True,
        )
        texts += [line for line in done.stdout.splitlines() if "valid_lft" not in line]
    return "\n".join(texts)


@pytest.mark.usefixtures("host")
def test_a_lent_interface_comes_back_as_it_was(tmp_path: Path) -> None:
    for line in BESIDE.splitlines():
        ip(*line.split())
    ip("link", "set", "e0", "mtu", "1480")
    before, inside = seen(), f"{NAME}-run"
    subprocess.run(["ip", "netns", "add", inside], check=True)
    try:
        with in_netns(NAME), open_journal(tmp_path) as journal, nic_lease.lend("e0", inside, journal) as number:
            assert "e0" not in [device for _, device in socket.if_nameindex()]
            with in_netns(inside):
                assert socket.if_indextoname(number) == "e0"
                subprocess.run(["ip", "link", "set", "e0", "mtu", "1300", "up"], check=True)
    finally:
        subprocess.run(["ip", "netns", "delete", inside], check=True)
    assert seen() == before


@pytest.mark.usefixtures("host")
def test_a_refusal_says_what_was_attempted_in_the_kernels_words() -> None:
    with in_netns(NAME), iproute() as ipr, pytest.raises(NetlinkError) as refused:
        ipr.set_link("set the MTU of e0", ipr.interfaces()["e0"].ifindex, mtu=70_000)
    assert refused.value.errno == errno.EINVAL
    assert str(refused.value) == "set the MTU of e0: Invalid argument (mtu greater than device maximum)"


BORROWER = """
import sys, time
from pathlib import Path
from harness.kernel import nic_lease
from harness.kernel.journal import clean, open_journal
from harness.kernel.netns import in_netns
with in_netns(sys.argv[1]), open_journal(Path(sys.argv[2])) as journal, nic_lease.lend("e0", sys.argv[3], journal):
    print("lent", flush=True)
    time.sleep(600)
"""


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("anew", [False, True], ids=["still-there", "another-by-its-name"])
def test_what_a_killed_borrower_had_is_put_back_unless_it_is_another(tmp_path: Path, anew: bool) -> None:
    inside = f"{NAME}-run"
    subprocess.run(["ip", "netns", "add", inside], check=True)
    try:
        words = [sys.executable, "-c", BORROWER, NAME, str(tmp_path), inside]
        with subprocess.Popen(words, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as borrower:
            assert borrower.stdout is not None and borrower.stdout.readline() == b"lent\n"
            borrower.kill()
        if anew:
            subprocess.run(["ip", "-n", inside, "link", "del", "e0"], check=True)
            ip("link", "add", "e0", "type", "veth", "peer", "name", "e1")
            ip("address", "add", "192.0.2.200/28", "dev", "e0")
        with in_netns(NAME):
            (act,) = clean(state=tmp_path)
            addresses = subprocess.run(
                ["ip", "address", "show", "dev", "e0"], check=True, capture_output=True, text=True
            )
    finally:
        subprocess.run(["ip", "netns", "delete", inside], check=True)
    assert (act.action, act.subject) == ("left" if anew else "restored", "e0")
    assert ("192.0.2.200" in addresses.stdout, "192.0.2.33" in addresses.stdout) == (anew, not anew)


TOPOLOGY = {"nic": "physical", "devices": ["e0", "e1"], "mtu": 1400, "shape": {"rate": "100mbit"}}


@pytest.mark.usefixtures("host")
def test_a_link_of_two_interfaces_of_the_host() -> None:
    """Shaped, busy-polled and known to each other as any link, and afterwards as they were."""
    before = seen("e0"), seen("e1")
    with in_netns(NAME), bed(pair(**TOPOLOGY), napi=True) as testbed:
        greet(testbed, "a", "b", 1300)
        (port,) = testbed.nodes["a"].ports
        (link,) = json.loads(run_in(testbed.nodes["a"], "ip", "-j", "link", "show", "e0"))
        assert (link["mtu"], link["ifindex"], link["qdisc"]) == (1400, port.ifindex, "htb")
        assert link["address"].replace(":", "") == port.mac.hex()
        assert "PERMANENT" in run_in(testbed.nodes["a"], "ip", "neigh")
        assert testbed.columns == {"a": {"interface": "e0 (veth)"}, "b": {"interface": "e1 (veth)"}}
        assert {(row.node, row.device) for row in testbed.qdiscs} == {("a", "e0"), ("b", "e1")}
    assert (seen("e0"), seen("e1")) == before


@pytest.mark.usefixtures("host")
def test_a_killed_run_gives_its_interfaces_back_by_clean(tmp_path: Path) -> None:
    before = seen("e0"), seen("e1")
    link = {"between": ["client", "server"], "nic": "physical", "devices": ["e0", "e1"]}
    topology = experiment.document()["topology"] | {"links": [link]}
    workload = experiment.document()["workload"] | {"duration": "30s"}
    file = experiment.write(tmp_path, topology=topology, workload=workload)
    with command.start("run", file, "-o", tmp_path / "results", netns=NAME) as process:
        deadline = time.monotonic() + command.HANGS_AFTER_S
        while len(subprocess.run(["ip", "-n", NAME, "link"], capture_output=True, text=True).stdout.split("@e")) > 1:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.communicate()
    done = command.run("clean", netns=NAME)
    assert done.returncode == 0, done.stderr
    assert (seen("e0"), seen("e1")) == before
