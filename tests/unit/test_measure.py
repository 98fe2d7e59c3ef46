"""The steps of one run in their order, and what it yields; the programs are made up and the kernel is not asked."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Interrupted, PollbenchError
from harness.kernel.journal import open_journal
from harness.kernel.proc import ProcessUsage
from harness.run import contention, counters, knobs, link_checks, measure, two_hosts_merge
from harness.run.counters import CounterDelta
from harness.run.measure import Measured
from harness.run.two_hosts import DONE, FOUND, GO, STEP_S, Ends, Far
from harness.signals import Stopper
from harness.spec.cells import CellSpec
from harness.store import KnobRow
from harness.testbed import Testbed
from harness.topology.layout import Layout
from tests import experiment
from tests.unit.programs import SAMPLES, Journal, Native, Stage, bed_of, set_stage
from tests.unit.test_metrics import outcome
from tests.unit.test_session import ECHO, ENDS

PING = {"kind": "ping-pong", **ENDS, "warmup": "500ms", "duration": "2s"}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = set_stage(monkeypatch)
    monkeypatch.setattr(measure, "open_journal", lambda: contextlib.nullcontext(Journal()))
    monkeypatch.setattr(
        measure.tcp_settings, "read", lambda testbed: {name: {"tcp_ecn": "2"} for name in testbed.nodes}
    )
    return made


class Here(Ends):
    """All nodes are here; notes the steps at which another end would be waited for."""

    def __init__(self) -> None:
        self.met: list[tuple[str, float, list[str], float]] = []

    def open(self, spec: CellSpec, journal: Any) -> contextlib.AbstractContextManager[Testbed]:
        assert isinstance(journal, Journal)
        return contextlib.nullcontext(bed_of(spec.topology))

    def meet(
        self, step: str, message: Any, limit_s: float = STEP_S, watched: Any = (), quiet_s: float = 0.0
    ) -> dict[str, Any]:
        del message
        self.met.append((step, round(limit_s, 3), [child.label for child in watched], quiet_s))
        return {}


@contextlib.contextmanager
def a_stopper() -> Iterator[Stopper]:
    made = Stopper()
    try:
        yield made
    finally:
        made.close()


def run(tmp_path: Path, ends: Ends | None = None, **changes: Any) -> tuple[Measured, dict[str, bytes]]:
    files: dict[str, bytes] = {}
    spec = experiment.plan(tmp_path, **changes).cells[0].spec
    with a_stopper() as stopper:
        return measure.measure(spec, stopper, files, ends or Here()), files


def test_a_run_from_its_servers_to_its_outcome(stage: Stage, tmp_path: Path) -> None:
    ends = Here()
    found, files = run(tmp_path, ends, workload=PING)
    # Warm-up and window, and 12 s that the client may take beside.
    assert ends.met == [
        ("serving", STEP_S, ["server"], 0.0),
        ("warm", STEP_S + 0.5, ["server", "client"], 0.0),
        (GO, STEP_S, [], 0.0),
        (DONE, STEP_S + 14.0, ["server", "client"], 2.0),
        ("read", STEP_S + 14.0, ["server"], 0.0),
    ]
    words = [(label, *rest[:2]) for label, *rest in stage.log if rest[0] != "end"]
    assert words == [
        ("server", "start"),
        ("server", "expect", "ready"),
        ("client", "start"),
        ("client", "expect", "warm"),
        ("client", "send", "go"),
        ("client", "expect", "done"),
        ("client", "send", "finish"),
        ("client", "expect", "result"),
        ("server", "stop"),
    ]
    assert [words[0] for words in stage.log if words[1] == "end"] == ["client", "server"]
    assert files == {"server.txt": b"server", "client.txt": b"client"}
    assert found.samples is SAMPLES and (found.knobs, found.qdiscs, found.hosts, found.breaches) == ([], [], {}, [])
    outcome = found.outcome
    assert (outcome.client["of"], outcome.server["of"]) == ("client", "server")
    programs = [(program.label, program.node, program.wait) for program in outcome.programs]
    assert programs == [("client", "client", "blocking"), ("server", "server", "blocking")]
    assert (outcome.hog, outcome.hog_threads) == (None, 0)
    assert (outcome.protocol, outcome.background, outcome.changed, outcome.groups) == ("udp", (), (), {})
    assert outcome.numa.keys() == {"client", "server"} and outcome.napis == {}
    assert found.features == {"client": {}, "server": {}}
    assert found.outcome.tcp == {"client": {"tcp_ecn": "2"}, "server": {"tcp_ecn": "2"}}


def test_what_is_counted_is_what_happened_in_the_window(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(tmp_path)[0].outcome
    (host,) = outcome.delta.hosts.values()
    assert outcome.delta.elapsed_ns > 0 and host.cpus == {0, 1}
    assert outcome.delta.programs.keys() == {"client", "server"}
    assert outcome.delta.nodes["client"]["link:rx_packets"] == outcome.delta.nodes["client"]["link:eth0:packets"] == 0
    assert outcome.delta.kthreads == {}
    assert host.set_time is not None and host.set_time.elapsed_ns > 0


def test_what_napi_threads_burn_for_nothing_is_read_after_the_run_whose_packets_set_them_off(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def used(threads: dict[str, list[int]]) -> dict[str, int]:
        came = len(stage.order("stop"))
        return {node: time.monotonic_ns() if came else 0 for node in threads}

    monkeypatch.setattr(measure, "_napi_threads", lambda testbed, spec: {"server": [77]})
    monkeypatch.setattr(counters, "thread_cpu_ns", used)
    outcome = run(tmp_path)[0].outcome
    assert outcome.idle_threads == {"server": pytest.approx(1.0, abs=0.2)}
    monkeypatch.setattr(measure, "_napi_threads", lambda testbed, spec: {})
    assert run(tmp_path)[0].outcome.idle_threads == {}


def test_several_workloads_begin_with_the_background_and_end_with_the_measured_one(
    stage: Stage, tmp_path: Path
) -> None:
    tcp = PING | {"protocol": "tcp"}
    found, _ = run(tmp_path, workload=None, workloads=[PING | {"measured": True}, tcp])
    assert stage.order("send") == ["background1-client", "client", "client", "background1-client"]
    assert [words[:2] for words in stage.log if words[1] in ("expect",) and words[2] == "warm"] == [
        ("background1-client", "expect"),
        ("client", "expect"),
    ]
    done = [words[0] for words in stage.log if words[1:3] == ("expect", "done")]
    assert done == ["client", "background1-client"]
    assert found.outcome.protocol == "udp+tcp"
    assert found.outcome.background == ({"event": "result", "port": 4711, "of": "background1-client"},)
    labels = [program.label for program in found.outcome.programs]
    assert labels == ["client", "server", "background1-client", "background1-server"]
    assert found.outcome.client["of"] == "client"


def test_a_measured_program_of_others_is_counted_by_its_whole_life(stage: Stage, tmp_path: Path) -> None:
    stage.prints = {"client": "did 5"}
    found, files = run(tmp_path, workload=ECHO)
    outcome = found.outcome
    assert outcome.delta.programs["client"] == ProcessUsage(cpu_ns=700, voluntary=3)
    assert outcome.client["whole_life"] is True and outcome.client["usage"]["cpu_ns"] == 700
    assert outcome.programs[0].report == outcome.client
    assert (outcome.metrics["requests"], found.samples) == (5, None)
    assert "client.txt" in files


def test_hogs_run_from_before_the_clients_to_after_the_window(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contention, "NativeProcess", type("Hog", (Native,), {"stage": stage}))
    found, files = run(tmp_path, contention={"on": "server.cpus", "load": "50%", "threads": 2})
    started = stage.order("start")
    assert started == ["server", "hog", "client"]
    hog = stage.made["hog"]
    assert hog.argv[hog.argv.index("--cpus") + 1] == "1" and "--netns" not in hog.argv
    last = [words[0] for words in stage.log if words[1] == "stop"]
    assert last == ["server", "hog"]
    assert found.outcome.hog == {"event": "result", "of": "hog"}
    assert found.outcome.hog_threads == 2
    assert "hog" in found.outcome.delta.programs and files["hog.txt"] == b"hog"
    stage.log.clear()
    idle = run(tmp_path, contention={"on": "server.cpus", "load": "0%"})[0].outcome
    assert "hog" not in stage.order("start")
    assert (idle.hog, idle.hog_threads) == (None, 0)


def test_the_output_of_a_run_that_breaks_is_kept(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: dict[str, bytes] = {}
    spec = experiment.plan(tmp_path, workload=ECHO).cells[0].spec
    stage.prints = {"client": "no figures"}
    with a_stopper() as stopper, pytest.raises(PollbenchError, match="nothing matches"):
        measure.measure(spec, stopper, files, Here())
    assert files.keys() == {"server.txt", "client.txt"}
    assert {words[0] for words in stage.log if words[1] == "end"} == {"server", "client"}


def test_the_processes_of_a_run_are_not_foreign_to_it(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours: list[set[int]] = []
    subtract = counters.subtract

    def noted(after: Any, before: Any, cpus: set[int], mine: set[int], quiet: float) -> Any:
        ours.append(mine)
        return subtract(after, before, cpus, mine, quiet)

    monkeypatch.setattr(counters, "subtract", noted)
    run(tmp_path)
    assert ours == [{os.getpid(), stage.made["client"].pid, stage.made["server"].pid}]


class Near(Here):
    """The client's end of a run on two hosts; `found` is what the other end has found."""

    far = Far("server", "dut")

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__()
        self.found = found
        self.told: dict[str, Any] = {}

    def holds(self, node: str) -> bool:
        return node in ("client", "")

    def meet(
        self, step: str, message: Any, limit_s: float = STEP_S, watched: Any = (), quiet_s: float = 0.0
    ) -> dict[str, Any]:
        super().meet(step, message, limit_s, watched, quiet_s)
        self.told[step] = message
        return {"serving": {"": {"port": 99, "said": ""}}, FOUND: self.found}.get(step, {})


