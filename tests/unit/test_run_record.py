"""The record of a run: made once from what was measured, written and read by one codec, older files included."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import MissingError, PollbenchError
from harness.run.contention import hog_cpus
from harness.run.measure import Measured, cpu_set
from harness.run.runner import make_run, polling_nodes
from harness.run.two_hosts import Ends, Far
from harness.signals import Stopper
from harness.spec.cells import CellSpec
from harness.store import SAMPLE_DTYPE, KnobRow, LinkCheck, QdiscRow, RunRecord, codec
from harness.store.record import DeclaredContention
from tests import experiment
from tests.unit.synthetic import record
from tests.unit.test_metrics import delta, host, outcome

POLL = {"busy_poll": {"usecs": 50}}


def spec_of(tmp_path: Path, **changes: Any) -> CellSpec:
    return experiment.plan(tmp_path, **changes).cells[0].spec


# -- made ---------------------------------------------------------------------------------------------------


def made(tmp_path: Path, measured: Measured | PollbenchError, **changes: Any) -> RunRecord:
    """The record of a run that yields this."""

    def take(_spec: CellSpec, _stopper: Stopper, files: dict[str, bytes]) -> Measured:
        files["client.stdout.jsonl"] = b"{}\n"
        if isinstance(measured, PollbenchError):
            raise measured
        return measured

    stopper = Stopper()
    try:
        run = experiment.plan(tmp_path, **changes).runs[0]
        made_record, _, files = make_run(run, {"kernel": "6.18"}, stopper, take)
    finally:
        stopper.close()
    assert files == {"client.stdout.jsonl": b"{}\n"}
    assert (made_record.run_id, made_record.block) == (run.run_id, 1)
    assert made_record.factors == dict(run.cell.factors)
    assert made_record.wall_s is not None
    return made_record


def test_a_record_has_the_factors_of_its_cell(tmp_path: Path) -> None:
    swept = {"contention": {"on": "server.cpus"}, "sweep": {"contention.load": ["50%", "100%"]}}
    assert "contention.load" in made(tmp_path, PollbenchError("measure"), **swept).factors


def measured(**changes: Any) -> Measured:
    samples = np.zeros(1000, SAMPLE_DTYPE)
    samples["latency_ns"] = 20_000
    quiet = replace(host(), interference=replace(host().interference, ended_ns=0, by_cpu={}))
    nodes = {"client": {"Udp:InDatagrams": 1000}, "server": {"Udp:InDatagrams": 1000}}
    return Measured(outcome(delta=delta({"": quiet}, nodes=nodes), hog=None, **changes), samples)


def test_a_run_without_doubts_is_valid(tmp_path: Path) -> None:
    good = made(tmp_path, measured())
    assert (good.verdict, good.reasons, good.metrics["doubts"]) == ("valid", (), 0)
    assert good.metrics["rtt_p50_us"] == 20.0
    assert good.environment == {"kernel": "6.18"}
    assert good.contention is None
    assert good.version == 1
    assert (good.datapath, good.features, good.workload["kind"]) == ("plain", {}, "ping-pong")
    assert made(tmp_path, measured(), settings={"client": {"busy_poll": {"usecs": 0}}}).datapath == "plain"
    assert made(tmp_path, measured(), settings={"client": POLL}).datapath == "napi"


def test_hogs_that_did_not_do_what_was_declared_make_a_run_suspect(tmp_path: Path) -> None:
    seen = measured()
    programs = tuple(replace(program, node=program.label) for program in seen.outcome.programs)
    seen.outcome = replace(seen.outcome, hog={}, hog_threads=2, programs=programs)
    doubted = made(tmp_path, seen, contention={"on": "server.cpus", "load": "10%", "threads": 2})
    assert doubted.verdict == "suspect" and doubted.metrics["hog_achieved_percent"] == 50.0
    assert doubted.reasons[0].startswith("the hogs (spin) had 50 % of a CPU each, 10 % were declared")


def test_the_worst_verdict_counts_and_every_reason_is_kept(tmp_path: Path) -> None:
    doubted = measured()
    doubted.breaches = ["a -> b: sent too much"]
    doubted.knobs = [KnobRow("client", "busy_poll", "SO_BUSY_POLL"), KnobRow("elsewhere", "busy_poll")]
    inert = made(tmp_path, doubted, settings={"client": POLL})
    assert inert.verdict == "inert"
    assert [reason.partition(":")[0] for reason in inert.reasons] == ["busy_poll on client took no effect", "a -> b"]
    assert inert.metrics["doubts"] == 1
    assert [row.took_effect for row in inert.knobs] == [False, None]
    assert "0 of 1000 packets" in inert.knobs[0].evidence
    doubted.samples = doubted.samples[:0]
    broken = made(tmp_path, doubted, settings={"client": POLL})
    assert (broken.verdict, broken.reasons[0], len(broken.reasons)) == ("failed", "no request was answered", 3)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (MissingError("shape", "eth0", "no netem", "load it"), "skipped"),
        (PollbenchError("shape", "eth0", "no netem", "load it"), "failed"),
    ],
)
def test_a_run_that_breaks_is_a_record_with_the_cause(tmp_path: Path, error: PollbenchError, verdict: str) -> None:
    broken = made(tmp_path, error, contention={"on": "server.cpus", "load": "50%"})
    assert broken.verdict == verdict
    assert "no netem" in broken.reasons[0]
    assert broken.metrics == {}
    assert broken.contention is not None
    assert broken.contention == DeclaredContention(broken.contention.kind, "1", 1, 50.0)


def test_facts_of_two_hosts_stand_at_their_nodes(tmp_path: Path) -> None:
    apart = measured()
    apart.hosts = {"client": {"kernel": "6.18", "host": "gen"}, "server": {"kernel": "6.12", "host": "dut"}}
    both = made(tmp_path, apart)
    assert both.environment["kernel"] == "6.18 / 6.12"
    assert (both.nodes["server"]["host"], both.nodes["client"]["kernel"]) == ("dut", "6.18")
    assert both.nodes["client"]["received_packets"] == 1000


# -- who polls, which CPUs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "nodes"),
    [
        ({}, set()),
        ({"server": POLL}, {"server"}),
        ({"server": {"busy_poll": {"usecs": 0}}}, set()),
        ({"*": {"host_busy_poll": {"busy_read": 50}}}, {"client", "server"}),
        ({"*": POLL}, {"client", "server"}),
        ({"client": {"offloads": {"gro": "on"}}}, set()),
    ],
)
def test_who_polls(tmp_path: Path, settings: dict[str, Any], nodes: set[str]) -> None:
    assert polling_nodes(spec_of(tmp_path, settings=settings)) == nodes


class Half(Ends):
    """The client's end of a run on two hosts."""

    far = Far("server", "dut")

    def holds(self, node: str) -> bool:
        """Is this node here?"""
        return node in ("client", "")


