"""Links of a kernel that has netem, as programs in guests see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.places.vm.home import Home
from harness.store import ResultSet, RunRecord
from tests import experiment
from tests.vm.conftest import vm_run


def between(**shape: Any) -> dict[str, Any]:
    nodes = {"client": {"cpus": "0"}, "server": {"cpus": "1"}}
    return {"nodes": nodes, "links": [{"between": ["client", "server"], "shape": shape}]}


def figure(record: RunRecord, name: str) -> float:
    value = record.metrics[name]
    assert value is not None
    return value


def test_declared_links_are_what_packets_see(home: Home, results: Path, tmp_path: Path) -> None:
    ping = {"kind": "ping-pong", "from": "client", "to": "server", "protocol": "udp", "warmup": "200ms"}
    ping |= {"duration": "600ms", "timeout": "10s"}
    bulk = {"kind": "iperf3", "from": "client", "to": "server", "duration": "600ms"}
    loaded = [ping | {"size": "64B", "warmup": "1s"}, bulk]
    cases: dict[str, Any] = {
        # A packet of 1,442 bytes with its headers takes 11.5 ms either way.
        "slow": {"topology": between(rate="1mbit"), "workload": ping | {"size": "1400B"}},
        # 50 ms of queue, 2 of delay.
        "queue": {"topology": between(rate="10mbit", queue="50ms", delay="1ms"), "workloads": loaded},
        "bucket": {"topology": between(rate="10mbit", queue="50ms", delay="1ms", method="htb"), "workloads": loaded},
        # What a kernel lets stand beside what.
        "twice": {"topology": between(rate="10mbit", delay="2ms", duplicate="20%"), "workload": ping},
        "order": {"topology": between(rate="100mbit", delay="2ms", jitter="1ms", keep_order="on"), "workload": ping},
        "jitter": {"topology": between(rate="100mbit", delay="2ms", jitter="1ms"), "workload": ping},
        "leaf": {"topology": between(rate="10mbit", delay="2ms", qdisc={"kind": "fq_codel"}), "workload": ping},
        # Per frame: as many drops as TCP has to send again, not one for each 40.
        "loss": {
            "topology": {**between(), "links": [{"between": ["client", "server"], "forward": {"loss": "2%"}}]},
            "workload": bulk,
        },
    }
    file = experiment.write(tmp_path, cases=cases, workload=None)
    _, out, err = vm_run(file, results)
    found = ResultSet.latest(results, "small")
    assert found is not None, err
    made = {record.case: record for record in found.records()}
    assert made.keys() == cases.keys()
    assert not [record.reasons for record in made.values() if record.verdict in ("failed", "skipped")], out
    # An emulated CPU in real time makes packets late, and never early.
    assert figure(made["slow"], "rtt_min_us") >= 2 * 11_530
    rows = {case: {row.check: row for row in made[case].link_checks} for case in cases}
    assert rows["order"]["order"].ok is True and rows["jitter"]["order"].ok is None
    assert rows["slow"]["single"].ok is not False
    assert rows["queue"]["queue"].measured.endswith("dropped")
    kinds = {case: [row.read_back["kind"] for row in made[case].qdiscs if row.node == "client"] for case in cases}
    assert kinds["queue"] == ["netem", "netem"] and kinds["bucket"] == ["netem", "htb", "bfifo"]
    assert kinds["twice"] == ["netem"] and kinds["leaf"] == ["netem", "htb", "fq_codel"]
    drops, again = (made["loss"].nodes["client"][name] for name in ("qdisc_drops", "retransmits"))
    assert isinstance(drops, int | float) and isinstance(again, int | float)
    assert drops > 0.5 * again > 0
