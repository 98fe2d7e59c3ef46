"""Real testbeds: what was declared is there, seen by other programs; afterwards nothing is."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness.errors import MissingError, PollbenchError
from harness.kernel import ethtool, links, netdev, netns
from harness.kernel.journal import open_journal
from harness.kernel.links import link_stats
from harness.kernel.netns import in_netns, sysfs_of
from harness.kernel.probe import probe_qdiscs
from harness.kernel.readback import qdisc_dump
from harness.spec.topology import Topology
from harness.testbed import open_testbed
from tests.beds import bed, chain, greet, pair, run_in, topology


def left(token: str) -> list[str]:
    """The namespaces and mounts of one testbed that are there now; other runs on this host are none of ours."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [name for name in [*netns.names(), *mounts] if token in name]


def fails(of: Topology, kind: type[BaseException], told: str | None = None, napi: bool = False) -> None:
    """Building raises, and leaves neither namespace, nor descriptor, nor this thread elsewhere.

    Looked at before the journal closes, which would remove what the testbed has forgotten.
    """
    with open_journal() as journal:
        before = (descriptors(), os.readlink("/proc/thread-self/ns/net"))
        with pytest.raises(kind, match=told), open_testbed(of, napi=napi, journal=journal):
            pass
        assert (descriptors(), os.readlink("/proc/thread-self/ns/net")) == before
        assert left(journal.token) == []


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("napi", [False, True])
def test_a_pair_talks_at_once(family: str, napi: bool) -> None:
    with bed(pair(family=family), napi=napi) as testbed:
        greet(testbed, "a", "b")
        greet(testbed, "b", "a")
        assert f"pb-{testbed.token}-a" in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout
    assert left(testbed.token) == []


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_chains_forward(family: str) -> None:
    with bed(chain("a", "r1", "r2", "b", family=family)) as testbed:
        greet(testbed, "a", "b")
        greet(testbed, "b", "a")
        greet(testbed, "a", "r2")
        forwarded = link_stats(testbed.nodes["r1"].fd)["eth1"]
        assert forwarded["tx_packets"] >= 2


def test_a_host_does_not_forward() -> None:
    declared = chain("a", "r", "b").model_dump(by_alias=True, exclude_none=True)
    declared["nodes"]["r"] = {"forwarding": "off"}
    declared["links"] = [{"between": list(link["between"])} for link in declared["links"]]
    with bed(Topology.model_validate(declared)) as testbed:
        for name in ("a", "b"):
            greet(testbed, name, "r")
        assert run_in(testbed.nodes["r"], "sysctl", "-n", "net.ipv4.ip_forward").strip() == "0"


def test_declared_addresses_mtu_and_queues() -> None:
    with bed(pair(addresses=["10.9.8.1/30", "10.9.8.2/30"], mtu=9000, queues=2)) as testbed:
        for node, address in (("a", "10.9.8.1"), ("b", "10.9.8.2")):
            handle = testbed.nodes[node]
            (port,) = handle.ports
            (told,) = json.loads(run_in(handle, "ip", "-j", "addr", "show", "dev", port.device))
            assert (told["mtu"], told["ifindex"]) == (9000, port.ifindex)
            assert told["addr_info"][0]["local"] == str(port.interface.ip) == address
            assert told["addr_info"][0]["prefixlen"] == port.interface.network.prefixlen == 30
            with sysfs_of(handle.fd) as sysfs:
                assert sysfs.list(f"class/net/{port.device}/queues") == ["rx-0", "rx-1", "tx-0", "tx-1"]
        greet(testbed, "a", "b", size=8900)
        assert link_stats(testbed.nodes["b"].fd)["eth0"]["rx_packets"] == 1, "in one piece"


@pytest.mark.parametrize("queues", [1, 2, 4])
def test_napi_is_there_in_both_directions(queues: int) -> None:
    with bed(pair(queues=queues), napi=True) as testbed:
        for handle in testbed.nodes.values():
            with in_netns(handle.fd):
                assert len(netdev.napi_get(handle.ports[0].ifindex)) == queues
                found = ethtool.features("eth0")
            assert found["rx-gro"].active
            assert not any(found[name].active for name in ethtool.SHORT_NAMES["tso"])


def test_a_plain_link_has_none() -> None:
    with bed(pair()) as testbed, in_netns(testbed.nodes["a"].fd):
        assert netdev.napi_get() == []


def test_napi_that_does_not_come_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {**ethtool.VETH_NAPI_FEATURES, "rx-gro": False}
    monkeypatch.setattr(ethtool, "VETH_NAPI_FEATURES", wanted)
    fails(pair(), PollbenchError, "no NAPI", napi=True)


