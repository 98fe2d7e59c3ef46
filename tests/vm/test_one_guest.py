"""What only a guest has: NICs with queues and interrupts, links by netem, control groups of its own.

In one guest, which has NICs of every model: its start takes longer than all these runs.
"""

from __future__ import annotations

from typing import Any

import pytest

from harness.places.vm.emulator import find_emulator
from harness.places.vm.home import Home
from harness.spec.links import LINK_KINDS, DevicePair, Overlay
from harness.spec.trace_file import packed
from harness.store import ResultSet, RunRecord
from tests import experiment
from tests.vm.conftest import vm_run

WORKLOAD = experiment.document()["workload"]
PINNED = {"client": {"irq_affinity": {"cpus": "0"}}, "server": {"irq_affinity": {"cpus": "1"}}}
ISOLATED = {"server": {"cgroup": {"partition": "isolated", "cpus": "1"}}}
SECOND: dict[str, dict[str, Any]] = {"channels": {"combined": 2}, "rss": {"weights": [0, 1]}}


def over(**link: Any) -> dict[str, Any]:
    """Two nodes with a CPU each, and this link."""
    nodes = {"client": {"cpus": "0"}, "server": {"cpus": "1"}}
    return {"nodes": nodes, "links": [{"between": ["client", "server"], **link}]}


def on(nic: str, **knobs: dict[str, Any]) -> dict[str, Any]:
    """A case over a pair of these NICs, interrupts on their nodes' CPUs, with these knobs at both ends."""
    settings: dict[str, Any] = PINNED | ({"*": knobs} if knobs else {})
    return {"topology": over(nic=nic), "settings": settings}


def rows_of(record: Any, knob: str) -> list[tuple[Any, Any]]:
    return [(row.requested, row.applied) for row in record.knobs if row.knob == knob]


QUEUES = {
    "igb-queues": on("igb", **SECOND, ethtool_coalesce={"rx-usecs": 20}, threaded_napi={"mode": "on"}),
    "polled": on("igb", channels={"combined": 2}, rss={"equal": 2}, busy_poll={"usecs": 500}),
    "vmxnet3": on("vmxnet3"),
    "vmxnet3-again": on("vmxnet3") | {"workload": WORKLOAD | {"size": "65B"}},
    "too-many": on("igb", channels={"combined": 64}),
    "one-queue": on("virtio-net", channels={"combined": 2}),
    "no-usecs": on("virtio-net", ethtool_coalesce={"rx-usecs": 20}),
}
GUEST = {
    "nic": on("e1000e", ethtool_coalesce={"rx-usecs": 500}),
    "netem": {"topology": over(shape={"delay": "5ms"})},
    "quota": {"settings": {"server": {"cgroup": {"quota": "50ms"}}}},
    "isolated": {"settings": ISOLATED},
    "hogs": {"contention": {"on": "server.cpus", "cgroup": {"quota": "10ms", "period": "50ms"}}},
}
# What is on top of a wire, as far as the guest's kernel has it.
ON_TOP = [kind for kind in LINK_KINDS.values() if isinstance(kind, DevicePair | Overlay) and kind.name != "veth"]
POLLED = {"settings": {"*": {"busy_poll": {"usecs": 1000}}}}
KINDS = {kind.name: {"topology": over(nic=kind.name)} | POLLED for kind in ON_TOP}
PING = {"kind": "ping-pong", "from": "client", "to": "server", "protocol": "udp", "warmup": "200ms"}
PING |= {"duration": "600ms", "timeout": "10s"}
BULK = {"kind": "iperf3", "from": "client", "to": "server", "duration": "600ms"}
LOADED = [PING | {"size": "64B", "warmup": "1s"}, BULK]
LINKS: dict[str, Any] = {
    # A packet of 1,442 bytes with its headers takes 11.5 ms either way.
    "slow": {"topology": over(shape={"rate": "1mbit"}), "workload": PING | {"size": "1400B"}},
    # 50 ms of queue, 2 of delay.
    "queue": {"topology": over(shape={"rate": "10mbit", "queue": "50ms", "delay": "1ms"}), "workloads": LOADED},
    "bucket": {
        "topology": over(shape={"rate": "10mbit", "queue": "50ms", "delay": "1ms", "method": "htb"}),
        "workloads": LOADED,
    },
    # What a kernel lets stand beside what.
    "twice": {"topology": over(shape={"rate": "10mbit", "delay": "2ms", "duplicate": "20%"}), "workload": PING},
    "order": {
        "topology": over(shape={"rate": "100mbit", "delay": "2ms", "jitter": "1ms", "keep_order": "on"}),
        "workload": PING,
    },
    "jitter": {"topology": over(shape={"rate": "100mbit", "delay": "2ms", "jitter": "1ms"}), "workload": PING},
    # Held back until their departure time, and let go of late by no more than timers are.
    "txtime": {
        "topology": over(forward={"qdisc": {"kind": "fq"}}),
        "workload": PING | {"kind": "load", "size": "64B", "txtime": "5ms"},
    },
    "leaf": {
        "topology": over(shape={"rate": "10mbit", "delay": "2ms", "qdisc": {"kind": "fq_codel"}}),
        "workload": PING,
    },
    # What comes by chance, of all kinds; a request that is lost is soon sent again.
    "chance": {
        "topology": over(
            forward={
                "delay": "5ms",
                "jitter": "1ms",
                "distribution": "normal",
                "seed": 7,
                "corrupt": "5%",
                "gilbert_elliott": {"to_bad": "2%", "to_good": "30%"},
                "correlation": {"delay": "10%"},
            },
            reverse={"delay": "5ms", "reorder": "30%", "gap": 3, "four_states": {"p13": "2%", "p31": "30%"}},
        ),
        "workload": PING | {"timeout": "30ms"},
    },
    "slots": {"topology": over(forward={"slots": {"least": "10ms", "packets": 20}}), "workload": PING},
    # Its queue is looked into, and its packets are kept, while it changes by netem as well.
    "changing": {
        "topology": over(
            forward={"rate": "10mbit", "queue_packets": 30, "changes": {"steps": [{"at": "200ms", "delay": "3ms"}]}},
            pcap={},
            queue_series="2ms",
        ),
        # Long enough for some quantile of what comes late, where the guest hardly has a CPU.
        "workload": PING | {"size": "64B", "duration": "2s"},
    },
    # Whatever is sent waits for the next of its slots.
    "trace": {
        "topology": over(forward={"rate": "10mbit", "changes": {"trace": "t", "trace_data": packed("10\n")}}),
        "workload": PING | {"size": "64B"},
    },
    # Per frame: as many drops as TCP has to send again, not one for each 40.
    "loss": {
        "topology": {**over(), "links": [{"between": ["client", "server"], "forward": {"loss": "2%"}}]},
        "workload": BULK,
    },
}


