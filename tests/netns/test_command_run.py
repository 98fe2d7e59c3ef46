"""`pollbench run` and `clean` as processes: interrupted, killed, started twice, resumed; the host as found."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess, Popen

import pandas as pd

from tests import command, experiment
from tests.leaks import left_behind, snapshot

HOST = {"*": {"host_busy_poll": {"busy_read": 50, "busy_poll": 50}}}


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.01)


def namespaces() -> set[str]:
    try:
        return {name for name in os.listdir("/run/netns") if name.startswith("pb-")}
    except FileNotFoundError:
        return set()


def the_set(base: Path) -> Path:
    (found,) = (base / "small").iterdir()
    return found


def test_run_leaves_tables_samples_and_the_file_itself(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, cases={"base": {}, "polled": {"settings": {"*": {"busy_poll": {}}}}}, repeat=2)
    done = command.run("run", path, "-o", tmp_path, fresh=True)
    assert done.returncode == 0, done.stderr
    assert "polled" in done.stdout and "p50" in done.stdout
    results = the_set(tmp_path)
    assert (results / "experiment.yaml").read_bytes() == path.read_bytes()
    runs = pd.read_csv(results / "runs.csv")
    assert list(runs["verdict"]) == ["valid"] * 4 and runs["rtt_p50_us"].gt(0).all()
    samples = pd.read_parquet(results / "runs" / runs["run_id"][0] / "samples.parquet")
    assert len(samples) == runs["requests"][0]
    shown = command.call("show", results)
    assert shown.stdout == done.stdout
    assert command.call("show", tmp_path / "small").stdout == done.stdout


def test_results_belong_to_who_typed_sudo(tmp_path: Path) -> None:
    path = experiment.write(tmp_path)
    command.run("run", path, "-o", tmp_path / "out", env={"SUDO_UID": "12345", "SUDO_GID": "23456"})
    owners = {(p.stat().st_uid, p.stat().st_gid) for p in (tmp_path / "out").rglob("*")}
    assert owners == {(12345, 23456)}


def test_signals_end_it_tidily_and_resume_goes_on(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, settings=HOST, repeat=10)

    def finished() -> dict[Path, int]:
        return {record: record.stat().st_mtime_ns for record in tmp_path.glob("small/*/runs/*/run.json")}

    made: dict[Path, int] = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before, known = snapshot(), len(made)
        process = command.start("run", path, "-o", tmp_path, *(["--resume"] if made else []))
        wait_for(partial(lambda least: len(finished()) > least, known), "another run")
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert left_behind(before) == []
        assert number.name in err and "--resume" in err
        assert made.items() < finished().items() and len(finished()) < 10
        assert (the_set(tmp_path) / "runs.csv").exists()
        made = finished()
    done = command.run("run", path, "-o", tmp_path, "--resume")
    assert done.returncode in (0, 1), done.stderr
    assert len(pd.read_csv(the_set(tmp_path) / "runs.csv")) == 10
    assert made.items() < finished().items()


def test_resume_refuses_another_plan(tmp_path: Path) -> None:
    path = experiment.write(tmp_path)
    assert command.run("run", path, "-o", tmp_path).returncode == 0
    done = command.run("run", path, "-o", tmp_path, "--resume", "--set", "workload.size=128B")
    assert done.returncode == 2 and "another plan" in done.stderr


def test_sigkill_at_random_moments_then_clean(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, settings=HOST, contention={"on": "1"}, repeat=50)
    before = snapshot()
    moments = random.Random(7)
    caught = 0
    mark = f"killed-by-{os.getpid()}-{time.monotonic_ns()}"
    for attempt in range(6):
        process = command.start(
            "run", path, "-o", tmp_path / str(attempt), start_new_session=True, env={"POLLBENCH_TEST": mark}
        )
        wait_for(partial(_building_or_over, process), "a testbed")
        time.sleep(moments.uniform(0, 0.4))
        process.kill()
        process.communicate()
        caught += bool(namespaces())
        done = command.call("clean")
        assert done.returncode == 0, done.stdout + done.stderr
        assert left_behind(before) == [], f"after kill {attempt}"
        # What the kernel was told to end with its parent may take a moment to be gone.
        wait_for(lambda: not _programs(mark), "the programs of the killed run to end")
        # What was finished before the kill is whole.
        assert command.call("show", tmp_path / str(attempt) / "small").returncode in (0, 2)
    assert caught > 1, "the kills came too late to prove anything"


def _building_or_over(process: Popen[str]) -> bool:
    return bool(namespaces()) or process.poll() is not None


def _programs(mark: str) -> list[str]:
    """Every process that has the mark in its environment: those of the killed command, whoever their parent is now."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if mark.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def test_clean_touches_neither_a_live_run_nor_a_strangers_namespace(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, repeat=15)
    stranger = Path("/run/netns/pbtest-stranger")
    stranger.parent.mkdir(exist_ok=True)
    stranger.touch()
    process = command.start("run", path, "-o", tmp_path)
    try:
        wait_for(lambda: list(tmp_path.glob("small/*/runs/*/run.json")), "the first run")
        assert command.run("clean").returncode == 0
        assert stranger.exists()
        second = _second_run(tmp_path, path, process)
        assert second.returncode == 3
        assert f"process {process.pid}" in second.stderr and "--wait" in second.stderr
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    finally:
        stranger.unlink()
        process.kill()
        process.communicate()


def _second_run(tmp_path: Path, path: Path, first: Popen[str]) -> CompletedProcess[str]:
    second = command.run("run", path, "-o", tmp_path / "second")
    assert first.poll() is None
    assert not (tmp_path / "second").exists()
    return second


