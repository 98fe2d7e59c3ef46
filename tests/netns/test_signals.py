"""A signal at any moment of a command: exit code 130 and no traceback, and the host is as it was."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.testbed import detached
from tests import command, experiment
from tests.command import HANGS_AFTER_S, ROOT
from tests.leaks import left_behind, snapshot

# What is imported in turn while a command starts, from the first that is not needed to hear of signals.
MOMENTS = ["argparse", "harness.cli.parser", "pydantic", "numpy", "yaml", "harness.run.process"]
ASKING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGRTMIN + 3]
HOST = {"*": {"host_busy_poll": {"busy_read": 50, "busy_poll": 50}}}


def wait_for(condition: Callable[[], object], meant: str) -> None:
    deadline = time.monotonic() + HANGS_AFTER_S
    while not condition():
        assert time.monotonic() < deadline, f"waited for {meant}"
        time.sleep(0.005)


def ended(process: subprocess.Popen[str]) -> str:
    """What the command says until its end; it ended as an interrupted one does, without a word of Python's."""
    _, errors = process.communicate(timeout=HANGS_AFTER_S)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors and "Error" not in errors and "Exception ignored" not in errors
    return errors


@pytest.mark.parametrize(
    ("moment", "number"),
    # Before the first of them only Ctrl-C is heard, by the handler that hears of it first.
    [("harness.errors", signal.SIGINT), *itertools.product(MOMENTS, (signal.SIGINT, signal.SIGQUIT))],
)
def test_while_it_loads(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    path = experiment.write(tmp_path)
    # Python names each module when it has been imported.
    words = [sys.executable, "-X", "importtime", "-m", "harness", "run", str(path), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stderr is not None
    for line in process.stderr:
        if line.rpartition("|")[2].strip() == moment:
            process.send_signal(number)
            break
    else:
        pytest.fail(f"{moment} is not imported by `run`")
    _, rest = process.communicate(timeout=HANGS_AFTER_S)
    assert (process.returncode, "Traceback" in rest) == (130, False), rest
    assert not (tmp_path / "out").exists()


INTERRUPTED_IN_TEXT = """
import atexit, sys
from harness.__main__ import start
from harness.cli import validate

def schema(_):
    exec("raise KeyboardInterrupt")

atexit.register(print, "ended")
validate.schema = schema
sys.argv = ["pollbench", "schema"]
sys.exit(start())
"""


def test_while_a_library_runs_code_that_it_made_as_text(tmp_path: Path) -> None:
    """Python itself would then end by the signal: the exit code is ours all the same."""
    (tmp_path / "planted.py").write_text(INTERRUPTED_IN_TEXT)
    words = [sys.executable, "-m", "planted"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "pollbench: interrupted\n")
    assert done.stdout == "ended\n", "what was to be done at the end is done"


DOES_NOT_LOOK = """
import sys, time
from harness.__main__ import start
from harness.cli import validate
from harness.signals import stop_on_signals

def schema(_):
    with stop_on_signals("sudo cure"):
        print("begun", flush=True)
        time.sleep(600)

validate.schema = schema
sys.argv = ["pollbench", "schema"]
sys.exit(start())
"""


def test_ctrl_c_is_answered_by_what_does_not_look_and_ends_it_once_more(tmp_path: Path) -> None:
    """A hurried second one is the first: a table at the end of a run is not to be taken away by it."""
    (tmp_path / "planted.py").write_text(DOES_NOT_LOOK)
    words, environment = [sys.executable, "-m", "planted"], os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        told = "pollbench: stopping; Ctrl-C again ends at once (then: sudo cure)\n"
        assert process.stderr.readline() == told
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
        time.sleep(1.1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert ended(process) == "pollbench: ended at once; what is left is for: sudo cure\n"


@pytest.mark.parametrize("number", ASKING, ids=[f"{int(number)}" for number in ASKING])
def test_while_it_measures(tmp_path: Path, number: int) -> None:
    path = experiment.write(tmp_path, settings=HOST, repeat=50)
    before = snapshot()
    process = command.start("run", path, "-o", tmp_path)
    wait_for(lambda: list(tmp_path.glob("small/*/runs/*/run.json")), "the first run")
    process.send_signal(number)
    assert "everything was put back" in ended(process)
    assert left_behind(before) == []


@pytest.mark.parametrize("number", ASKING[:4], ids=[signal.Signals(number).name for number in ASKING[:4]])
def test_the_holder_of_a_testbed_takes_it_down(tmp_path: Path, number: int) -> None:
    before = snapshot()
    name = f"signal-{os.getpid()}"
    assert command.run("up", experiment.write(tmp_path), "--name", name).returncode == 0
    holder = detached.chosen(name).pid
    os.kill(holder, number)
    wait_for(lambda: not Path(f"/proc/{holder}").exists(), "the holder to end")
    assert left_behind(before) == []


def test_while_a_testbed_is_built(tmp_path: Path) -> None:
    """The holder, in a session of its own, hears of it too, and takes down what there is by then."""
    before = snapshot()
    process = command.start("up", "single,60", "--name", f"signal-{os.getpid()}")
    wait_for(lambda: len(snapshot().things) > len(before.things) + 20, "some of its namespaces")
    process.send_signal(signal.SIGINT)
    ended(process)
    wait_for(lambda: left_behind(before) == [], "the holder to take it down")


def test_a_testbed_that_nobody_was_told_of_is_taken_down() -> None:
    """Ctrl-C between the moment in which it is built and the one in which `up` says so."""
    code = "import sys\nimport harness.cli.up as up\ndef interrupted(*_):\n    raise KeyboardInterrupt\n"
    code += "up.print = interrupted\nfrom harness.cli import main\nsys.exit(main(sys.argv[1:]))"
    before = snapshot()
    words = [sys.executable, "-c", code, "up", "single,2", "--name", f"signal-{os.getpid()}"]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        ended(process)
    wait_for(lambda: not detached.all_held(), "the holder to end")
    assert left_behind(before) == []


HANGS = "import time\nfrom mininet.topo import Topo\nopen('begun', 'w').close()\ntime.sleep(600)\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_while_a_topology_file_is_read(tmp_path: Path, number: signal.Signals) -> None:
    """It is somebody's program, in a process of its own, which ends too."""
    (tmp_path / "topo.py").write_text(HANGS)
    tmp_path.chmod(0o777)  # it is read by nobody, who is to write there
    process = command.start("topology", "topo.py:Any", cwd=tmp_path)
    wait_for((tmp_path / "begun").exists, "the file to be read")
    process.send_signal(number)
    assert ended(process) == "pollbench: interrupted\n"
    readers = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if _works_in(pid, tmp_path)]
    assert readers == []


def _works_in(pid: str, directory: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(directory)
    except OSError:
        return False


def test_a_program_that_waits_for_another_s_run(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, repeat=50)
    first = command.start("run", path, "-o", tmp_path / "first")
    wait_for(lambda: list(tmp_path.glob("first/small/*/runs/*/run.json")), "the first run")
    second = command.start("run", path, "-o", tmp_path / "second", "--wait")
    assert second.stderr is not None and "waiting for this host" in second.stderr.readline()
    second.send_signal(signal.SIGINT)
    ended(second)
    first.send_signal(signal.SIGINT)
    ended(first)


@pytest.mark.skipif(None in map(shutil.which, ("mnexec", "brctl", "ifconfig")), reason="needs mnexec, brctl, ifconfig")
def test_while_mininet_builds(tmp_path: Path) -> None:
    """Its own process builds for seconds, and does not listen meanwhile."""
    before = snapshot()
    topology = {"mininet": "tree,3,4", "engine": "mininet"}
    workload = experiment.document()["workload"] | {"from": "h1", "to": "h64"}
    path = experiment.write(tmp_path, topology=topology, workload=workload)
    process = command.start("run", path, "-o", tmp_path / "out")
    wait_for(lambda: any(".mininet" in name for name in os.listdir("/run/netns")), "the namespace of its switches")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    ended(process)
    wait_for(lambda: left_behind(before) == [], "its shells to end")


def test_while_a_host_is_prepared(tmp_path: Path) -> None:
    process = command.start("host", "prepare", "--check", "--state", tmp_path / "state.json")
    wait_for(lambda: _child_of(process.pid, "ansible-playboo"), "the play")
    process.send_signal(signal.SIGINT)
    assert "host restore" in ended(process)
    assert not (tmp_path / "state.json").exists()


def _child_of(parent: int, name: str) -> bool:
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return any(Path(f"/proc/{pid}/comm").read_text().strip() == name for pid in children)
    except OSError:
        return False


def test_behind_a_door(tmp_path: Path) -> None:
    """What shells and a fleet's hosts start in tests is a command's: its words, its directory, signals, and its end."""
    workload = experiment.document()["workload"] | {"duration": "60s"}
    path = experiment.write(tmp_path, workload=workload)
    with command.door(tmp_path / "door") as program:
        options = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        refused = subprocess.run([program, "validate", "none.yaml"], check=False, **options)
        assert refused.returncode == 2 and "none.yaml" in refused.stderr
        with subprocess.Popen([program, "run", path.name, "-o", "out"], **options) as process:
            wait_for(lambda: [*(tmp_path / "out").rglob("plan.json")], "a set")
            process.terminate()
            ended(process)
