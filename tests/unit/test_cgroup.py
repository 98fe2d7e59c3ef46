"""Control groups of version 2 in a directory made up for the purpose: found, written, left as they were."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.kernel import cgroup, undo
from harness.kernel.hostfiles import HostFiles
from harness.kernel.journal import open_journal
from harness.knobs import GroupUse, Seen
from harness.knobs.cgroup import Cgroup
from harness.spec.cells import HOGS
from tests import experiment


@pytest.fixture
def files(tmp_path: Path) -> HostFiles:
    top = tmp_path / "sys/fs/cgroup"
    top.mkdir(parents=True)
    (top / "cgroup.controllers").write_text("cpuset cpu io memory\n")
    (top / "cgroup.subtree_control").write_text("cpu memory\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    return HostFiles(tmp_path)


def test_a_group_is_marked_journalled_and_removed(files: HostFiles, tmp_path: Path) -> None:
    top = files.path("/sys/fs/cgroup")
    with open_journal(tmp_path / "state") as journal:
        with cgroup.own_group(journal, "server", ["cpu"], files) as group:
            assert group.path == top / f"pollbench-{journal.token}-server"
            noted = (journal.directory / "journal").read_text()
            assert '"kind": "cgroup"' in noted and '"kind": "subtree"' not in noted
            (group.path / "cpu.weight").write_text("100\n")
            done = group.write("cpu.weight", "500")
            assert (done.found, done.applied) == ("100", "500")
            # A real group's files go with it.
            (group.path / "cpu.weight").unlink()
        assert not group.path.exists()


def test_a_controller_that_is_not_handed_down_is_for_a_while(files: HostFiles, tmp_path: Path) -> None:
    control = files.path("/sys/fs/cgroup/cgroup.subtree_control")
    with open_journal(tmp_path / "state") as journal:
        with cgroup.own_group(journal, "server", ["cpuset"], files):
            # The made-up file holds what was written; the kernel's would list it.
            assert control.read_text() == "+cpuset"
        assert control.read_text() == "-cpuset"


def test_controllers_that_version_1_holds(files: HostFiles) -> None:
    files.path("/sys/fs/cgroup/cgroup.controllers").write_text("hugetlb\n")
    files.path("/proc/self/mounts").write_text(
        "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"
    )
    with pytest.raises(OSError, match=r"no cpu and cpuset controller here \(cgroup v1 holds it\)") as caught:
        cgroup.require(["cpu", "cpuset"], files)
    assert caught.value.errno == errno.EOPNOTSUPP
    files.path("/proc/self/mounts").write_text("proc /proc proc rw 0 0\n")
    with pytest.raises(OSError, match="not mounted"):
        cgroup.require(["cpu"], files)


def test_undo_removes_only_what_bears_our_name(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "pollbench-abc-server", tmp_path / "user.slice"
    for path in (ours, theirs):
        path.mkdir()
        dry = undo.undo("abc", {"kind": "cgroup", "path": str(path)}, dry_run=True)
        assert (dry.action if dry else None) == ("would remove" if path is ours else None)
        undo.undo("abc", {"kind": "cgroup", "path": str(path)}, dry_run=False)
    assert theirs.exists()


def test_undo_takes_back_what_was_handed_down(tmp_path: Path) -> None:
    control = tmp_path / "cgroup.subtree_control"
    control.write_text("cpu cpuset\n")
    entry = {"kind": "subtree", "path": str(control), "controller": "cpuset"}
    done = undo.undo("abc", entry, dry_run=False)
    assert done is not None and done.action == "restored" and control.read_text() == "-cpuset"
    assert undo.undo("abc", {**entry, "controller": "io"}, dry_run=False) is None


def test_settings_in_the_kernels_own_words() -> None:
    model = Cgroup.model_validate({"cpus": "2-3", "partition": "isolated", "weight": 500, "quota": "20ms"})
    assert [(s.name, s.value) for s in Cgroup.settings(model)] == [
        ("cpuset.cpus", "2-3"),
        ("cpuset.cpus.partition", "isolated"),
        ("cpu.weight", "500"),
        ("cpu.max", "20000 100000"),
    ]
    assert Cgroup.capabilities(model) == ("cgroup-cpuset", "cgroup-cpu")
    for wrong in ({}, {"partition": "root"}):
        with pytest.raises(ValueError, match=r"nothing is set|add cpus"):
            Cgroup.model_validate(wrong)


@pytest.mark.parametrize(
    ("settings", "use", "took", "said"),
    [
        ({"cpus": "1"}, GroupUse(5000, cpus=(1,)), None, "its processes may run on CPU 1"),
        ({"cpus": "1"}, GroupUse(5000, cpus=(0, 1)), False, "its processes may run on CPU 0-1"),
        ({"quota": "2ms"}, GroupUse(5000, 10, 4, 3000), True, "throttled in 4 of 10 periods, 3 ms in all"),
        ({"quota": "90ms"}, GroupUse(5000, 10), None, "its quota was never reached"),
        ({"weight": 10}, GroupUse(5000), None, "it used 5 ms of CPU time"),
    ],
)
def test_the_kernel_s_account_of_a_group_is_the_evidence(
    settings: dict[str, object], use: GroupUse, took: bool | None, said: str
) -> None:
    effect = Cgroup.model_validate(settings).effect(Seen(group=use))
    assert (effect.took, said in effect.evidence) == (took, True), effect


def test_hogs_have_a_group_of_their_own_when_it_is_declared(tmp_path: Path) -> None:
    contention = {"on": "server.cpus", "cgroup": {"weight": 10, "quota": "5ms"}}
    (cell,) = experiment.plan(tmp_path, contention=contention).cells
    hogs = cell.spec.confined()[HOGS]["cgroup"]
    assert [(each.name, each.value) for each in hogs.settings()] == [("cpu.weight", "10"), ("cpu.max", "5000 100000")]
    (plain,) = experiment.plan(tmp_path, contention={"on": "server.cpus"}).cells
    assert not plain.spec.confined()
    assert "cgroup" not in plain.spec.identity()["contention"]
    with pytest.raises(InputError, match="expected weight or quota"):
        experiment.plan(tmp_path, contention={"on": "server.cpus", "cgroup": {}})
