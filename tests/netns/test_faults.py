"""What goes wrong in a run: it has failed, says why in the words of who failed, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.kernel import processes
from harness.places.local import Local
from harness.plan import Run
from harness.signals import stop_on_signals
from harness.store import ResultSet, RunRecord
from tests import command as shell
from tests import experiment
from tests.netns.test_unmodified import ENDS, command, record_of

SLEEP = "import time; time.sleep(30)"


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


@contextmanager
def killing(word: str, after_s: float) -> Iterator[None]:
    """Kill the child of ours whose command line has this word, some time after it came."""

    def search() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for pid in processes.tree(os.getpid())[1:]:
                try:
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if word.encode() in words:
                    time.sleep(after_s)
                    os.kill(pid, signal.SIGKILL)
                    return
            time.sleep(0.02)

    thread = threading.Thread(target=search)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("victim", ["server", "client"])
def test_one_of_our_own_dies_mid_run(tmp_path: Path, protocol: str, victim: str) -> None:
    workload = experiment.document()["workload"] | {"protocol": protocol, "duration": "100s"}
    with killing(victim, 0.5):
        record, _, files = record_of(tmp_path, workload=workload)
    assert record.verdict == "failed"
    assert f"the {victim}: it ended with killed by signal 9" in record.reasons[0]
    # Noticed at once, not at the end of the 100 s.
    assert record.wall_s is not None and record.wall_s < 50
    assert "client.stdout.jsonl" in files


def test_a_foreign_server_dies_mid_run_with_its_last_words(tmp_path: Path) -> None:
    server = "import sys, time; print('serving', flush=True); time.sleep(0.4); sys.exit('out of paper')"
    workload = command(server=python(server), client=python(SLEEP), port=None, ready="serving")
    record, _, files = record_of(tmp_path, workload=workload)
    assert record.verdict == "failed"
    assert "run on the server: it ended with exit code 1, saying: out of paper" in record.reasons[0]
    assert files["server.stderr.txt"] == b"out of paper\n"


def test_a_foreign_client_fails(tmp_path: Path) -> None:
    client = "import sys; print('hello'); sys.exit('no such host')"
    record, _, _ = record_of(tmp_path, workload=command(client=python(client)))
    assert record.verdict == "failed"
    assert "the client: it ended with exit code 1, saying: no such host" in record.reasons[0]


def test_a_foreign_client_that_hangs(tmp_path: Path) -> None:
    workload = command(client=python(f"print('thinking', flush=True); {SLEEP}"), timeout="200ms")
    record, _, _ = record_of(tmp_path, workload=workload)
    assert record.verdict == "failed"
    assert "still there after" in record.reasons[0] and "it said: thinking" in record.reasons[0]


def test_the_family_of_a_program_ends_with_it(tmp_path: Path) -> None:
    """Grandchildren too, also one that left the process group; the check around every test would find them."""
    code = (
        "import os, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(61)'], start_new_session=True)\n"
        "print('serving', flush=True); time.sleep(60)"
    )
    workload = command(server=python(code), client=python(SLEEP), port=None, ready="serving", timeout="100ms")
    record, _, _ = record_of(tmp_path, workload=workload)
    assert record.verdict == "failed"
    assert _sleepers() == []


def _sleepers() -> list[int]:
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _sleeps(pid)]


def _sleeps(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    # Its own words, not those of a parent that was told to start it.
    own = (b"import time; time.sleep(60)", b"import time; time.sleep(61)")
    return any(word in own for word in words.split(b"\0"))


def test_a_taken_port_is_told_in_the_words_of_who_wanted_it(tmp_path: Path) -> None:
    workloads = [command(), command(measured=False)]
    record, _, _ = record_of(tmp_path, workload=None, workloads=workloads)
    assert record.verdict == "failed"
    assert "background1-server" in record.reasons[0]
    assert "Address already in use" in record.reasons[0]


def test_a_taken_port_of_our_own_server(tmp_path: Path) -> None:
    load = {"kind": "load", **ENDS, "protocol": "tcp", "port": 7000, "duration": "100ms"}
    record, _, _ = record_of(tmp_path, workload=None, workloads=[load, load])
    assert record.verdict == "failed"
    assert "background1-server" in record.reasons[0]
    assert "Address already in use" in record.reasons[0]


def test_a_server_that_is_never_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.run.session._SLACK_S", 0.3)
    workload = command(server=python(f"print('warming up', flush=True); {SLEEP}"))
    record, _, _ = record_of(tmp_path, workload=workload)
    assert record.verdict == "failed"
    assert "wait for port 7777 to listen on the server: nothing within 0.3 s" in record.reasons[0]
    assert "it said: warming up" in record.reasons[0]


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("print('I have no figures')", "its output is not JSON"),
        ("print('{\"end\": {}}')", "rtt_mean_us: there is no end.mean in its JSON output"),
        ('print(\'{"end": {"mean": "fast"}}\')', "rtt_mean_us: 'fast' is not a number"),
        ("print('{\"end\": {\"mean\": ' + '9' * 400 + '}}')", f"rtt_mean_us: '{'9' * 40}' is not a number"),
    ],
)
def test_output_that_cannot_be_read(tmp_path: Path, says: str, why: str) -> None:
    record, _, files = record_of(tmp_path, workload=command(client=python(says)))
    assert record.verdict == "failed"
    assert f"read the output on the client (command): {why}; it said: " in record.reasons[0]
    assert "client.stdout.txt" in files


def test_a_ready_pattern_that_takes_too_long_fails_its_run_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every letter is a beginning that is tried to the end: seconds of searching, of which half a one is waited for."""
    monkeypatch.setattr("harness.run.external_process.ExternalProcess.says_in_time.__defaults__", (0.5,))
    talking = python(f"print('a' * 100_000, flush=True); {SLEEP}")
    slow = command(server=talking, client=python(SLEEP), port=None, ready="a*b")
    record, _, _ = record_of(tmp_path, workload=slow)
    assert record.verdict == "failed"
    assert "look for its `ready` on the server: the regular expression 'a*b'" in record.reasons[0]
    assert "took longer than 0.5 s" in record.reasons[0]
    quick = command(
        server=python(f"print('serving', flush=True); {SLEEP}"), port=None, ready="^serv", client=python("print('x')")
    )
    record, _, _ = record_of(tmp_path, workload=quick)
    assert "its output is not JSON" in record.reasons[0], "the server was found ready"


