"""The fleet's parts without a fleet: inventories, merging, reasons in one line, the wheel, the board."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from harness.cli.progress import HostBoard
from harness.errors import InputError, PollbenchError
from harness.places.fleet import wheel
from harness.places.fleet.attempt import Outcomes
from harness.places.fleet.execute import FleetState
from harness.places.fleet.inventory import hosts_in
from harness.places.fleet.merge import merge
from harness.places.fleet.share import Share
from harness.store import ResultSet, codec
from tests import command, experiment
from tests.unit import synthetic

PLAYBOOKS = command.ROOT / "playbooks"
INI = """\
lone
[fast]
dut1 ansible_host=192.0.2.1 pollbench_command=/opt/pollbench
dut2
[slow]
dut2
dut3
[lab:children]
slow
fast
[fast:vars]
pollbench_dir=/fast
"""


@pytest.mark.slow
def test_an_inventory_is_what_ansible_makes_of_it(tmp_path: Path) -> None:
    path = tmp_path / "hosts.ini"
    path.write_text(INI)
    hosts = hosts_in([str(path)])
    assert sorted(hosts) == ["dut1", "dut2", "dut3", "lone"]
    assert hosts["dut1"]["pollbench_command"] == "/opt/pollbench"
    assert hosts["dut2"]["pollbench_dir"] == "/fast"
    assert sorted(hosts_in([str(path)], "lab:!fast")) == ["dut3"]
    program = tmp_path / "dynamic"
    document = {"_meta": {"hostvars": {"a": {"x": 1}}}, "all": {"hosts": ["a"]}}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(document)}'\n")
    program.chmod(0o755)
    assert hosts_in([str(program)]) == {"a": {"x": 1}}


def test_an_inventory_that_says_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        hosts_in([str(tmp_path / "none.ini")])
    (tmp_path / "hosts.ini").write_text("dut1\n")
    with pytest.raises(InputError, match="no host fits --limit dut9"):
        hosts_in([str(tmp_path / "hosts.ini")], "dut9")


class _Plan:
    plan_hash = "0"

    def to_json(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def results(tmp_path: Path) -> ResultSet:
    return ResultSet.create(tmp_path, "fl", "20260101T000000Z", b"", _Plan(), {})


def fetched(incoming: Path, block: int, host: str) -> str:
    """A run directory as it comes from a host."""
    record = synthetic.record(block=block)
    record.environment["host"] = host
    directory = incoming / record.run_id
    directory.mkdir(parents=True)
    (directory / "run.json").write_bytes(codec.to_json(record))
    return record.run_id


def test_merging_moves_runs_of_the_plan_once(results: ResultSet, tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    first, second = fetched(incoming / "a", 1, "a"), fetched(incoming / "a", 2, "a")
    assert merge(results, incoming / "a", {first}) == [first]
    assert (incoming / "a" / second).is_dir()
    assert merge(results, incoming / "nobody", {first}) == []
    # The same run of another host: kept as it is, unless it was to be made again.
    assert fetched(incoming / "b", 1, "b") == first
    assert merge(results, incoming / "b", {first}) == []
    assert merge(results, incoming / "b", {first}, again={first}) == [first]
    (record,) = results.records()
    assert record.environment["host"] == "b"
    assert [path.name for path in (results.path / "runs").iterdir()] == [first]


@pytest.mark.parametrize(
    "damage",
    [
        {"split": "halves"},
        {"hosts": "ab"},
        {"hosts": [1]},
        {"allotted": []},
        {"attempts": "2"},
        {"facts": 3},
        {"more": 1},
    ],
)
def test_a_fleet_s_state_that_is_damaged_is_refused(results: ResultSet, damage: dict[str, Any]) -> None:
    whole = FleetState("id", "blocks", ["a", "b"], 1, {"0123": "a"})
    whole.keep(results)
    assert FleetState.of(results) == whole
    results.write_file("fleet.json", json.dumps(asdict(whole) | damage).encode())
    with pytest.raises(InputError, match=r"fleet\.json"):
        FleetState.of(results)


def test_merging_without_room_or_right_says_so(results: ResultSet, tmp_path: Path) -> None:
    name = fetched(tmp_path / "incoming", 1, "a")
    (results.path / "runs").rmdir()
    with pytest.raises(PollbenchError, match="merge runs"):
        merge(results, tmp_path / "incoming", {name})


@pytest.mark.parametrize(
    ("kind", "task", "result", "reason"),
    [
        (
            "runner_on_unreachable",
            "Stop",
            {
                "msg": "Task failed: Failed to connect to the host via ssh: "
                "ssh: connect to host x port 22: Connection refused"
            },
            "unreachable: ssh: connect to host x port 22: Connection refused",
        ),
        ("runner_on_failed", "Ship the share and start", {"msg": "two\n words"}, "two words"),
        (
            "runner_on_failed",
            "Install it there",
            {"msg": "non-zero", "stderr": "pip: no"},
            "install it there: non-zero pip: no",
        ),
        ("runner_on_failed", "Copy", {"msg": "[Errno 28] No space left on device"}, "its disk is full (copy)"),
        ("runner_on_failed", "Copy", {}, "copy: it gave no reason"),
    ],
)
def test_why_a_host_failed_is_one_line(kind: str, task: str, result: dict[str, str], reason: str) -> None:
    outcomes = Outcomes()
    outcomes({"event": kind, "event_data": {"host": "dut1", "task": task, "res": result}})
    assert outcomes.failed == {"dut1": reason}


@pytest.mark.parametrize("given", [("--interval", "nan"), ("--interval", "0"), ("--forks", "-1"), ("--interval", "x")])
def test_looks_and_forks_are_numbers_that_can_be(given: tuple[str, str]) -> None:
    refused = command.call("fleet", "run", "x.yaml", "-i", "a,", *given)
    assert refused.returncode == 2
    assert f"argument {given[0]}: " in refused.stderr and given[1] in refused.stderr


def test_what_is_no_share_is_refused(tmp_path: Path) -> None:
    (tmp_path / "share.json").write_text("[]")
    with pytest.raises(InputError, match="read a share"):
        Share.read(str(tmp_path / "share.json"))


def _made_here(path: Path) -> bool:
    """Is it a file that running them left?"""
    return bool({"__pycache__", ".ansible"} & set(path.parts))


@pytest.mark.slow
def test_the_wheel_of_an_installed_pollbench_installs_again(tmp_path: Path) -> None:
    made = wheel.make_wheel(tmp_path / "first")
    assert wheel.version() in made.name
    with zipfile.ZipFile(made) as archive:
        inside = {path: f"harness/playbooks/{path.relative_to(PLAYBOOKS)}" for path in PLAYBOOKS.rglob("*")}
        inside = {path: name for path, name in inside.items() if path.is_file() and not _made_here(path)}
        assert len(inside) > 10 and set(inside.values()) <= set(archive.namelist())
        # What is a link to a file of the package is that file.
        assert all(archive.read(name) == path.read_bytes() for path, name in inside.items())
    # Installed from that wheel, it packs one of the same content.
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--no-deps", "--no-index"]
    pip += ["--target", str(target)]
    subprocess.run([*pip, str(made)], check=True)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        "from pathlib import Path\nfrom harness.places.fleet import wheel\n"
        f"assert wheel.__file__.startswith({str(target)!r})\n"
        f"made = wheel.make_wheel(Path({str(tmp_path / 'second')!r})); print(wheel.wheel_id(made), made)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    again, path = done.stdout.split()
    assert again == wheel.wheel_id(made)
    subprocess.run([*pip[:-1], str(tmp_path / "third"), path], check=True)
    program = tmp_path / "third" / "harness" / "loadgen" / "pollbench-loadgen"
    assert program.stat().st_mode & 0o111
    at_home_in_an_empty_directory(made, tmp_path)


AT_HOME = """\
import contextlib, io, pathlib, sys
import harness
from harness.cli import main