@pytest.fixture(scope="module")
def made(home: Home, tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    """The runs of all cases."""
    directory = tmp_path_factory.mktemp("one-guest")
    quick = {case: {"workload": WORKLOAD} | changes for case, changes in (QUEUES | GUEST | KINDS).items()}
    cases = quick | LINKS
    # Nobody comes back to this machine: to save it would take longer.
    _, _, err = vm_run(experiment.write(directory, cases=cases, workload=None), directory, "--snapshots", "no")
    made = ResultSet.latest(directory, "small")
    assert made is not None, err
    assert len(made.finished()) == len(cases), err
    return made


@pytest.fixture(scope="module")
def records(made: ResultSet) -> dict[str, Any]:
    """By case."""
    return {record.case: record for record in made.records()}


def test_its_host_is_set_by_profile(made: ResultSet) -> None:
    (guest,) = made.manifest["guests"]
    states = {row["name"]: row["state"] for row in guest["found"]["host"]}
    assert states["huge_pages"] in ("changed", "ok")
    assert states["cpu_governor"] == "not applicable"
    assert "failed" not in states.values()


def test_nics_and_control_groups(records: dict[str, Any]) -> None:
    """NICs with interrupts and settings, netem, control groups."""
    assert records["nic"].verdict == "valid", records["nic"].reasons
    affinity = [row for row in records["nic"].knobs if row.knob == "irq_affinity"]
    assert affinity
    assert all(row.took_effect and row.applied == row.requested for row in affinity)
    assert records["nic"].metrics["nic_irqs_per_packet"] > 0
    assert rows_of(records["nic"], "ethtool_coalesce") == [(500, 500)] * 2
    assert records["netem"].metrics["rtt_min_us"] >= 10_000
    # By how much late packets come is the host's noise here: an emulated CPU in real time.
    assert {row.check for row in records["netem"].link_checks} == {"delay"}
    assert records["quota"].verdict == "valid", records["quota"].reasons
    isolated = {row.setting: row for row in records["isolated"].knobs}
    assert isolated["cpuset.cpus.partition"].applied == "isolated"
    assert "its processes may run on CPU 1" in isolated["cpuset.cpus"].evidence
    (hogs,) = records["hogs"].knobs
    assert (hogs.node, hogs.applied, hogs.took_effect) == ("hogs+", "10000 50000", True), hogs
    assert hogs.evidence.split("throttled in ")[1][0] != "0"


@pytest.mark.parametrize("kind", ON_TOP, ids=lambda kind: kind.name)
def test_what_is_on_top_of_a_wire(records: dict[str, Any], kind: DevicePair | Overlay) -> None:
    record = records[kind.name]
    if record.verdict == "skipped":
        assert kind.name == "netkit", record.reasons
        pytest.skip("; ".join(record.reasons))
    assert record.verdict == ("valid" if kind.napi else "inert"), record.reasons
    assert (record.metrics["server_polled_percent"] > 0) == kind.napi


def test_queues_and_their_flows(home: Home, records: dict[str, Any]) -> None:
    """What drivers take is read back, what they lack is a skip with its reason."""
    if lack := find_emulator(home).lacks_nic("igb"):
        pytest.skip(lack)
    for case in ("igb-queues", "polled", "vmxnet3", "vmxnet3-again"):
        assert records[case].verdict == "valid", records[case].reasons
    for case in ("igb-queues", "polled"):
        assert rows_of(records[case], "channels") == [(2, 2), (2, 2)]
    assert len(rows_of(records["igb-queues"], "threaded_napi")) == 2
    assert rows_of(records["igb-queues"], "rss") == [([0, 1], [0, 1])] * 2
    assert rows_of(records["igb-queues"], "ethtool_coalesce") == [(20, 20)] * 2
    assert all(row.took_effect for row in records["igb-queues"].knobs if row.knob == "irq_affinity")
    assert records["igb-queues"].metrics["nic_irqs_per_packet"] > 0
    assert rows_of(records["polled"], "rss") == [(2, 2)] * 2
    assert records["polled"].metrics["server_polled_percent"] > 50
    skipped = {case: records[case].reasons[0] for case in ("too-many", "one-queue", "no-usecs")}
    assert "the device has at most 8 combined channels" in skipped["too-many"]
    assert "the device has at most 1 combined channels" in skipped["one-queue"]
    assert "Operation not supported" in skipped["no-usecs"]


def figure(record: RunRecord, name: str) -> float:
    value = record.metrics[name]
    assert value is not None
    return value


def test_declared_links_are_what_packets_see(records: dict[str, Any]) -> None:
    made = {case: records[case] for case in LINKS}
    assert not [record.reasons for record in made.values() if record.verdict in ("failed", "skipped")]
    # The kernel's stamp as the device takes a request, and the whole round trip, which holds the wait: never early.
    assert figure(made["txtime"], "txtime_held_percent") > 99 and figure(made["txtime"], "txtime_late_p50_us") > 0
    assert figure(made["txtime"], "rtt_min_us") > 4990 and made["txtime"].verdict != "inert"
    # An emulated CPU in real time makes packets late, and never early.
    assert figure(made["slow"], "rtt_min_us") >= 2 * 11_530
    rows = {case: {row.check: row for row in made[case].link_checks} for case in LINKS}
    assert rows["order"]["order"].ok is True and rows["jitter"]["order"].ok is None
    assert rows["slow"]["single"].ok is not False
    assert rows["queue"]["queue"].measured.endswith("dropped")
    kinds = {case: [row.read_back["kind"] for row in made[case].qdiscs if row.node == "client"] for case in LINKS}
    assert kinds["queue"] == ["netem", "netem"] and kinds["bucket"] == ["netem", "htb", "bfifo"]
    assert kinds["twice"] == ["netem"] and kinds["leaf"] == ["netem", "htb", "fq_codel"]
    chance = {(row.link, row.check): row for row in made["chance"].link_checks}
    assert {"corrupt", "loss", "delay", "jitter"} <= {check for link, check in chance if link == "client -> server"}
    assert {"bursts", "loss", "reorder"} <= {check for link, check in chance if link == "server -> client"}
    assert not [row.reason for row in chance.values() if row.check not in ("delay", "jitter") and row.ok is False]
    (of_netem,) = [row.read_back for row in made["chance"].qdiscs if row.node == "client"]
    assert (of_netem["seed"], of_netem["to_good"]) == (7, pytest.approx(0.3))
    assert set(rows["slots"]) == {"slots"}
    early, late = made["changing"].phases
    assert early.p50_us is not None and late.p50_us is not None and late.p50_us > early.p50_us + 2900
    (series,) = made["changing"].queues
    assert series.link == "client -> server" and sum(series.drops) == 0
    # However few requests a busy host lets come of its 0.6 s: each that was answered had a slot.
    assert figure(made["trace"], "link_slots") >= figure(made["trace"], "requests") > 0
    assert figure(made["trace"], "rtt_p50_us") > 8000
    drops, again = (made["loss"].nodes["client"][name] for name in ("qdisc_drops", "retransmits"))
    assert isinstance(drops, int | float) and isinstance(again, int | float)
    assert drops > 0.5 * again > 0
