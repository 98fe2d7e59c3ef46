"""Control groups of version 2 in a directory made up for the purpose: found, written, left as found; and a run's."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError, MissingError, PollbenchError
from harness.kernel import cgroup, undo
from harness.kernel.hostfiles import HostFiles
from harness.kernel.journal import Written, open_journal
from harness.knobs import GroupUse, Knob, Seen
from harness.knobs.cgroup import Cgroup
from harness.run.cgroups import open_cgroups, used_between
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
    # On a host of version 2 alone, whose own mount point has "cgroup" in its name, nothing of version 1 holds anything.
    files.path("/proc/self/mounts").write_text("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    with pytest.raises(OSError, match=r"\(this kernel lacks it\)"):
        cgroup.require(["cpu"], files)
    # One that lies below a /sys that was mounted later, as for a container, is out of reach.
    files.path("/sys/fs/cgroup/cgroup.controllers").write_text("cpu\n")
    both = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"
    files.path("/proc/self/mounts").write_text(both)
    assert cgroup.require(["cpu"], files) == "/sys/fs/cgroup"
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


class FakeGroup:
    """A group whose files hold what was written, and which has used this much."""

    def __init__(self, node: str, controllers: list[str]) -> None:
        self.node, self.controllers = node, controllers
        self.files: dict[str, str] = {}
        self.used = {"usage_usec": 500, "nr_periods": 10, "nr_throttled": 4, "throttled_usec": 300}
        self.removed = False

    def write(self, file: str, value: str) -> Written:
        found, self.files[file] = self.files.get(file, "max"), value
        return Written(found, value)

    def usage(self) -> dict[str, int]:
        return dict(self.used)

    def affinity(self) -> list[int]:
        return [2, 3]

    @property
    def entrance(self) -> str:
        return f"/made/up/{self.node}/cgroup.procs"


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeGroup]:
    made: dict[str, FakeGroup] = {}

    @contextlib.contextmanager
    def own_group(_journal: object, node: str, controllers: list[str]) -> Iterator[FakeGroup]:
        made[node] = FakeGroup(node, list(controllers))
        yield made[node]
        made[node].removed = True

    @contextlib.contextmanager
    def run_group(journal: object, namespaces: object) -> Iterator[FakeGroup]:
        with own_group(journal, "run", []) as group:
            yield group

    monkeypatch.setattr(cgroup, "own_group", own_group)
    monkeypatch.setattr(cgroup, "run_group", run_group)
    return made


NO_JOURNAL: Any = None


def confined(**fields: object) -> dict[str, Knob]:
    return {"cgroup": Cgroup.model_validate(fields)}


def test_a_run_has_a_group_for_each_node_that_asks_for_one(groups: dict[str, FakeGroup]) -> None:
    settings = {"client": {}, "server": confined(weight=500, quota="20ms"), HOGS: confined(cpus="2-3")}
    with open_cgroups(settings, NO_JOURNAL) as run_groups:
        assert list(groups) == ["run", "server", HOGS]
        assert (groups["server"].controllers, groups[HOGS].controllers) == (["cpu"], ["cpuset"])
        assert groups["server"].files == {"cpu.weight": "500", "cpu.max": "20000 100000"}
        told = [(row.node, row.knob, row.setting, row.found, row.applied) for row in run_groups.rows]
        assert told == [
            ("server", "cgroup", "cpu.weight", "max", "500"),
            ("server", "cgroup", "cpu.max", "max", "20000 100000"),
            (HOGS, "cgroup", "cpuset.cpus", "max", "2-3"),
        ]
        entrances = [run_groups.entrance(node) for node in ("server", "client", HOGS)]
        assert entrances == [f"/made/up/{name}/cgroup.procs" for name in ("server", "run", HOGS)]
        assert run_groups.use() == dict.fromkeys(("server", HOGS), GroupUse(500, 10, 4, 300, (2, 3)))
        assert not any(group.removed for group in groups.values())
    assert all(group.removed for group in groups.values())


def test_a_group_without_a_quota_has_no_periods(groups: dict[str, FakeGroup]) -> None:
    with open_cgroups({"server": confined(weight=500)}, NO_JOURNAL) as run_groups:
        groups["server"].used = {"usage_usec": 7}
        assert run_groups.use() == {"server": GroupUse(7, 0, 0, 0, (2, 3))}


def test_what_groups_did_in_the_window_is_the_difference_of_two_readings() -> None:
    before, after = {"server": GroupUse(100, 5, 1, 20, (0,))}, {"server": GroupUse(150, 9, 3, 90, (0, 1))}
    assert used_between(before, after) == {"server": GroupUse(50, 4, 2, 70, (0, 1))}


@pytest.mark.parametrize(
    ("number", "kind", "refused"), [(errno.EOPNOTSUPP, MissingError, False), (errno.EINVAL, PollbenchError, True)]
)
def test_a_group_that_cannot_be_made_or_written_is_told_with_its_node(
    groups: dict[str, FakeGroup],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[PollbenchError],
    refused: bool,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    if refused:
        monkeypatch.setattr(FakeGroup, "write", refuse)
    else:
        monkeypatch.setattr(cgroup, "own_group", refuse)
    said = f"set cpu.weight to 500 on server: {os.strerror(number)}"
    with (
        pytest.raises(PollbenchError, match=said) as caught,
        open_cgroups({"server": confined(weight=500)}, NO_JOURNAL),
    ):
        pass
    assert type(caught.value) is kind


def test_a_value_that_reads_back_otherwise_is_no_result(
    groups: dict[str, FakeGroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeGroup, "write", lambda _self, file, _value: Written("100", "100"))
    said = "set cpu.weight to 500 on server: accepted, but it reads back 100"
    with pytest.raises(PollbenchError, match=said), open_cgroups({"server": confined(weight=500)}, NO_JOURNAL):
        pass
