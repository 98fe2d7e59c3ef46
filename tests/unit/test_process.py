"""Children that speak, err, die, babble or say nothing; and stop requests while one waits for them."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from harness.errors import Interrupted, PollbenchError
from harness.run.process import NativeProcess, launch_options
from harness.signals import Stopper, stop_on_signals


@pytest.fixture
def stopper() -> Iterator[Stopper]:
    with stop_on_signals() as made:
        yield made


def program(code: str, stopper: Stopper) -> NativeProcess:
    return NativeProcess("toy", [sys.executable, "-c", code], stopper)


def test_events_in_order_and_a_result_on_stop(stopper: Stopper) -> None:
    code = """
import json, signal, sys
def bye(*_):
    print(json.dumps({"event": "result", "n": 3}), flush=True); sys.exit()
signal.signal(signal.SIGTERM, bye)
print('{"event": "hello"}\\n{"event": "ready", "port": 7}', flush=True)
assert input() == "go"
print('{"event": "done"}', flush=True)
signal.pause()
"""
    with program(code, stopper) as child:
        assert child.expect("ready", 10)["port"] == 7
        child.send("go")
        child.expect("done", 10)
        assert child.stop()["n"] == 3
        assert [event["event"] for event in child.events] == ["hello", "ready", "done", "result"]
        assert [json.loads(line) for line in child.files()["toy.stdout.jsonl"].splitlines()] == child.events


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit('no more paper')", "it ended with exit code 1, saying: no more paper"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("print('hello')", "not a JSON object: b'hello'"),
        ("print('[1]')", "not a JSON object"),
        ("import time; time.sleep(60)", "no answer within 0.3 s"),
        (
            """print('{"event": "error", "attempted": "bind", "on": "10.0.0.1:7", "got": "in use"}')""",
            "bind on the toy (10.0.0.1:7): in use",
        ),
    ],
)
def test_what_goes_wrong_is_said(code: str, message: str, stopper: Stopper) -> None:
    with program(code, stopper) as child, pytest.raises(PollbenchError) as caught:
        child.expect("ready", 0.3 if "sleep" in code else 10)
    assert message in caught.value.line()


def test_no_such_program(stopper: Stopper) -> None:
    with pytest.raises(PollbenchError, match="start on the toy"):
        NativeProcess("toy", ["/nonexistent/program"], stopper)


def test_a_stop_request_ends_the_wait_and_the_child(stopper: Stopper) -> None:
    with pytest.raises(Interrupted, match="SIGTERM"), program("import time; time.sleep(60)", stopper) as child:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        child.expect("ready", 30)
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_launch_options() -> None:
    parent = ["--parent", str(os.getpid())]
    assert launch_options("/run/netns/x", {"cpus": [0, 2], "policy": "fifo", "priority": 5}) == [
        *parent,
        *("--netns", "/run/netns/x", "--cpus", "0,2", "--policy", "fifo", "--priority", "5"),
    ]
    assert launch_options(None, {"nice": None}) == parent
    assert launch_options(None, {}, "/sys/fs/cgroup/x/cgroup.procs") == [
        *parent,
        "--cgroup",
        "/sys/fs/cgroup/x/cgroup.procs",
    ]


def test_a_child_that_ends_while_it_is_being_ended(stopper: Stopper, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lived at the first look and is gone, and reaped, at the second: there is nobody left to wait for."""
    child = program("pass", stopper)
    select.select([child.pidfd], [], [], 10)
    really, looks = child.ended, []

    def ended() -> int | None:
        looks.append("look")
        return None if len(looks) == 1 else really()

    monkeypatch.setattr(child, "ended", ended)
    with child:
        pass
    assert child.usage is not None
