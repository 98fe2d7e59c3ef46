"""What strangers wrote is evaluated within limits of time and memory, and whatever it started ends with it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from harness.errors import InputError, Interrupted, PollbenchError
from harness.host.ansible import Event, play
from harness.kernel import keeper, patterns
from harness.kernel.keeper import LATE, kept
from harness.mininet.graph import TopoRequest
from harness.mininet.load import load_graph
from harness.places.fleet.inventory import hosts_in
from harness.run.external_process import ExternalProcess
from harness.signals import stop_on_signals
from tests import command, experiment

# Quadratic: each letter is a beginning that is tried to the end. Some seconds, and never more.
SLOW_PATTERN, SLOW_TEXT = "a*b", "a" * 100_000
# A process of its own session whose parent has gone: what a daemon is.
DAEMON = (
    "import os, subprocess, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        open({path!r}, 'w').write(str(os.getpid()))\n"
    "        time.sleep(60)\n"
    "    os._exit(0)\n"
    "while not os.path.exists({path!r}) or not open({path!r}).read(): time.sleep(0.01)\n"
)


def gone(pid: int) -> bool:
    """Has the process ended? It may be a zombie for its new parent to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_kept_program_has_its_own_exit_code_and_output() -> None:
    for code, expected in ((7, 7), (0, 0)):
        done = subprocess.run(
            kept(python(f"print('x'); raise SystemExit({code})"), 30), capture_output=True, check=False
        )
        assert (done.returncode, done.stdout) == (expected, b"x\n")
    killed = subprocess.run(kept(python("import os; os.kill(os.getpid(), 9)"), 30), check=False)
    assert killed.returncode == 128 + 9
    missing = subprocess.run(kept(["/no/such/program"], 30), capture_output=True, check=False)
    assert missing.returncode == 127 and b"No such file" in missing.stderr


