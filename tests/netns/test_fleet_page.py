"""docs/fleet.md as a reader types it: three hosts, a hundred's options, a batch script and a CI matrix."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.store import ResultSet
from tests import command, experiment
from tests.netns import sshhosts

pytestmark = pytest.mark.skipif(bool(sshhosts.available()), reason=sshhosts.available())

PAGE = (sshhosts.ROOT / "docs" / "fleet.md").read_text()


def blocks(head: str, lang: str = "sh") -> list[str]:
    """The code of one section of the page."""
    section = PAGE.split(f"## {head}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{lang}\n(.*?)```", section, re.DOTALL)


def typed(
    home: Path, text: str, program: Path, bed: sshhosts.Bed | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """What a shell makes of it, where `pollbench`, which is the program, is on the path."""
    programs = home / "programs"
    programs.mkdir(exist_ok=True)
    for name, body in {"sudo": 'exec "$@"', "scontrol": f'echo "$@" >>{home}/scontrol.log'}.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    path = f"{programs}:{program.parent}:{os.environ['PATH']}"
    words = ["bash", "-c", text]
    return subprocess.run(
        bed.command(words) if bed else words,
        cwd=home,
        env=os.environ | {"PATH": path, "ANSIBLE_SSH_CONTROL_PATH_DIR": str(home / "cp")} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    """`pollbench`, where there is no bed of hosts that has one."""
    with command.door(tmp_path / "door") as path:
        yield path


def short(home: Path, **changes: object) -> None:
    """A short experiment in the place of the page's."""
    (home / "experiments").mkdir()
    cases = {"base": {}, "busypoll50": {"settings": {"*": {"busy_poll": {"usecs": 50}}}}}
    sizes = {"workload.size": ["64B", "256B", "1kB"]}
    made = experiment.write(home, name="quickstart", cases=cases, sweep=sizes, repeat=2, **changes)
    made.rename(home / "experiments" / "quickstart.yaml")


def all_of_it(results: ResultSet | None) -> set[str]:
    assert results is not None
    records = results.records()
    assert len(records) == len(results.plan["runs"]) == 12
    blocks: dict[tuple[int, str], set[str]] = {}
    for record in records:
        blocks.setdefault((record.block, str(record.factors)), set()).add(str(record.environment["host"]))
    assert all(len(hosts) == 1 for hosts in blocks.values())
    return set.union(*blocks.values())


def test_three_hosts_and_then_a_hundred_as_the_page_says(tmp_path: Path) -> None:
    short(tmp_path)
    with sshhosts.open_bed(tmp_path, ["dut1", "dut2", "dut3"], network="192.0.2") as bed:
        # What a reader has before: keys, known hosts, and here a pollbench that need not be installed from an index.
        common = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        own = {"pollbench_command": str(bed.program), "ansible_ssh_private_key_file": str(tmp_path / "key")}
        (tmp_path / "group_vars").mkdir()
        (tmp_path / "group_vars" / "all.yml").write_text(yaml.safe_dump(own | {"ansible_ssh_common_args": common}))
        for host in bed.hosts.values():
            (tmp_path / "host_vars").mkdir(exist_ok=True)
            (tmp_path / "host_vars" / f"{host.name}.yml").write_text(f"pollbench_dir: {host.directory}\n")
        (first,) = blocks("Three hosts")
        assert len(first.splitlines()) <= 10
        done = typed(tmp_path, first, bed.program, bed)
        # Runs of three hosts share two CPUs here: what they find is not the matter.
        assert done.returncode in (0, 1), done.stderr
        assert [line.split()[:2] for line in done.stdout.splitlines() if line.startswith("dut")] == [
            [name, "yes"] for name in bed.hosts
        ]
        latest = ResultSet.latest(tmp_path / "results", "quickstart")
        assert all_of_it(latest) == {"dut1", "dut2", "dut3"}
        hundred, clean = blocks("A hundred hosts")
        again, redo = hundred.splitlines()
        done = typed(tmp_path, again, bed.program, bed)
        assert done.returncode in (0, 1), done.stderr
        assert all_of_it(ResultSet.latest(tmp_path / "results", "quickstart")) == {"dut1", "dut2", "dut3"}
        done = typed(tmp_path, redo, bed.program, bed)
        assert done.returncode in (0, 1), done.stderr
        all_of_it(ResultSet.latest(tmp_path / "results", "quickstart"))
        done = typed(tmp_path, clean, bed.program, bed)
        assert done.returncode == 0, done.stderr
        assert not any(host.directory.exists() for host in bed.hosts.values())


def test_the_batch_script_is_put_in_the_queue_again_until_its_share_is_whole(tmp_path: Path, program: Path) -> None:
    """Slurm's part, variables and scontrol, is played here; the script is the page's, but for its budget and number."""
    # A share's six runs take longer than the budget on the fastest of hosts.
    short(tmp_path, workload=experiment.document()["workload"] | {"duration": "600ms"})
    script, merge = blocks("A lab with Slurm, or any other scheduler")
    script = script.replace("--budget 50min", "--budget 3s")
    queue = tmp_path / "scontrol.log"
    begun = 0
    for share in ("1", "2"):
        for attempt in range(1, 13):
            task = {"SLURM_ARRAY_TASK_ID": share, "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_JOB_ID": "7"}
            done = typed(tmp_path, script, program, **task, SLURMD_NODENAME=f"node{share}{attempt % 2}")
            begun += 1
            if not queue.exists():
                break
            assert queue.read_text() == f"requeue 7_{share}\n", done.stderr
            queue.unlink()
        else:
            pytest.fail(f"share {share} is never whole")
    assert begun > 2, "it was never put in the queue again"
    done = typed(tmp_path, merge, program)
    assert done.returncode in (0, 1), done.stderr
    all_of_it(ResultSet.latest(tmp_path / "merged", "quickstart"))


def test_the_ci_matrix_makes_one_set(tmp_path: Path, program: Path) -> None:
    short(tmp_path)
    (text,) = blocks("A lab with Slurm, or any other scheduler", "yaml")
    jobs = yaml.safe_load(text)["jobs"]
    (run,) = [step["run"] for step in jobs["share"]["steps"] if "--share" in step.get("run", "")]
    for share in jobs["share"]["strategy"]["matrix"]["share"]:
        share_run = run.replace("${{ matrix.share }}", str(share)).replace("-o results", f"-o shares/share-{share}")
        done = typed(tmp_path, share_run, program, POLLBENCH_HOST=f"runner{share}")
        assert done.returncode == 0, done.stderr
    (merge,) = [step["run"] for step in jobs["merged"]["steps"] if "merge" in step.get("run", "")]
    done = typed(tmp_path, merge, program)
    assert done.returncode in (0, 1), done.stderr
    hosts = all_of_it(ResultSet.latest(tmp_path / "results", "quickstart"))
    assert hosts == {f"runner{share}" for share in jobs["share"]["strategy"]["matrix"]["share"]}
