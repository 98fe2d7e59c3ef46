"""How hogs are started, and when the contention was not the one declared."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.kernel.proc import ProcessUsage
from harness.run import contention as hogs
from harness.run.contention import Hogs, awake_doubts, duty_doubts, hog_cpus, keep_awake, start_hogs, takers
from harness.run.cpu_set import CpuInterference
from harness.run.outcome import ProgramOutcome
from harness.spec.cells import CellSpec
from harness.spec.topology import Topology
from harness.testbed import Testbed
from tests import experiment
from tests.unit.programs import External, Journal, Native, Stage, bed_of, set_stage
from tests.unit.test_metrics import SECOND, delta, host, outcome

BUSY, IDLE = {0: 0.9, 1: 0.0}, {0: 0.0, 1: 0.5}


@pytest.mark.parametrize(
    ("contention", "achieved", "idle", "reason"),
    [
        ({"load": "50%"}, 46.0, BUSY, ""),
        ({"load": "50%"}, 54.0, BUSY, ""),
        ({"load": "50%"}, 75.0, BUSY, "had 75 % of a CPU each, 50 % were declared; limit 10% of what is declared"),
        # The limit is relative, and less than was declared is not what was declared, whoever took it.
        ({"load": "10%"}, 11.2, BUSY, "had 11 % of a CPU each, 10 % were declared"),
        ({"load": "10%"}, 3.6, BUSY, "; on their CPUs ran meanwhile: server 59 %, cc1 2 %; limit"),
        ({"load": "90%"}, 41.0, BUSY, "; on their CPUs ran meanwhile: server 59 %, cc1 2 %; limit"),
        ({"load": "10%"}, 3.6, IDLE, "though their CPUs were idle for 50 % of a CPU each"),
        # Others wanted the CPU: that is what contention is.
        ({"load": "100%"}, 30.0, BUSY, ""),
        ({"load": "100%"}, 30.0, IDLE, "had 30 % of a CPU each, 100 % were declared, though their CPUs were idle"),
        # Two on one CPU cannot have more than half of it each.
        ({"load": "100%", "threads": 2}, 49.0, IDLE, ""),
        # Half a period more or less in so short a window is no error.
        ({"load": "50%", "period": "1s"}, 100.0, BUSY, ""),
        ({"load": "0%"}, 0.0, IDLE, ""),
        ({"load": "50%"}, None, IDLE, ""),
    ],
)
def test_hogs_that_keep_their_duty_and_hogs_that_do_not(
    tmp_path: Path, contention: dict[str, Any], achieved: float | None, idle: dict[int, float], reason: str
) -> None:
    plan = experiment.plan(tmp_path, contention={"on": "server.cpus"} | contention)
    found = duty_doubts(plan.cells[0].spec, achieved, idle, 1.0, {"cc1": 2.0, "server": 59.0, "client": 0.1})
    assert len(found) == (1 if reason else 0)
    assert reason in "".join(found)


def test_without_contention_there_is_no_duty(tmp_path: Path) -> None:
    assert duty_doubts(experiment.plan(tmp_path).cells[0].spec, 0.0, IDLE, 1.0) == []


def test_what_hogs_lost_is_told_of_those_that_ran_where_they_run(tmp_path: Path) -> None:
    spec = experiment.plan(tmp_path, contention={"on": "server.cpus", "load": "50%"}).cells[0].spec
    strangers = CpuInterference(by_cpu={0: SECOND, 1: SECOND // 10}, worst_on={0: "ld (pid 1)", 1: "cc1 (pid 2)"})
    programs = {"client": ProcessUsage(cpu_ns=SECOND), "server": ProcessUsage(cpu_ns=SECOND // 2)}
    counted = delta({"": host(interference=strangers)}, programs=programs)
    labels = tuple(ProgramOutcome(label, label, "blocking", {}) for label in ("client", "server"))
    assert takers(spec, replace(outcome(delta=counted), programs=labels)) == {
        "server": 50.0,
        "other programs, most of it cc1 (pid 2), on CPU 1": 10.0,
    }


# -- started -------------------------------------------------------------------------------------------------


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = set_stage(monkeypatch)
    monkeypatch.setattr(hogs, "NativeProcess", type("Native", (Native,), {"stage": made}))
    monkeypatch.setattr(hogs, "ExternalProcess", type("External", (External,), {"stage": made}))
    monkeypatch.setattr(hogs, "require_program", lambda *_: None)
    monkeypatch.setattr(hogs, "open_journal", lambda: contextlib.nullcontext(Journal()))

    def open_testbed(topology: Topology, *, napi: bool, journal: object) -> contextlib.AbstractContextManager[Testbed]:
        assert napi and isinstance(journal, Journal)
        return contextlib.nullcontext(bed_of(topology))

    monkeypatch.setattr(hogs, "open_testbed", open_testbed)
    return made


def contended(tmp_path: Path, **contention: Any) -> CellSpec:
    return experiment.plan(tmp_path, contention={"on": "server.cpus"} | contention).cells[0].spec


STOPPER: Any = object()


def started(spec: CellSpec, stack: contextlib.ExitStack) -> Hogs:
    return start_hogs(spec, STOPPER, stack)


LAUNCHED = ["/opt/loadgen", "--parent", str(os.getpid())]


def test_our_own_hogs_are_waited_for_and_report_at_their_end(stage: Stage, tmp_path: Path) -> None:
    spec = contended(tmp_path, load="50%", threads=3, policy="fifo", priority=2)
    with contextlib.ExitStack() as stack:
        found = started(spec, stack)
        hog = stage.made["hog"]
        assert hog.argv[:9] == [*LAUNCHED, "--cpus", "1", "--policy", "fifo", "--priority", "2"]
        assert hog.argv[9:14] == ["hog", "--kind", "spin", "--threads", "3"]
        assert (found.threads, found.pids(), found.result) == (3, [hog.pid], None)
        assert found.files() == {"hog.txt": b"hog"}
        found.stop()
        assert found.result == {"event": "result", "of": "hog"}
    assert stage.of("hog") == [("start",), ("expect", "ready", 10.0, []), ("stop",), ("end",)]


def test_no_policy_of_their_own_is_none_that_the_launcher_sets(stage: Stage, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        started(contended(tmp_path, nice=5), stack)
    assert stage.made["hog"].argv[:9] == [*LAUNCHED, "--cpus", "1", "--policy", "other", "--nice", "5"]
    with contextlib.ExitStack() as stack:
        started(contended(tmp_path), stack)
    assert stage.made["hog"].argv[:8] == [*LAUNCHED, "--cpus", "1", "--policy", "other", "hog"]


def test_what_keeps_cpus_awake_is_bound_to_each_and_no_hog(stage: Stage) -> None:
    with contextlib.ExitStack() as stack:
        hogs_of_it = Hogs(spinners=keep_awake({3, 1}, STOPPER, stack, "/group/cgroup.procs"))
        one, three = (stage.made[f"spinner of CPU {cpu}"] for cpu in (1, 3))
        assert three.argv[1:] == [
            *LAUNCHED[1:], "--cgroup", "/group/cgroup.procs", "--cpus", "3", "--policy", "idle",
            "hog", "--kind", "pause", "--threads", "1", "--load", "100",
        ]  # fmt: skip
        assert hogs_of_it.families() == {"awake": [one.pid, three.pid]}
        assert hogs_of_it.children() == [one, three]
        hogs_of_it.stop()
        assert hogs_of_it.result is None
    assert stage.of("spinner of CPU 1") == [("start",), ("expect", "ready", 10.0, []), ("stop",), ("end",)]


def test_cpus_that_were_to_be_awake_and_idled_are_a_doubt(tmp_path: Path) -> None:
    asleep, awake = (
        experiment.plan(tmp_path, contention={"on": "server.cpus", "load": "0%"} | more).cells[0].spec
        for more in ({}, {"awake": True})
    )
    assert awake_doubts(asleep, 60.0) == awake_doubts(awake, 4.9) == awake_doubts(awake, None) == []
    assert awake_doubts(awake, 34.21) == [
        "the CPUs were to be kept awake, and were idle for 34.2 % of the time; limit 5 %"
    ]
    assert "awake" not in asleep.identity()["contention"] and awake.identity()["contention"]["awake"] is True


@pytest.mark.parametrize("contention", [None, {"load": "0%"}, {"threads": 0}])
def test_without_load_there_are_no_hogs(stage: Stage, tmp_path: Path, contention: dict[str, Any] | None) -> None:
    whole = None if contention is None else {"on": "server.cpus"} | contention
    spec = experiment.plan(tmp_path, contention=whole).cells[0].spec
    with contextlib.ExitStack() as stack:
        found = started(spec, stack)
    assert (found.threads, found.child, found.pids(), found.files()) == (0, None, [], {})
    assert stage.made == {}


def test_stress_ng_is_there_when_each_worker_is(stage: Stage, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        found = started(contended(tmp_path, threads=2, load="30%", **{"stress-ng": "cpu"}), stack)
        hog = stage.made["hog"]
        where = hog.argv.index("exec")
        assert hog.argv[where:] == ["exec", "--", "stress-ng", "--cpu", "2", "--cpu-load", "30"]
        # A family of one is the parent alone.
        assert stage.of("hog")[1:] == [("wait until", False, "2 cpu workers", 10.0, [])]
        found.stop()
        assert stage.of("hog")[-1][0] == "stop" and found.result is None
        assert found.threads == 2


@pytest.mark.parametrize(("kind", "answers"), [("network", False), ("poller", True)])
def test_hogs_that_send_have_a_link_of_their_own(stage: Stage, tmp_path: Path, kind: str, answers: bool) -> None:
    with contextlib.ExitStack() as stack:
        started(contended(tmp_path, kind=kind), stack)
        hog, sink = stage.made["hog"].argv, stage.made["sink"].argv
        assert hog[hog.index("--netns") + 1] == "/run/netns/ns-hog"
        assert sink[sink.index("--netns") + 1] == "/run/netns/ns-sink"
        address = sink[sink.index("--listen") + 1]
        assert hog[-4:] == ["--connect", address, "--port", "4711"]
        assert sink[sink.index("server") :][:3] == ["server", "--protocol", "udp"]
        # What needs no answer is dropped at a port without a socket.
        assert (("stop",) not in stage.of("sink")) is answers
        assert stage.order("start") == ["sink", "hog"]
        # A stop request reaches whoever waits for either.
        assert [child.stopper for child in stage.made.values()] == [STOPPER, STOPPER]


def test_hogs_run_on_the_cpus_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.kernel.facts.online_cpus", lambda: {0, 1, 2, 3, 4})
    assert hog_cpus(contended(tmp_path, on="3,2")) == [2, 3]
    nodes = {"client": {"cpus": "0-1"}, "server": {}}
    topology = experiment.document()["topology"] | {"nodes": nodes}
    beside = {"on": "client.cpus", "overlap": 1}
    assert hog_cpus(experiment.plan(tmp_path, topology=topology, contention=beside).cells[0].spec) == [1, 2]
