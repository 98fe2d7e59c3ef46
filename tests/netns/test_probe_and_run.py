"""What doctor's probe says of a setting is what a run meets, for every setting: both make the same call."""

from __future__ import annotations

import os
import select
import socket
import threading
from functools import cache
from typing import Any

import pytest

from harness.errors import MissingError
from harness.kernel import ifstate, netdev, probe
from harness.kernel.links import link_stats
from harness.kernel.netns import in_netns
from harness.knobs import KNOBS
from harness.run.knobs import NodeApplier, device_napis
from harness.run.socket_options import SocketOptions
from tests import beds
from tools.interplay import SAMPLES

DEFERRAL = {"napi_defer_hard_irqs": 1, "gro_flush_timeout": "20us"}
MORE: list[tuple[str, dict[str, Any]]] = [
    ("busy_poll", {"prefer": True, "budget": 64}),
    ("coalesce", {**DEFERRAL, "per": "napi"}),
    ("coalesce", {**DEFERRAL, "per": "napi", "queues": "0"}),
    ("offloads", {"gso_max_segs": 1, "gso_max_size": 30000, "gro_max_size": 32000}),
    ("offloads", {"gso_ipv4_max_size": 150_000, "gro_ipv4_max_size": 150_000}),
    ("coalesce", {"irq_suspend_timeout": "20ms"}),
    ("threaded_napi", {"mode": "busy-poll"}),
    ("threaded_napi", {"mode": "busy-poll", "queues": "0"}),
    ("threaded_napi", {"mode": "on", "queues": "0", "cpus": "0"}),
]
TRIED = [
    (name, fields)
    for name, fields in [*SAMPLES.items(), *MORE]
    if KNOBS[name].scope in ("device", "socket") and KNOBS[name](**fields).capabilities()
]
# What is no setting of a device or a socket, and what a link's kind or the workload's socket decides.
NOT_HERE = {"af-xdp", "netns", "veth", "ipv6", "veth-napi", "busy-poll-by-anybody", "cgroup-cpu", "cgroup-cpuset"}
NOT_HERE |= {"cpu-latency", "netem-seed"}


@cache
def probed() -> dict[str, str]:
    return probe.probe()


@pytest.mark.parametrize(("name", "fields"), TRIED, ids=[f"{name}-{'-'.join(fields)}" for name, fields in TRIED])
def test_the_probe_and_the_run_agree(name: str, fields: dict[str, Any]) -> None:
    knob = KNOBS[name](**fields)
    lacks = [f"{key}: {probed()[key]}" for key in knob.capabilities() if probed()[key]]
    with beds.bed(beds.pair(), napi=True) as bed:
        try:
            if knob.scope == "device":
                rows = NodeApplier(bed.nodes["a"]).apply({name: knob})
            else:
                treats = SocketOptions("a", {name: knob})
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM), select.epoll():
                    treats.sweep("me", [os.getpid()])
                    rows = treats.rows("me")
        except MissingError as error:
            assert lacks, f"the probe says yes, and the run: {error}"
        else:
            assert not lacks, f"the run did it, and the probe says no: {lacks}"
            assert rows and all(row.applied == row.requested for row in rows if row.applied is not None)


def test_every_capability_of_a_setting_is_walked() -> None:
    walked = {key for name, fields in TRIED for key in KNOBS[name](**fields).capabilities()}
    assert {capability.key for capability in probe.CAPABILITIES} == walked | NOT_HERE


def test_a_setting_of_one_queue_is_on_its_napi_alone() -> None:
    if probed()["napi-settings"] or (os.cpu_count() or 1) < 2:
        pytest.skip("needs Linux 6.13 and two CPUs")
    knob = KNOBS["coalesce"].model_validate({**DEFERRAL, "per": "napi", "queues": "1"})
    with beds.bed(beds.pair(queues=2), napi=True) as bed:
        node = bed.nodes["a"]
        (first, second) = NodeApplier(node).apply({"coalesce": knob})
        assert "defer_hard_irqs" in first.setting and "gro_flush_timeout" in second.setting
        with in_netns(node.fd):
            settings = [napi.defer_hard_irqs for napi in sorted(device_napis("eth0"), key=lambda napi: napi.napi_id)]
        assert settings == [0, 1]
        absent = KNOBS["coalesce"].model_validate({**DEFERRAL, "per": "napi", "queues": "7"})
        with pytest.raises(MissingError, match="no NAPI of receive queue 7"):
            NodeApplier(node).apply({"coalesce": absent})