def test_a_waiting_run_takes_its_turn(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, repeat=3)
    first = command.start("run", path, "-o", tmp_path / "first")
    wait_for(namespaces, "the first run's testbed")
    second = command.run("run", path, "-o", tmp_path / "second", "--wait")
    first.communicate(timeout=30)
    assert (first.returncode, second.returncode) == (0, 0)


def test_exit_codes_of_inert_and_skipped_runs(tmp_path: Path) -> None:
    plain = experiment.document()["topology"] | {"datapath": "plain"}
    inert = experiment.write(tmp_path, topology=plain, settings={"*": {"busy_poll": {}}})
    assert command.run("run", inert, "-o", tmp_path).returncode == 1
    skipped = experiment.write(tmp_path, settings={"*": {"ethtool_coalesce": {"rx-usecs": 1}}})
    done = command.run("run", skipped, "-o", tmp_path)
    assert done.returncode == 3 and "Operation not supported" in done.stdout


def test_json_output_and_dry_run(tmp_path: Path) -> None:
    path = experiment.write(tmp_path)
    plan = command.run("run", path, "--dry-run", "--json", "-o", tmp_path / "none")
    assert json.loads(plan.stdout)["runs"] and not (tmp_path / "none").exists()
    done = command.run("run", path, "-o", tmp_path, "--json")
    assert json.loads(done.stdout)["cells"]


def test_without_root_one_line_says_what_to_type(tmp_path: Path) -> None:
    path = experiment.write(tmp_path)
    done = command.run("run", path, "-o", tmp_path, prefix=command.UNPRIVILEGED)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1 and "sudo" in done.stderr and str(path) in done.stderr
    assert command.run("clean", prefix=command.UNPRIVILEGED).returncode == 3


def test_everything_but_run_and_clean_works_without_root(tmp_path: Path) -> None:
    path = experiment.write(tmp_path)
    assert command.run("run", path, "-o", tmp_path).returncode == 0
    for arguments in (
        ("plan", path),
        ("validate", path),
        ("doctor", path),
        ("schema",),
        ("show", tmp_path / "small"),
        ("compare", the_set(tmp_path), the_set(tmp_path)),
        ("clean", "--dry-run"),
        ("completion", "bash"),
    ):
        # Each as it starts, too: nothing that another command loads is there.
        done = command.run(*arguments, prefix=command.UNPRIVILEGED, fresh=True)
        assert (done.returncode, done.stderr) == (0, ""), arguments


def test_full_disk_keeps_finished_runs(tmp_path: Path) -> None:
    from harness.kernel import syscalls

    full = tmp_path / "full"
    full.mkdir()
    os.system(f"mount -t tmpfs -o size=400k none {full}")
    try:
        path = experiment.write(tmp_path, repeat=20, workload=experiment.document()["workload"] | {"size": "16B"})
        done = command.run("run", path, "-o", full, "--set", "workload.duration=300ms")
        assert done.returncode == 1
        assert "No space left" in done.stderr and "Traceback" not in done.stderr
        assert command.call("show", full / "small").returncode == 0
    finally:
        syscalls.umount(str(full))


def test_a_reader_of_progress_that_leaves_ends_nothing(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, repeat=4)
    process = command.start("run", path, "-o", tmp_path)
    assert process.stderr is not None and process.stdout is not None
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    process.stdout.close()
    assert len(pd.read_csv(the_set(tmp_path) / "runs.csv")) == 4


def test_a_result_set_that_is_deleted_meanwhile_is_told(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, repeat=20)
    process = command.start("run", path, "-o", tmp_path)
    wait_for(lambda: list(tmp_path.glob("small/*/runs/*/run.json")), "the first run")
    shutil.rmtree(tmp_path / "small", ignore_errors=True)
    shutil.rmtree(tmp_path / "small", ignore_errors=True)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in err


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """`nohup pollbench run` outlives its terminal."""
    path = experiment.write(tmp_path, repeat=5)
    process = command.start("run", path, "-o", tmp_path, prefix=("nohup",))
    wait_for(lambda: list(tmp_path.glob("small/*/runs/*/run.json")), "the first run")
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_suspect_runs_can_be_made_again(tmp_path: Path) -> None:
    strict = experiment.NO_NOISE_LIMITS | {"max_lost_share": "0%", "max_foreign_share": "0%"}
    path = experiment.write(tmp_path, checks=strict, repeat=1)
    first = command.run("run", path, "-o", tmp_path)
    assert first.returncode == 1 and "other programs took" in first.stdout
    (made,) = the_set(tmp_path).glob("runs/*/run.json")
    before = json.loads(made.read_text())["started_utc"]
    command.run("run", path, "-o", tmp_path, "--resume")
    assert json.loads(made.read_text())["started_utc"] == before
    command.run("run", path, "-o", tmp_path, "--resume", "--redo", "suspect")
    assert json.loads(made.read_text())["started_utc"] > before


def test_load_that_comes_and_goes_is_seen(tmp_path: Path) -> None:
    """Programs that began and ended within the measured window: no reading of tasks alone would show them."""
    workload = experiment.document()["workload"] | {"duration": "500ms"}
    path = experiment.write(tmp_path, checks=None, workload=workload, repeat=3)
    loop = "while :; do taskset -c 1 sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'; done"
    with Popen(["sh", "-c", loop]) as stranger:
        try:
            done = command.run("run", path, "-o", tmp_path)
        finally:
            stranger.kill()
    assert done.returncode == 1
    verdicts = pd.read_csv(the_set(tmp_path) / "runs.csv")
    assert list(verdicts["verdict"]) == ["suspect"] * 3
    assert verdicts["foreign_percent"].gt(5).all()
