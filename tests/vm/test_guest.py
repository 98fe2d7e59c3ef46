"""Experiments in real guests: the same tables as on the host, what only a guest has, and what goes wrong."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.analysis.tail import parse_above, tails
from harness.places.vm import boot, launch
from harness.places.vm.emulator import find_emulator
from harness.places.vm.home import Home
from harness.places.vm.image import open_image
from harness.places.vm.machine_check import deviations, guest_account
from harness.plan import Plan, load_experiment, make_plan
from harness.signals import Stopper
from harness.spec.machine import Machine
from harness.store import ResultSet
from tests import command, experiment
from tests.vm.conftest import MACHINE, VETH, WIRE, document, vm_run, write

POLL = {"settings": {"*": {"busy_poll": {"usecs": 50}}}}


def records(results: Path) -> dict[str, Any]:
    found = ResultSet.latest(results, "small")
    assert found is not None
    return {record.case: record for record in found.records()}


def test_the_same_tables_without_root(home: Home, results: Path, tmp_path: Path) -> None:
    file = write(tmp_path, topology=VETH, cases={"poll": POLL, "nic": {"topology": WIRE}})
    env = {"POLLBENCH_VM_HOME": str(home.path)}
    code, out, err = vm_run(file, results, "--explain", env=env, prefix=command.UNPRIVILEGED)
    assert code == 0, err
    made = records(results)
    assert {record.verdict for record in made.values()} == {"valid"}
    assert made["poll"].environment["place"] == "vm"
    assert made["poll"].environment["accelerator"] == "tcg-smoke"
    assert made["poll"].environment["kernel"].startswith("6.12.")
    assert made["poll"].metrics["server_polled_percent"] > 50
    found = ResultSet.latest(results, "small")
    assert found is not None
    samples = found.sample_columns(made["poll"].run_id, ["latency_ns"])
    assert samples is not None
    assert len(samples["latency_ns"]) == made["poll"].metrics["requests"]
    assert "measure nothing" in " ".join(out.split())
    (account,) = json.loads((found.path / "vm.json").read_text())["boots"]
    assert account["hashes"]["root"] == home.index()["root"]["sha256"]
    assert "1/2" in err
    # One more run of each, traced in the guest: both ends' times, and what its kernel did meanwhile.
    traced = {tail.case: tail for tail in tails(found, parse_above("p99"))}
    assert set(traced) == {"poll", "nic"}
    assert all(tail.joined > 0.99 and sum(tail.meta.lost.values()) == 0 for tail in traced.values()), traced
    assert {"client", "server"} <= set(traced["poll"].meta.names.values())
    assert "one more repetition of every cell, traced" in err and (found.path / "tail.csv").is_file()


def test_the_gallery_s_files_share_a_boot_and_need_no_root(home: Home, results: Path, tmp_path: Path) -> None:
    source = tmp_path / "claims"
    source.mkdir()
    expect = [{"case": "poll", "metric": "server_polled_percent", "above": 50}]
    claim = {"sentence": "It polls.", "expect": expect}
    veth = document(name="veth", topology=VETH, claims={"polls": claim}, cases={"poll": POLL})
    (source / "01-veth.yaml").write_text(yaml.safe_dump(veth))
    nic = document(name="nic", claims={"polls": claim | {"needs": ["nic"]}}, cases={"poll": POLL})
    (source / "02-nic.yaml").write_text(yaml.safe_dump(nic))
    given = ("gallery", "--in-vm", "--accel", "tcg-smoke", "--from", source, "-o", results)
    env = {"POLLBENCH_VM_HOME": str(home.path)}
    out = guests_gallery(given, env)
    assert "01-veth" in out and "measure nothing" in " ".join(out.split())
    boots = []
    for name in ("veth", "nic"):
        made = ResultSet.latest(results, name)
        assert made is not None
        assert len(made.finished()) == 1
        assert {record.environment["place"] for record in made.records()} == {"vm"}
        boots.append(json.loads((made.path / "vm.json").read_text())["boots"])
    assert boots[0] == boots[1]
    assert [boot["runs"] for boot in boots[0]] == [2]
    verdicts = {row["experiment"]: row for row in csv.DictReader((results / "claims.csv").open())}
    # One run is too few for any verdict, and enough to have been looked at.
    assert {row["verdict"] for row in verdicts.values()} == {"not shown"}
    assert "1 valid runs are too few" in verdicts["02-nic"]["evidence"]
    # The same seed would show the same again in model time: what can differ between reruns has to.
    guests_gallery(given, env)
    guests_gallery((*given, "--resume"), env)
    sets = [ResultSet.open(path.parent) for path in sorted(results.glob("veth/*/plan.json"))]
    assert [seeds(each) for each in sets] == [{1}, {2}]
    assert [len(each.finished()) for each in sets] == [1, 1]


def guests_gallery(given: tuple[str | Path, ...], env: dict[str, str]) -> str:
    """What it prints, where it finds nothing wrong."""
    with command.start(*given, env=env, prefix=command.UNPRIVILEGED) as process:
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out


def seeds(results: ResultSet) -> set[int]:
    plan = Plan.from_json(results.plan)
    return {cell.spec.machine.seed for cell in plan.cells}


def test_a_kernel_that_dies_is_no_result_and_the_others_go_on(home: Home, results: Path, tmp_path: Path) -> None:
    ending: dict[str, Any] = {"kind": "command", "from": "client", "to": "server"}
    ending |= {"figures": {"rate_rps": {"regex": "([0-9]+)"}}}
    crash = ending | {"client": ["sh", "-c", "echo c > /proc/sysrq-trigger"]}
    # Most of the memory is set aside first: to fill it takes an emulated guest long.
    eat = "echo 100 > /proc/sys/vm/nr_hugepages; tail /dev/zero"
    hungry = ending | {"client": ["sh", "-c", eat], "timeout": "120s"}
    workloads = {"base": document()["workload"], "crash": crash, "hungry": hungry}
    cases = {case: {"workload": workload} for case, workload in workloads.items()}
    file = write(tmp_path, workload=None, cases=cases)
    code, _, err = vm_run(file, results)
    made = records(results)
    assert code == 1
    assert made["base"].verdict == "valid"
    assert made["crash"].verdict == "failed"
    assert "oops: the console says: Kernel panic" in made["crash"].reasons[0]
    assert made["hungry"].verdict == "failed"
    assert "out of memory: the console says: Kernel panic - not syncing: Out of mem" in made["hungry"].reasons[0]
    assert "give it more than 384MiB by vm.memory" in made["hungry"].reasons[0]
    assert "was booted once more" in err


def test_a_full_output_disk_is_named(home: Home, results: Path, tmp_path: Path) -> None:
    talk: dict[str, Any] = {
        "kind": "command",
        "from": "client",
        "to": "server",
        "figures": {"rate_rps": {"regex": "([0-9]+)"}},
    }
    talk |= {"client": ["sh", "-c", "echo 1; head -c 3000000 /dev/zero | tr '\\0' x"]}
    file = write(tmp_path, vm=MACHINE | {"output": "1MiB"}, workload=talk)
    code, _, err = vm_run(file, results)
    assert code == 1
    assert "no space left on it; set vm.output to" in err


def test_what_a_kernel_does_not_take_is_no_result(home: Home, tmp_path: Path) -> None:
    # The kernel takes the CPU away from the partition, says so in the file, and reports no error.
    isolated = {"server": {"cgroup": {"partition": "isolated", "cpus": "1"}}}
    # A word that the kernel does not know: no figure is better than one of another machine.
    vm = MACHINE | {"cmdline": "isolcpus=1 isolcpu=1", "profile": "none"}
    plan = make_plan(load_experiment(experiment.write(tmp_path, settings=isolated, vm=vm)))
    machine, ready = plan.cells[0].spec.machine, []
    given = (home, find_emulator(home), open_image(home, ""), machine, "tcg-smoke")
    one = boot.Boot(*given, plan, plan.runs, {}, Stopper())
    (answer,) = one.answers(lambda event: ready.append(event) if event["ev"] == "ready" else None)
    assert answer.error is not None
    assert "isolated invalid (partition config conflicts with housekeeping" in str(answer.error)
    guest = guest_account(ready[0]["machine"])
    assert deviations(machine, guest) == ["cmdline: this kernel does not know isolcpu=1"]
    assert guest.host == []


class CameUp(Exception):  # noqa: N818  # no error: the test has seen enough
    """The guest is up."""


def test_two_boots_in_model_time_are_the_same_to_the_microsecond(home: Home, tmp_path: Path) -> None:
    plan = make_plan(load_experiment(experiment.write(tmp_path)))
    # The kernel's log with its times, on the console.
    machine = Machine(cmdline="ignore_loglevel", **MACHINE)
    given = (home, find_emulator(home), open_image(home, ""), machine, "tcg-virtual")

    places = []

    def stop_when_up(event: boot.Event) -> None:
        if event["ev"] == "up":
            (guest,) = _guests(os.getpid())
            tasks = [int(task.name) for task in Path(f"/proc/{guest}/task").iterdir()]
            places.append([os.sched_getaffinity(task) for task in tasks])
            raise CameUp

    logs = []
    for _ in range(2):
        one = boot.Boot(*given, plan, plan.runs, {}, Stopper())
        with contextlib.suppress(CameUp):
            list(one.answers(stop_when_up))
        logs.append(one.console.splitlines())
    # Side by side on two CPUs QEMU's threads get in between one another by chance.
    for each in places:
        assert len(each) > 1
        assert len(set.union(*each)) == 1
    # How far each came beyond that point before it was ended is the host's affair.
    both = [first for first, second in zip(logs[0][:-1], logs[1][:-1], strict=False) if first == second]
    assert both == logs[0][: len(both)]
    assert min(map(len, logs)) - len(both) <= 1
    assert any("overlay" in line or "loop" in line or "clocksource tsc" in line for line in both)


def test_a_killed_tool_leaves_no_guest(home: Home, results: Path, tmp_path: Path) -> None:
    file = write(tmp_path)
    with command.start("vm", "run", file, "--accel", "tcg-smoke", "-o", results) as process:
        guest = _guest_of(process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{guest}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{guest}").exists()
    command.run("clean")


def test_a_killed_guest_is_booted_once_more_and_an_interrupt_ends_it(home: Home, results: Path, tmp_path: Path) -> None:
    file = write(tmp_path)
    with command.start("vm", "run", file, "--accel", "tcg-smoke", "-o", results) as process:
        first = _guest_of(process)
        os.kill(first, signal.SIGKILL)
        second = _guest_of(process, other_than=first)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert not Path(f"/proc/{second}").exists()


def test_a_guest_that_says_nothing_is_a_hang(
    home: Home, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import cli

    monkeypatch.setitem(launch.BOOT_S, "tcg-smoke", 0.5)
    file = write(tmp_path)
    code = cli.main(["vm", "run", str(file), "--accel", "tcg-smoke", "-o", str(results), "--snapshots", "no"])
    assert code == 1
    found = ResultSet.latest(results, "small")
    assert found is not None
    boots = json.loads((found.path / "vm.json").read_text())["boots"]
    assert len(boots) == 2
    assert "hang: waited in vain for the guest to come up" in boots[0]["failure"]


def _guest_of(tool: subprocess.Popen[str], other_than: int = 0) -> int:
    """The pid of the QEMU that a tool started, as soon as there is one; another tool may be saving its guest first."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for child in _guests(tool.pid):
            if child != other_than:
                return child
        if tool.poll() is not None:
            pytest.fail(f"it ended: {tool.communicate()}")
        time.sleep(0.05)
    pytest.fail("no guest was started")


def _guests(pid: int) -> Iterator[int]:
    """The QEMUs that a process started."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                if b"qemu-system-x86_64" in b" ".join(words[:6]) and b"-kernel" in words:
                    yield child