def test_the_sizes_of_a_lent_interface_are_put_back() -> None:
    knob = KNOBS["offloads"].model_validate({"gso_max_segs": 1, "gro_max_size": 32000})
    with beds.bed(beds.pair()) as bed:
        node = bed.nodes["a"]
        with in_netns(node.fd):
            found = ifstate.capture("eth0")
        rows = NodeApplier(node).apply({"offloads": knob})
        assert [(row.found, row.applied) for row in rows] == [(65535, 1), (65536, 32000)]
        shown = beds.run_in(node, "ip", "-d", "link", "show", "eth0")
        assert "gso_max_segs 1 " in shown
        with in_netns(node.fd):
            assert ifstate.put_back(found) == []
        assert "gso_max_segs 65535 " in beds.run_in(node, "ip", "-d", "link", "show", "eth0")


@pytest.mark.parametrize("up", [True, False])
def test_what_a_napi_hands_on_to_the_next_does_not_stay(up: bool) -> None:
    """irq_suspend_timeout outlives the link's going down; of an interface that is lent it must not outlive the loan."""
    if probed()["irq-suspend"]:
        pytest.skip(f"irq-suspend: {probed()['irq-suspend']}")
    with beds.bed(beds.pair(), napi=True) as bed, in_netns(bed.nodes["a"].fd):
        beds.run_in(bed.nodes["a"], "ip", "link", "set", "eth0", "up" if up else "down")
        found = ifstate.capture("eth0")
        beds.run_in(bed.nodes["a"], "ip", "link", "set", "eth0", "up")
        netdev.napi_set(device_napis("eth0")[0].napi_id, irq_suspend_timeout=12345)
        beds.run_in(bed.nodes["a"], "ip", "link", "set", "eth0", "down")
        beds.run_in(bed.nodes["a"], "ip", "link", "set", "eth0", "up")
        assert device_napis("eth0")[0].irq_suspend_timeout == 12345
        assert ifstate.put_back(found) == []
        beds.run_in(bed.nodes["a"], "ip", "link", "set", "eth0", "up")
        assert device_napis("eth0")[0].irq_suspend_timeout == 0


@pytest.mark.parametrize("segments", [1, None])
def test_one_segment_a_packet_is_one_frame_a_packet(segments: int | None) -> None:
    """A million bytes over TCP: 691 frames, or a few tens of packets of up to 64 KiB."""
    with beds.bed(beds.pair()) as bed:
        if segments:
            NodeApplier(bed.nodes["a"]).apply(
                {"offloads": KNOBS["offloads"].model_validate({"gso_max_segs": segments})}
            )
        with in_netns(bed.nodes["b"].fd):
            listener = socket.create_server((bed.address("b", seen_from="a"), 0))
        with listener, in_netns(bed.nodes["a"].fd):
            sender = socket.create_connection(listener.getsockname(), timeout=30)
            with sender, listener.accept()[0] as receiver:
                receiver.settimeout(30)
                thread = threading.Thread(target=sender.sendall, args=(bytes(1_000_000),), daemon=True)
                thread.start()
                left = 1_000_000
                while left:
                    left -= len(receiver.recv(65536))
                thread.join()
        packets = link_stats(bed.nodes["a"].fd)["eth0"]["tx_packets"]
        assert packets >= 690 if segments else packets < 400


def test_queues_are_steered_as_the_files_of_the_namespace_say() -> None:
    fields: dict[str, dict[str, Any]] = {
        "xps": {"queues": ["0", "1"]},
        "rfs": {"flow_count": 1024},
        "rings": {"rx": 64},
    }
    knobs = {name: KNOBS[name](**given) for name, given in fields.items()}
    with beds.bed(beds.pair(queues=2)) as bed:
        rows = NodeApplier(bed.nodes["a"]).apply({"xps": knobs["xps"], "rfs": knobs["rfs"]})
        assert [(row.setting, row.found, row.applied) for row in rows] == [
            ("eth0 rx-0 rps_flow_cnt", 0, 1024),
            ("eth0 rx-1 rps_flow_cnt", 0, 1024),
            ("eth0 tx-0 xps_cpus", [], [0]),
            ("eth0 tx-1 xps_cpus", [], [1]),
        ]
        files = [
            f"/sys/class/net/eth0/queues/{name}" for name in ("tx-0/xps_cpus", "tx-1/xps_cpus", "rx-1/rps_flow_cnt")
        ]
        assert beds.run_in(bed.nodes["a"], "cat", *files).split() == ["1", "2", "1024"]
    with beds.bed(beds.pair()) as bed, pytest.raises(MissingError, match="one transmit queue, which all CPUs use"):
        NodeApplier(bed.nodes["a"]).apply({"xps": knobs["xps"]})
    with beds.bed(beds.pair()) as bed, pytest.raises(MissingError, match="set rx to 64 on a/eth0"):
        NodeApplier(bed.nodes["a"]).apply({"rings": knobs["rings"]})