def test_what_the_other_end_found_is_joined_to_what_was_found_here(stage: Stage, tmp_path: Path) -> None:
    theirs = two_hosts_merge.Half(
        replace(outcome(hog=None), client={}, server={"event": "result", "of": "far"}),
        [KnobRow("*", "host_busy_poll", "busy_read")],
        {"server": {"eth1": ["gro"]}},
        {"server.txt": b"far"},
    )
    ends = Near(two_hosts_merge.pack(theirs))
    found, files = run(tmp_path, ends, settings={"client": {"busy_poll": {"usecs": 70}}})
    assert list(stage.made) == ["client"] and "99" in stage.made["client"].argv
    assert [step for step, *_ in ends.met] == ["serving", "warm", GO, DONE, "read", FOUND]
    told = two_hosts_merge.unpack(ends.told[FOUND], "gen")
    assert (told.outcome.client["of"], told.outcome.server, told.files) == ("client", {}, {"client.txt": b"client"})
    assert (found.outcome.client["of"], found.outcome.server["of"]) == ("client", "far")
    assert found.outcome.delta.hosts.keys() == {"", "server"} and found.outcome.delta.hosts[""].cpus == {0}
    assert [row.setting for row in found.knobs if row.node == "*"] == ["busy_read (dut)"]
    assert any(row.setting == "SO_BUSY_POLL" for row in found.knobs)
    assert found.features["server"] == {"eth1": ["gro"]} and "client" in found.features
    assert files == {"server.txt": b"far", "client.txt": b"client"}