def test_the_cpu_set_is_that_of_programs_and_hogs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.kernel.facts.online_cpus", lambda: {0, 1, 2, 3})
    nodes = {"client": {"cpus": "0"}, "server": {"cpus": "1"}}
    topology = experiment.document()["topology"] | {"nodes": nodes}
    plain = spec_of(tmp_path, topology=topology)
    assert cpu_set(plain, Ends()) == {0, 1}
    assert cpu_set(plain, Half()) == {0}
    loud = spec_of(tmp_path, topology=topology, contention={"on": "2,3", "load": "100%"})
    assert hog_cpus(loud) == [2, 3]
    assert cpu_set(loud, Ends()) == {0, 1, 2, 3}
    idle = spec_of(tmp_path, topology=topology, contention={"on": "2,3", "load": "0%"})
    assert cpu_set(idle, Ends()) == {0, 1}


# -- on disk ------------------------------------------------------------------------------------------------

WHOLE = replace(
    record("busypoll50"),
    background=({"kind": "iperf3", "count": 3},),
    qdiscs=(QdiscRow("client", "eth0", {"kind": "tbf", "rate_bps": 5}, {"kind": "tbf"}),),
    features={"client": {"eth0": ["gro"]}},
    link_checks=(LinkCheck("a -> b", "rate", "1mbit", "1mbit", "5%", True),),
    source_files=("log.txt",),
)


def test_a_record_comes_back_as_it_went() -> None:
    data = codec.to_json(WHOLE)
    assert codec.read(data, WHOLE.run_id) == WHOLE
    document = json.loads(data)
    assert document["version"] == 1
    assert document["fidelity"][0]["check"] == "rate"
    assert document["contention"] == {"kind": "spin", "cpus": "1", "threads": 1, "load_percent": 0.0, "awake": ""}


OLD = {
    "run_id": "0123456789ab",
    "case": "base",
    "factors": {"workload.rate": 5000},
    "block": 2,
    "order": 7,
    "started_utc": "2026-11-22T10:15:00.000+00:00",
    "verdict": "inert",
    "reasons": ["nothing polled"],
    "environment": {"kernel": "6.18", "governor": None},
    "datapath": "napi",
    "workload": {"kind": "load", "rate_rps": 5000.0, "depth": None},
    "background": [],
    "contention": None,
    "metrics": {"rtt_p50_us": 12.5, "requests": 10, "lost": None, "made_up_by_some_program_us": 1},
    "nodes": {"client": {"received_packets": 10, "numa": "0"}},
    "cpus": {"0": {"in_set": 1, "user_share": 0.5}},
    "knobs": [{"node": "client", "knob": "busy_poll", "setting": "SO_BUSY_POLL", "scope": "socket"}],
    "qdiscs": [],
    "features": {},
    "fidelity": [],
    "wall_s": 2.5,
}


def test_a_file_without_a_version_is_read() -> None:
    old = codec.read(json.dumps(OLD).encode(), "0123456789ab")
    assert (old.version, old.block, old.order, old.wall_s) == (1, 2, 7, 2.5)
    assert old.metrics["made_up_by_some_program_us"] == 1
    assert old.knobs[0].took_effect is None
    # As it was before there was a link check, contention or background.
    bare = {key: OLD[key] for key in ("run_id", "case", "verdict")}
    assert codec.read(json.dumps(bare).encode(), "0123456789ab").link_checks == ()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"metrics": {"rtt_p50_us": "fast"}}, "metrics.rtt_p50_us"),
        ({"metrics": {"rtt_p50_us": True}}, "metrics.rtt_p50_us"),
        ({"verdict": "splendid"}, "verdict"),
        ({"knobs": [[]]}, "knobs.0"),
        ({"cpus": {"0": 1}}, "cpus.0"),
        ({"version": 2}, "of version 2; this pollbench reads versions up to 1"),
    ],
)
def test_a_record_in_another_shape_is_refused_by_the_part(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        codec.read(json.dumps(OLD | change).encode(), "0123456789ab")


def test_a_name_that_is_no_utf8_does_not_make_a_run_unreadable() -> None:
    odd = replace(WHOLE, source_files=("caf\udce9.log",))
    assert codec.read(codec.to_json(odd), odd.run_id).source_files == ("caf?.log",)


def test_what_a_newer_writer_adds_is_left_out() -> None:
    newer = codec.read(json.dumps(OLD | {"weather": "rain"}).encode(), "0123456789ab")
    assert newer.case == "base"