def test_several_links_per_node_and_a_node_with_none() -> None:
    both: list[dict[str, Any]] = [{"between": ["a", "b"]}, {"between": ["a", "b"], "mtu": 1400}]
    with bed(topology(*both, alone={})) as testbed:
        assert [port.device for port in testbed.nodes["a"].ports] == ["eth0", "eth1"]
        assert testbed.nodes["alone"].ports == ()
        greet(testbed, "a", "b")
        for link in (0, 1):
            far = testbed.nodes["b"].ports[link]
            assert (far.peer_node, far.link, far.end) == ("a", link, 1)


def test_no_packet_but_ours_is_on_the_wire() -> None:
    """Neither ARP nor router solicitation, so that a measured packet never waits behind one."""
    with bed(pair()) as testbed:
        time.sleep(0.3)
        assert link_stats(testbed.nodes["a"].netns)["eth0"]["rx_packets"] == 0
        greet(testbed, "a", "b")
        assert link_stats(testbed.nodes["a"].netns_path)["eth0"]["rx_packets"] == 1


def test_a_missing_qdisc_leaves_nothing() -> None:
    if probe_qdiscs()["netem"] == "":
        pytest.skip("this kernel has netem")
    fails(pair(shape={"delay": "1ms"}), MissingError, r"CONFIG_NET_SCH_NETEM.*sch_netem")


STEPS = ("new_pair", "link_up", "new_address", "new_neighbour")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [OSError(errno.ENOMEM, "no memory"), KeyboardInterrupt()])
def test_half_made_is_unmade(step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = getattr(links, step)

    def failing(*arguments: Any) -> Any:
        calls.append(step)
        if len(calls) == 2:
            raise error
        return real(*arguments)

    monkeypatch.setattr(links, step, failing)
    kind = PollbenchError if isinstance(error, OSError) else KeyboardInterrupt
    fails(chain("a", "r", "b"), kind)


def test_an_exception_in_the_block_passes_through_and_leaves_nothing() -> None:
    with open_journal() as journal:
        with pytest.raises(ZeroDivisionError), open_testbed(pair(), napi=False, journal=journal):
            raise ZeroDivisionError
        assert left(journal.token) == []


def test_a_name_that_is_taken_is_refused_and_stays() -> None:
    with open_journal() as journal:
        taken = f"pb-{journal.token}-b"
        os.close(netns.create(taken))
        try:
            with pytest.raises(PollbenchError, match="exists"), open_testbed(pair(), napi=False, journal=journal):
                pass
            assert taken in netns.names()
        finally:
            netns.remove(taken)


def test_removal_of_what_is_gone_is_fine() -> None:
    with bed(pair()) as testbed:
        subprocess.run(["ip", "netns", "del", testbed.nodes["a"].netns], check=True)
    assert left(testbed.token) == []


def test_fifty_rounds_leak_nothing() -> None:
    with open_journal() as journal:
        # Once first, for what is opened once and kept.
        with open_testbed(pair(shape={"rate": "1gbit"}), napi=True, journal=journal):
            pass
        before = descriptors()
        for _ in range(50):
            with open_testbed(pair(shape={"rate": "1gbit"}), napi=True, journal=journal):
                pass
        assert descriptors() == before
        assert left(journal.token) == []


def test_thirty_ipv6_chains_lose_no_first_packet() -> None:
    """IPv6 takes addresses into use a little after they are given: three in a hundred first packets were lost."""
    for _ in range(30):
        with bed(chain("a", "r", "b", family="ipv6")) as testbed:
            greet(testbed, "a", "b")
            greet(testbed, "b", "r")


def test_namespaces_really_die() -> None:
    """The kernel drops the number by which we watch a namespace only when it frees it."""
    with bed(pair(), napi=True) as testbed:
        number = 70_000 + os.getpid() % 10_000
        subprocess.run(["ip", "netns", "set", testbed.nodes["a"].netns, str(number)], check=True)
        assert f"nsid {number} " in watched()
    deadline = time.monotonic() + 10
    while f"nsid {number} " in watched():
        assert time.monotonic() < deadline, "something holds the namespace"
        time.sleep(0.05)


def watched() -> str:
    """The numbered namespaces, as iproute2 lists them."""
    return subprocess.run(["ip", "netns", "list-id"], capture_output=True, text=True, check=True).stdout


def test_statistics_are_those_that_iproute2_shows() -> None:
    with bed(pair(shape={"rate": "1gbit", "method": "tbf"})) as testbed:
        greet(testbed, "a", "b")
        node = testbed.nodes["a"]
        (told,) = json.loads(run_in(node, "ip", "-j", "-s", "link", "show", "dev", "eth0"))
        mine = link_stats(node.fd)["eth0"]
        assert mine["rx_bytes"] == told["stats64"]["rx"]["bytes"] > 0
        assert mine["tx_dropped"] == told["stats64"]["tx"]["dropped"]
        (root,) = (state for state in qdisc_dump(node.fd) if state.kind == "tbf")
        (shown,) = (each for each in json.loads(run_in(node, "tc", "-j", "-s", "qdisc")) if each["kind"] == "tbf")
        assert (root.statistics["packets"], root.statistics["bytes"]) == (shown["packets"], shown["bytes"])