assert pathlib.Path(harness.__file__).is_relative_to(sys.prefix), harness.__file__
for words in (["examples"], ["examples", "quickstart", "echo-python"], ["gallery", "--list"], ["topology", "pair"],
              ["validate", "quickstart.yaml", "mine.yaml", "echo-python/echo.yaml"], ["plan", "mine.yaml"]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(words) == 0, words
    print(f"{words[0]}: {len(out.getvalue().splitlines())}")
before = pathlib.Path("quickstart.yaml").read_bytes()
pathlib.Path("quickstart.yaml").write_bytes(before + b"#")
assert main(["examples", "quickstart", "claims"]) == 2
assert pathlib.Path("quickstart.yaml").read_bytes() == before + b"#"
assert not list(pathlib.Path().glob("0*.yaml"))
"""


def at_home_in_an_empty_directory(made: Path, tmp_path: Path) -> None:
    """What the docs call shipped is in the wheel: it works from a virtual environment, away from any checkout."""
    home, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python")]
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-index", "--no-compile", str(made)], check=True)
    # What it depends on is here already; its directory comes last, and the .pth files in it count for nothing.
    site = next(home.glob("lib/python*/site-packages"))
    (site / "others.pth").write_text(str(Path(pytest.__file__).parents[1]) + "\n")
    experiment.write(empty, topology="pair")
    (empty / "small.yaml").rename(empty / "mine.yaml")
    python = [str(home / "bin" / "python"), "-I", "-c", AT_HOME]
    done = subprocess.run(python, cwd=empty, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = dict(line.split(": ") for line in done.stdout.splitlines() if line.split(": ")[-1].isdecimal())
    assert int(lines["examples"]) > 1 and int(lines["gallery"]) > 20


def test_a_line_for_every_event_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    board = HostBoard(["a", "dut22"])
    board.tell("a", "looking")
    board.tell("a", "1/4  base")
    board.tell("a", "1/4  base")
    board.tell("a", "4 of 4 runs", "done")
    board.tell("dut22", "unreachable: gone", "failed")
    assert capsys.readouterr().err.splitlines() == [
        "a      1/4  base",
        "a      done: 4 of 4 runs",
        "dut22  failed: unreachable: gone",
    ]


def test_one_live_line_per_host_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.cli.progress.is_live", lambda stream: True)
    board = HostBoard(["a", "b"])
    board.tell("a", "1/4  base")
    board.tell("b", "unreachable", "failed")
    board.heard(
        "a", ["1/4  base  repetition 1: valid  p50 1.00 us  9 s left", "2/4  busy  repetition 1: suspect  (why)"]
    )
    first, second, third = capsys.readouterr().err.replace("\r\x1b[K", "").split("\x1b[3A")
    assert first.splitlines()[0].split() == ["host", "runs", "doubts", "left"]
    assert [line.split() for line in first.splitlines()[1:]] == [[">", "a", "1/4", "base"], ["b", "waiting"]]
    assert second.splitlines()[2].split() == ["!", "b", "unreachable"]
    assert third.splitlines()[1].split(maxsplit=4)[:4] == [">", "a", "2/4", "1"]
    many = HostBoard([f"h{number}" for number in range(41)])
    many.heard("h1", ["1/2  base  repetition 1: failed  (why)  1 min 3 s left"])
    many.tell("h0", "2 of 2 runs", "done")
    many.tell("h2", "unreachable: no route", "failed")
    last = "1 done, 1 at work, 1 failed, 38 waiting; 1 of 2 runs, 1 in doubt\n! h2  unreachable: no route\n"
    assert capsys.readouterr().err.replace("\r\x1b[K", "").endswith(last)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_an_ansible_cfg_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible takes the one of the current directory, and runs the plugins that it names; and so would root."""
    plugins, config, marker = tmp_path / "plugins", tmp_path / "ansible.cfg", tmp_path / "marker"
    plugins.mkdir()
    (tmp_path / "hosts.ini").write_text("lone\n")
    config.write_text("[defaults]\nvars_plugins = ./plugins\n")
    (plugins / "planted.py").write_text(
        f"open({str(marker)!r}, 'w').close()\n"
        "from ansible.plugins.vars import BaseVarsPlugin\n"
        "class VarsModule(BaseVarsPlugin):\n"
        "    REQUIRES_ENABLED = False\n"
        "    def get_vars(self, loader, path, entities, cache=True):\n        return {}\n"
    )
    monkeypatch.chdir(tmp_path)
    # The user's own counts, as it does for ansible-playbook.
    assert list(hosts_in(["hosts.ini"])) == ["lone"]
    assert marker.exists()
    marker.unlink()
    for theirs in (config, tmp_path):
        os.chown(theirs, 65534, 65534)
        with pytest.raises(InputError, match=r"ANSIBLE_CONFIG=ansible\.cfg"):
            hosts_in(["hosts.ini"])
        assert not marker.exists()
        os.chown(theirs, 0, 0)


@pytest.mark.usefixtures("require_root")
def test_root_by_sudo_writes_no_results_of_a_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be written by name, into a directory of who typed sudo."""
    (tmp_path / "hosts").write_text("dut1\n")
    monkeypatch.setenv("SUDO_UID", "1000")
    monkeypatch.setenv("SUDO_GID", "1000")
    words = [
        "fleet",
        "run",
        str(experiment.write(tmp_path)),
        "-i",
        str(tmp_path / "hosts"),
        "-o",
        str(tmp_path / "out"),
    ]
    done = command.call(*words)
    assert done.returncode == 2 and "type it without sudo" in done.stderr
    assert not (tmp_path / "out").exists()