def test_a_stop_request_before_the_programs_starts_none(stage: Stage, tmp_path: Path) -> None:
    spec = experiment.plan(tmp_path).cells[0].spec
    with a_stopper() as stopper:
        stopper.note(signal.SIGTERM)
        with pytest.raises(Interrupted, match="SIGTERM"):
            measure.measure(spec, stopper, {}, Here())
    assert stage.log == []


def test_what_links_did_while_the_workload_ran_is_held_against_their_shape(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaches(layout: Layout, delta: CounterDelta) -> list[str]:
        return [f"{node} counted {delta.nodes[node]['link:rx_packets']}" for node in layout.ports]

    monkeypatch.setattr(link_checks, "breaches", breaches)
    monkeypatch.setattr(link_checks, "starved", lambda outcome, most: [f"{outcome.protocol} beyond {most}"])
    found, _ = run(tmp_path)
    assert found.breaches == ["client counted 0", "server counted 0", "udp beyond 1.0"]


def test_what_is_set_for_the_whole_host_holds_while_the_programs_run_and_is_put_back(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting, during = tmp_path / "setting", []
    setting.write_text("7\n")
    monkeypatch.setattr(knobs, "sysctl_file", lambda name: str(setting))
    monkeypatch.setattr(measure, "open_journal", lambda: open_journal(tmp_path / "state"))

    class Looks(Here):
        """Reads the setting at every step."""

        def open(self, spec: CellSpec, journal: Any) -> contextlib.AbstractContextManager[Testbed]:
            during.append(setting.read_text().strip())
            return contextlib.nullcontext(bed_of(spec.topology))

        def meet(self, step: str, message: Any, *limits: Any, **more: Any) -> dict[str, Any]:
            during.append(setting.read_text().strip())
            return super().meet(step, message, *limits, **more)

    ends = Looks()
    made, _ = run(tmp_path, ends, workload=PING, settings={"*": {"host_busy_poll": {"busy_read": 50}}})
    assert during == ["7", *["50"] * len(ends.met)]
    assert setting.read_text().strip() == "7"
    (row,) = (row for row in made.knobs if row.setting == "net.core.busy_read")
    assert (row.node, row.requested, row.applied) == ("*", 50, 50)


def test_a_trace_is_also_of_the_cpus_where_packets_are_taken_in(tmp_path: Path) -> None:
    """With RPS, or NAPI threads, these are others than the programs' own as a rule."""
    settings = {"server": {"rps": {"cpus": "5"}, "threaded_napi": {"mode": "on", "cpus": "6-7"}}}
    spec = experiment.plan(tmp_path, settings=settings | {"client": {"busy_poll": {"usecs": 50}}}).cells[0].spec
    assert measure.cpu_set(spec, Here()) == {0, 1} and measure._steered_to(spec, Here()) == {5, 6, 7}
