"""One workload led through its life: who is started when and how, what is waited for, and what is read at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.errors import PollbenchError
from harness.run.cgroups import RunCgroups
from harness.run.context import RunContext
from harness.run.session import WorkloadSession
from harness.run.two_hosts import Ends
from harness.spec.cells import CellSpec
from tests import experiment
from tests.unit.programs import GENERATOR, SAMPLES, Journal, Stage, bed_of, set_stage

PARENT = [str(GENERATOR), "--parent", str(os.getpid())]
ENDS = {"from": "client", "to": "server"}
ECHO: dict[str, Any] = {
    "kind": "command",
    **ENDS,
    "server": "echod --port {port}",
    "client": "echo --at {address}",
    "port": 7,
    "warmup": "10ms",
    "duration": "1s",
    "figures": {"requests": {"regex": "did (\\d+)"}},
}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return set_stage(monkeypatch)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def context_of(spec: CellSpec, stack: ExitStack, ends: Ends | None = None) -> RunContext:
    none: Any = None
    journal: Any = Journal()
    return RunContext(spec, bed_of(spec.topology), none, stack, RunCgroups(), journal, ends or Ends())


def spec_of(tmp_path: Path, **changes: Any) -> CellSpec:
    return experiment.plan(tmp_path, **changes).cells[0].spec


def begun(context: RunContext, label: str = "") -> WorkloadSession:
    """A session that was led to the end of its window."""
    workload = context.spec.background[0] if label else context.spec.workload
    made = WorkloadSession(context, workload, label)
    made.serve()
    made.prepare(context.spec.workload.life_ns())
    made.begin()
    made.wait_done()
    return made


# -- our own generator ---------------------------------------------------------------------------------------


def test_the_life_of_our_own_generator(stage: Stage, stack: ExitStack, tmp_path: Path) -> None:
    context = context_of(spec_of(tmp_path), stack)
    session = begun(context)
    assert session.port == 4711
    assert session.pids() == {name: [stage.made[name].pid] for name in ("server", "client")}
    reading = session.finish()
    assert [child.label for child in context.children] == ["server"]
    session.finish_server()
    assert context.children == []
    # Warm-up 30 ms, window 100 ms, time-out 1 s: what it may take beside that is 12 s.
    assert stage.of("server") == [("start",), ("expect", "ready", 10.0, []), ("stop",)]
    assert stage.of("client") == [
        ("start",),
        ("expect", "warm", 12.03, ["server"]),
        ("send", "go"),
        ("expect", "done", 12.1, ["server"]),
        ("send", "finish"),
        ("expect", "result", 10.1, []),
    ]
    assert reading.samples is SAMPLES and reading.result["of"] == "client" and reading.metrics == {}
    assert session.reports == {
        "client": {"event": "result", "port": 4711, "of": "client"},
        "server": {"event": "result", "of": "server"},
    }
    assert session.files() == {"server.txt": b"server", "client.txt": b"client"}
    assert stage.listening == []


def test_the_generator_is_launched_in_its_node_and_finds_its_server(
    stage: Stage, stack: ExitStack, tmp_path: Path
) -> None:
    process = {"nice": -5, "policy": "batch"}
    settings = {"*": {"busy_poll": {"usecs": 70}}, "server": {"process": process}}
    begun(context_of(spec_of(tmp_path, settings=settings), stack))
    server, client = stage.made["server"].argv, stage.made["client"].argv
    scheduled = ["--policy", "batch", "--nice", "-5"]
    where = [*PARENT, "--netns", "/run/netns/ns-server", "--cpus", "1", *scheduled, "server"]
    assert server[: len(where)] == where
    assert server[server.index("--listen") + 1] == client[client.index("--connect") + 1] == "10.0.0.2"
    assert client[: len(PARENT) + 5] == [*PARENT, "--netns", "/run/netns/ns-client", "--cpus", "0", "client"]
    assert client[client.index("--port") + 1] == "4711"
    (log,) = stage.made["client"].pass_fds
    assert client[client.index("--samples") + 1] == f"/dev/fd/{log}"
    assert client[client.index("--busy-poll") + 1] == server[server.index("--busy-poll") + 1] == "70"
    assert client[client.index("--duration-ns") + 1] == "100000000"


def test_in_the_background_it_goes_on_for_as_long_as_the_measured_one(
    stage: Stage, stack: ExitStack, tmp_path: Path
) -> None:
    one = {"kind": "ping-pong", **ENDS, "warmup": "10ms", "duration": "7s", "measured": True}
    spec = spec_of(tmp_path, workload=None, workloads=[one, one | {"measured": None, "duration": "1s"}])
    context = context_of(spec, stack)
    session = begun(context, "background1-")
    client = stage.made["background1-client"].argv
    assert client[client.index("--duration-ns") + 1] == str(7 * 10**9)
    assert ("expect", "done", 19.0, ["background1-server"]) in stage.of("background1-client")
    assert session.window_s() == 19.0
    reading = session.finish()
    assert reading.samples is None and reading.result["of"] == "background1-client"
    assert session.pids().keys() == {"background1-server", "background1-client"}


# -- programs of others --------------------------------------------------------------------------------------


def test_the_life_of_a_measured_program_of_others(stage: Stage, stack: ExitStack, tmp_path: Path) -> None:
    stage.prints = {"client": "did 5", "server": "served"}
    spec = spec_of(tmp_path, workload=ECHO)
    context = context_of(spec, stack)
    session = WorkloadSession(context, spec.workload)
    session.serve()
    session.prepare(spec.workload.life_ns())
    # Nobody can tell it when to begin: it is started in the window.
    assert "client" not in stage.made and session.port == 7
    session.begin()
    session.wait_done()
    assert [child.label for child in context.children] == ["server"]
    reading = session.finish()
    session.finish_server()
    assert context.children == []
    assert (reading.metrics["requests"], reading.samples) == (5, None)
    assert session.reports["client"]["unreached"] is session.reports["server"]["unreached"] is True
    assert session.reports["client"]["napi_ids"] == []
    (seen,) = stage.listening
    assert seen == ([stage.made["server"].pid], "tcp", 7)
    assert stage.of("server") == [
        ("start",),
        ("wait until", True, "port 7 to listen", 10.0, []),
        ("stop", "SIGTERM", 3.0),
    ]
    told = [words for words in stage.of("client") if words[0] != "wait"]
    assert told == [("start",), ("wait for its end", session.window_s(), ["server"])]
    assert stage.of("client").count(("wait", ["server"])) >= 1
    noted = {facts["pid"] for kind, facts in context.journal.noted if kind == "process"}  # type: ignore[attr-defined]
    assert noted == {stage.made[name].pid for name in ("server", "client")}


def test_a_program_of_others_is_started_by_the_launcher(stage: Stage, stack: ExitStack, tmp_path: Path) -> None:
    stage.prints = {"client": "did 5"}
    begun(context_of(spec_of(tmp_path, workload=ECHO), stack))
    launched = [*PARENT, "--netns", "/run/netns/ns-client", "--cpus", "0", "exec", "--", "echo", "--at", "10.0.0.2"]
    argv = stage.made["client"].argv
    assert argv[: argv.index("exec") + 1] + argv[argv.index("--") :] == launched
    assert argv[argv.index("exec") + 1] == "--names"
    assert stage.made["server"].argv[-4:] == ["--", "echod", "--port", "7"]
    # A descriptor each for the names, and the client's for the gate it waits at.
    assert (len(stage.made["client"].pass_fds), len(stage.made["server"].pass_fds)) == (2, 1)


def test_a_server_is_told_how_long_the_workload_itself_says(stage: Stage, stack: ExitStack, tmp_path: Path) -> None:
    workload = ECHO | {"server": "echod --for {duration_s}", "client": "echo --for {duration_s}"}
    begun(context_of(spec_of(tmp_path, workload=workload), stack))
    assert [stage.made[name].argv[-1] for name in ("server", "client")] == ["1", "1"]


def test_a_server_may_be_ready_by_what_it_says(stage: Stage, stack: ExitStack, tmp_path: Path) -> None:
    stage.unsaid = {"never"}
    for pattern, ready in (("listening", True), ("never", False)):
        spec = spec_of(tmp_path, workload=ECHO | {"ready": pattern})
        WorkloadSession(context_of(spec, stack), spec.workload, pattern).serve()
        assert stage.of(f"{pattern}server")[1] == ("wait until", ready, f"{pattern!r} in its output", 10.0, [])
    assert stage.listening == []


def test_an_output_without_figures_is_no_measurement(stage: Stage, stack: ExitStack, tmp_path: Path) -> None:
    stage.prints = {"client": "nothing to tell"}
    session = begun(context_of(spec_of(tmp_path, workload=ECHO), stack))
    with pytest.raises(PollbenchError) as caught:
        session.finish()
    assert caught.value.line().startswith("read the output on the client (command): requests: nothing matches")
    assert caught.value.line().endswith("it said: nothing to tell")


def test_in_the_background_it_runs_before_the_window_and_is_ended_after_it(
    stage: Stage, stack: ExitStack, tmp_path: Path
) -> None:
    stage.prints = {"background1-client": "did 9"}
    measured = {"kind": "ping-pong", **ENDS, "warmup": "10ms", "duration": "2s", "measured": True}
    spec = spec_of(tmp_path, workload=None, workloads=[measured, ECHO])
    context = context_of(spec, stack)
    session = WorkloadSession(context, spec.background[0], "background1-")
    session.serve()
    session.prepare(spec.workload.life_ns())
    before = list(stage.log)
    assert "background1-client" in stage.made
    session.begin()
    session.wait_done()
    assert stage.log == before
    reading = session.finish()
    assert reading.metrics["requests"] == 9
    assert stage.of("background1-client")[-1] == ("stop", "SIGTERM", 10.0)
    assert [child.label for child in context.children] == ["background1-server"]


def test_a_client_that_tells_when_its_traffic_begins_is_waited_for(
    stage: Stage, stack: ExitStack, tmp_path: Path
) -> None:
    spec = spec_of(tmp_path, workload={"kind": "sockperf", **ENDS, "warmup": "10ms", "duration": "1s"})
    begun(context_of(spec, stack))
    told = [words[0] for words in stage.of("client") if words[0] != "wait"]
    assert told == ["start", "wait until", "wait for its end"]
    assert ("wait until", True, "'Starting test' in its output", 10.0, ["server"]) in stage.of("client")


def test_in_the_background_an_output_without_figures_is_told_with_the_run(
    stage: Stage, stack: ExitStack, tmp_path: Path
) -> None:
    measured = {"kind": "ping-pong", **ENDS, "warmup": "10ms", "duration": "2s", "measured": True}
    session = begun(context_of(spec_of(tmp_path, workload=None, workloads=[measured, ECHO]), stack), "background1-")
    reading = session.finish()
    assert reading.result["unread"].startswith("the background1-client (command): requests: nothing matches")
    assert stage.of("background1-client")[-1][0] == "stop"


# -- two hosts -----------------------------------------------------------------------------------------------


class Half(Ends):
    """One end of a run on two hosts."""

    def __init__(self, here: str) -> None:
        self.here = here

    def holds(self, node: str) -> bool:
        return node in (self.here, "")


def test_each_host_plays_the_roles_whose_nodes_are_there(stage: Stage, stack: ExitStack, tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    far = begun(context_of(spec, stack, Half("server")))
    assert list(stage.made) == ["server"]
    assert far.hand_over() == {"port": 4711, "said": ""}
    assert far.finish().result == {}
    stage.made.clear()
    stage.log.clear()
    near = WorkloadSession(context_of(spec, stack, Half("client")), spec.workload)
    near.serve()
    assert stage.log == [] and near.hand_over() == {}
    near.take_over({})
    assert near.port == 0
    near.take_over({"port": 99, "said": "hello"})
    near.prepare()
    client = stage.made["client"].argv
    assert client[client.index("--port") + 1] == "99"
    near.finish_server()
    assert [words[0] for words in stage.of("client")] == ["start", "expect"]


def test_what_a_server_of_others_printed_goes_to_the_host_that_reads_it(
    stage: Stage, stack: ExitStack, tmp_path: Path
) -> None:
    stage.prints = {"server": "did 4"}
    far = begun(context_of(spec_of(tmp_path, workload=ECHO), stack, Half("server")))
    assert far.hand_over() == {"port": 7, "said": "did 4"}


# -- knob rows -----------------------------------------------------------------------------------------------


def test_rows_of_our_own_generator_and_of_a_program_of_others(stage: Stage, stack: ExitStack, tmp_path: Path) -> None:
    settings = {"client": {"busy_poll": {"usecs": 70}}}
    measured = {"kind": "ping-pong", **ENDS, "warmup": "10ms", "duration": "2s", "measured": True}
    spec = spec_of(tmp_path, workload=None, workloads=[measured, measured | {"measured": None}], settings=settings)
    context = context_of(spec, stack)
    for label, suffix in (("", ""), ("background1-", " (background1-client)")):
        session = begun(context, label)
        session.reports["client"] = {"readback": {"busy_poll": 70}}
        rows = {row.setting: row for row in session.rows()}
        assert rows[f"SO_BUSY_POLL{suffix}"].applied == 70
        assert rows[f"SO_BUSY_POLL{suffix}"].node == "client"
        session.reports["client"] = {"readback": {"busy_poll": 60}}
        with pytest.raises(PollbenchError, match="accepted, but it reads back 60"):
            session.rows()
    spec = spec_of(tmp_path, workload=ECHO, settings=settings)
    session = begun(context_of(spec, stack))
    assert next(row.setting for row in session.rows()) == "SO_BUSY_POLL client: no socket"


# -- what sessions of a run share ----------------------------------------------------------------------------


def test_an_external_client_in_the_background_outlasts_what_a_run_forgives(stack: ExitStack, tmp_path: Path) -> None:
    measured = {"kind": "ping-pong", **ENDS, "warmup": "500ms", "duration": "2s", "measured": True}
    spec = spec_of(tmp_path, workload=None, workloads=[measured, ECHO])
    # Warm-ups of 500 and 10 ms, and delays of 12 and 10 s that are forgiven.
    assert context_of(spec, stack).background_ns(2 * 10**9) == 24_510_000_000
    many = spec_of(tmp_path, workload=None, workloads=[measured, *[ECHO | {"port": port} for port in range(7, 14)]])
    assert context_of(many, stack).background_ns(2 * 10**9) == 62 * 10**9


def test_processes_are_noted_once(stack: ExitStack, tmp_path: Path) -> None:
    context = context_of(spec_of(tmp_path), stack)
    context.note([os.getpid(), 2**22 + 1])
    context.note([os.getpid()])
    noted: Any = context.journal
    assert [facts["pid"] for _, facts in noted.noted] == [os.getpid(), 2**22 + 1]
    assert noted.noted[0][1]["start_ticks"] > 0 and noted.noted[1][1]["start_ticks"] == 0
    assert context.socket_options_of("client") is context.socket_options_of("client")
    assert context.socket_options_of("client") is not context.socket_options_of("server")