def test_a_kept_program_that_takes_too_long_ends_with_its_family(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = DAEMON.format(path=str(path)) + "time.sleep(60)"
    assert subprocess.run(kept(python(code), 1.5), check=False).returncode == LATE
    assert gone(int(path.read_text()))


def test_a_daemon_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    assert subprocess.run(kept(python(DAEMON.format(path=str(path))), 30), check=False).returncode == 0
    assert gone(int(path.read_text()))


def test_who_ends_the_keeper_ends_the_family(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = DAEMON.format(path=str(path)) + "time.sleep(60)"
    with subprocess.Popen(kept(python(code), 60)) as process:
        while not path.exists() or not path.read_text():
            time.sleep(0.01)
        process.terminate()
        assert process.wait(30) == LATE
    assert gone(int(path.read_text()))


def test_a_kept_program_has_so_much_memory() -> None:
    code = "x = bytearray(1 << 30)"
    done = subprocess.run(kept(python(code), 30, 512 << 20), capture_output=True, check=False)
    assert done.returncode == 1 and b"MemoryError" in done.stderr
    assert subprocess.run(kept(python(code), 30), check=False).returncode == 0


def test_a_kept_program_cannot_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is put down to a size that a test can write."""
    source = Path(keeper.__file__).read_text()
    small = tmp_path / "keeper.py"
    small.write_text(source.replace("_OUTPUT_BYTES = 256 << 20", "_OUTPUT_BYTES = 1 << 16"))
    assert small.read_text() != source
    monkeypatch.setattr(keeper, "__file__", str(small))
    with (tmp_path / "out").open("wb") as out:
        code = "import sys\nwhile True: sys.stdout.buffer.write(b'x' * 4096)"
        assert subprocess.run(kept(python(code), 30), stdout=out, stderr=subprocess.DEVNULL, check=False).returncode
    assert (tmp_path / "out").stat().st_size == 1 << 16


def test_a_search_ends_in_time() -> None:
    with pytest.raises(ValueError, match=r"'a\*b' in 100000 characters of output took longer than 0.5 s"):
        patterns.last_match(SLOW_PATTERN, SLOW_TEXT, 0.5)


def test_a_search_finds_what_re_finds() -> None:
    assert patterns.last_match(r"^p50=(\S+)", "p50=1\np50=2.5\n", 30) == ["2.5"]
    assert patterns.last_match(r"x(y)?", "x", 30) == [None]
    assert patterns.last_match("listening", "now listening\udcff", 30) == ["listening"]
    assert patterns.last_match("z", "x", 30) is None
    assert patterns.matches("^two", "one\ntwo\n", 30) and not patterns.matches("^wo", "two", 30)


def test_a_ready_pattern_that_never_ends_fails_the_run_and_no_more() -> None:
    with stop_on_signals() as stopper:
        child = ExternalProcess(
            "server", python(f"print('a' * {len(SLOW_TEXT)}, flush=True); import time; time.sleep(60)"), stopper
        )
        with child:
            child.wait_until(lambda: len(child.output()) > len(SLOW_TEXT), "its output", 60)
            with pytest.raises(PollbenchError, match=r"look for its `ready` on the server: .* took longer than 0.5 s"):
                child.says_in_time(SLOW_PATTERN, 0.5)


def test_a_ready_pattern_is_looked_for_again_once_there_is_more(tmp_path: Path) -> None:
    code = "import time; print('one', flush=True); time.sleep(0.3); print('two', flush=True); time.sleep(60)"
    with stop_on_signals() as stopper, ExternalProcess("server", python(code), stopper) as child:
        child.wait_until(lambda: child.says_in_time("^two$", 30), "two", 60)
        assert child.says_in_time("one", 30)


TOPOLOGY = (
    "{before}\n"
    "from mininet.topo import Topo\n"
    "class T(Topo):\n"
    "    def build(self):\n"
    "        {building}\n"
    "        self.addLink(self.addHost('h1'), self.addHost('h2'))\n"
)


def topology(directory: Path, before: str = "", building: str = "pass") -> TopoRequest:
    (directory / "t.py").write_text(TOPOLOGY.format(before=before, building=building))
    return TopoRequest("t.py:T", str(directory))


def test_a_topology_file_that_starts_a_daemon_is_read_and_the_daemon_ends(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    tmp_path.chmod(0o777)  # nobody is to write there
    graph = load_graph(topology(tmp_path, DAEMON.format(path=str(path))), "f.yaml:1:1", patience_s=60)
    assert [host.name for host in graph.hosts] == ["h1", "h2"]
    assert gone(int(path.read_text()))


def test_a_topology_file_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    request = topology(tmp_path, "import time", "time.sleep(60)")
    with pytest.raises(InputError) as caught:
        load_graph(request, "f.yaml:1:2", patience_s=1.0)
    assert caught.value.line() == "f.yaml:1:2: read topology t.py:T: still building after 1 s"


def test_a_topology_file_that_takes_all_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="MemoryError"):
        load_graph(topology(tmp_path, building="x = bytearray(5 << 30)"), "f.yaml:1:2")


def test_an_inventory_may_name_so_many_hosts(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("host[1:30]\n")
    assert len(hosts_in([str(path)])) == 30
    with pytest.raises(InputError, match="it names 30 hosts; at most 20"):
        hosts_in([str(path)], most=20)
    assert len(hosts_in([str(path)], "host1,host2", most=20)) == 2


def program(path: Path, code: str) -> str:
    path.write_text(f"#!{sys.executable}\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_an_inventory_that_never_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not listed after 2 s"):
        hosts_in([program(tmp_path / "hosts", "import time; time.sleep(60)")], patience_s=2.0)


def test_an_inventory_that_never_ends_when_it_is_played_is_refused(tmp_path: Path) -> None:
    """It was listed in time; Ansible reads it once more."""
    path = program(tmp_path / "hosts", "import time; time.sleep(60)")
    events: list[Event] = []
    with pytest.raises(PollbenchError, match=r"play fleet_ready on .*: the inventory is still being read after 1 s"):
        play("fleet_ready", [path], {}, tmp_path / "artifacts", events.append, start_s=1.0)
    assert events == []
    assert still_running(path) == []


def test_an_inventory_has_little_memory_when_it_is_played_and_the_play_has_it_back(tmp_path: Path) -> None:
    """Ansible reads it once more; what runs on hosts of a local connection descends from Ansible."""
    told, limits = tmp_path / "told", tmp_path / "limits"
    greedy = (
        "import resource, time\n"
        "while resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY: time.sleep(0.05)\n"
        f"try: bytearray(1 << 30)\nexcept MemoryError: open({str(told)!r}, 'w').write('refused')\nprint('{{}}')"
    )
    path = program(tmp_path / "hosts", greedy)
    shell = tmp_path / "shell"
    shell.write_text(f'#!/bin/sh\nulimit -Sv >>{limits}\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)
    local = f"localhost ansible_connection=local pollbench_dir={tmp_path}/fleet pollbench_command=/bin/true"
    (tmp_path / "more.ini").write_text(f"{local} ansible_shell_executable={shell} ansible_executable={shell}\n")
    inventory, variables = (
        [path, str(tmp_path / "more.ini")],
        {"fleet_id": "x", "fleet_version": "0", "fleet_become": False},
    )
    artifacts = tmp_path / "artifacts"
    played = play("fleet_ready", inventory, variables, artifacts, lambda event: None, start_bytes=900 << 20)
    assert limits.exists(), played.output.read_text()
    assert told.read_text() == "refused"
    assert set(limits.read_text().split()) == {"unlimited"}


def test_a_task_of_a_play_that_is_stopped_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible's workers lead sessions of their own, which no signal to its process group reaches; nor do files stay."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    shell = tmp_path / "shell"
    shell.write_text(f"#!/bin/sh\nmktemp -d >{tmp_path}/made && echo $$ >{tmp_path}/pid\nsleep 60\n")
    shell.chmod(0o755)
    local = f"localhost ansible_connection=local pollbench_dir={tmp_path}/fleet pollbench_command=/bin/true"
    (tmp_path / "hosts.ini").write_text(f"{local} ansible_shell_executable={shell} ansible_executable={shell}\n")
    inventory, variables = [str(tmp_path / "hosts.ini")], {"fleet_id": "x", "fleet_version": "0", "fleet_become": False}

    def stopping() -> bool:
        return (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != ""

    with pytest.raises(Interrupted):
        play("fleet_ready", inventory, variables, tmp_path / "artifacts", lambda event: None, stopping)
    assert gone(int((tmp_path / "pid").read_text()))
    assert still_running(str(shell)) == []
    assert (tmp_path / "made").read_text().startswith(f"{tmp_path}/tmp/pollbench-aside-")
    assert list((tmp_path / "tmp").iterdir()) + list((tmp_path / "home").glob(".ansible/tmp/*")) == []


def still_running(path: str) -> list[str]:
    """Processes that still run the program at this path."""
    commands = ((pid, Path(f"/proc/{pid}/cmdline")) for pid in os.listdir("/proc") if pid.isdigit())
    return [pid for pid, words in commands if words.exists() and path.encode() in words.read_bytes()]


def test_an_inventory_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hosts")
    with pytest.raises(InputError, match="it is neither a file nor a directory"):
        hosts_in([str(tmp_path / "hosts")])


def test_a_pattern_is_refused_before_any_run(tmp_path: Path) -> None:
    figure = {"n": {"regex": "(1)"}}
    ends = {"kind": "command", "from": "client", "to": "server", "client": "x", "server": "y", "figures": figure}
    for pattern, why in (("(" * 500, "it is no regular expression"), ("x" * 1001, "1001 characters; expected at most")):
        done = command.call("validate", experiment.write(tmp_path, workload=ends | {"ready": pattern}))
        assert done.returncode == 2 and why in done.stderr