def test_what_a_killed_run_leaves_of_a_foreign_program_is_ended_by_clean(tmp_path: Path) -> None:
    """The server has a child in a session of its own, which no signal of the kernel's ends with us."""
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(61)'], start_new_session=True)\n"
        "print('serving', flush=True); time.sleep(60)"
    )
    workload = command(server=python(code), client=python(SLEEP), port=None, ready="serving", warmup="300ms")
    path = experiment.write(tmp_path, workload=workload)
    process = shell.start("run", path, "-o", tmp_path / "out", "--wait", start_new_session=True)
    deadline = time.monotonic() + 60
    while not _sleepers() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    process.kill()
    process.communicate()
    assert len(_sleepers()) == 1, "what the test is about is there"
    assert shell.run("clean").returncode == 0
    assert _sleepers() == []


@pytest.mark.skipif(shutil.which("sockperf") is None, reason="sockperf is not installed")
def test_a_run_without_samples_has_failed(tmp_path: Path) -> None:
    links = [experiment.document()["topology"]["links"][0] | {"mtu": 1500}]
    topology = experiment.document()["topology"] | {"links": links}
    # One reply to a million messages: there will be none.
    workload = {"kind": "sockperf", **ENDS, "mode": "under-load", "rate": 1000, "reply_every": 1_000_000}
    record, _, _ = record_of(tmp_path, workload=workload | {"duration": "100ms"}, topology=topology)
    assert record.verdict == "failed", record.reasons


def test_a_rate_that_is_impossible_makes_the_run_suspect(tmp_path: Path) -> None:
    load = {"kind": "load", **ENDS, "rate": 20_000_000, "duration": "200ms", "warmup": "50ms"}
    record, _, _ = record_of(tmp_path, workload=load)
    assert record.verdict == "suspect"
    reasons = " ".join(record.reasons)
    assert "the generator missed" in reasons or "late" in reasons
    assert record.metrics["missed"] > 0 or record.metrics["late_percent"] > 1


def test_the_plan_goes_on_after_a_failure(tmp_path: Path) -> None:
    plan = experiment.plan(
        tmp_path,
        workload=command(),
        cases={"bad": {"workload": {"client": python("raise SystemExit('broken')")}}, "good": {}},
    )

    class Quiet:
        def starting(self, run: Run, number: int, total: int) -> None: ...
        def finished(self, run: Run, record: RunRecord) -> None: ...
        def rejected(self, run: Run, record: RunRecord) -> None: ...

    results = ResultSet.create(tmp_path, "small", "20261122T101500Z", b"", plan, {})
    with stop_on_signals() as stopper:
        Local(stopper).execute(plan, results, Quiet())
    good, bad = sorted(results.records(), key=lambda record: record.case, reverse=True)
    assert (good.verdict, bad.verdict) == ("valid", "failed")
    kept = {path.name for path in (results.path / "runs" / bad.run_id).iterdir()}
    assert "client.stderr.txt" in kept
