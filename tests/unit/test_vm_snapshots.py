"""Snapshots in the cache: whole or not at all, made once by whoever comes first, and bounded."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli.parser import build_parser
from harness.cli.vm import resumes
from harness.errors import PollbenchError
from harness.kernel import facts
from harness.kernel.filelock import file_lock
from harness.places.vm import snapshots as keeper
from harness.places.vm.emulator import Qemu
from harness.places.vm.home import Home, disk_bytes
from harness.places.vm.image import Image
from harness.places.vm.kind import Kind
from harness.places.vm.resume import clock_ahead
from harness.places.vm.snapshots import Damaged, Snapshots, sparse_sha256
from harness.spec.machine import Machine

MIB = 1 << 20


def impatient() -> None:
    raise AssertionError("nobody else should hold it")


class Maker:
    """Writes a state, and counts how often it was asked to."""

    def __init__(self, content: bytes = b"state of a guest", size: int = 8 * MIB) -> None:
        self.content, self.size, self.made = content, size, 0

    def __call__(self, path: Path) -> None:
        self.made += 1
        with open(path, "wb") as file:
            file.truncate(self.size)
            file.seek(self.size // 2)
            file.write(self.content)


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return Snapshots(Home(tmp_path / "home"), impatient)


def kept(snapshots: Snapshots) -> set[str]:
    """Everything in the directory of snapshots, lock files too."""
    return {path.name for path in snapshots.path.iterdir()}


def test_one_is_made_once_and_each_key_has_its_own(snapshots: Snapshots) -> None:
    first, other = Maker(b"first"), Maker(b"other")
    for _ in range(2):
        with snapshots.held("one", first) as held:
            held.confirm()
            assert b"first" in held.state.read_bytes()
        with snapshots.held("two", other) as held:
            assert b"other" in held.state.read_bytes()
    assert (first.made, other.made) == (1, 1)
    assert kept(snapshots) == {"one", "two"}
    assert list(snapshots.path.parent.glob("tmp-*")) == []


def flip(state: Path) -> None:
    with open(state, "r+b") as file:
        file.seek(4 * MIB + 3)
        file.write(b"!")


def fill_a_hole(state: Path) -> None:
    with open(state, "r+b") as file:
        file.seek(MIB)
        file.write(b"!")


def cut(state: Path) -> None:
    os.truncate(state, 3 * MIB)


def lose(state: Path) -> None:
    state.unlink()


def lose_the_sum(state: Path) -> None:
    state.with_name("sum.json").write_text("{")


@pytest.mark.parametrize("harm", [flip, fill_a_hole, cut, lose, lose_the_sum])
def test_a_damaged_one_is_made_again(snapshots: Snapshots, harm: Callable[[Path], None]) -> None:
    make = Maker()
    with snapshots.held("one", make) as held:
        before = sparse_sha256(held.state)
    harm(held.state)
    with pytest.raises(Damaged, match="it was damaged"), snapshots.held("one", make) as held:
        held.confirm()
    assert kept(snapshots) == set()
    with snapshots.held("one", make) as held:
        held.confirm()
        assert sparse_sha256(held.state) == before
    assert make.made == 2
    assert kept(snapshots) == {"one"}


def test_holes_and_zeros_are_the_same_and_places_are_not(tmp_path: Path) -> None:
    holes, zeros, moved = (tmp_path / name for name in ("holes", "zeros", "moved"))
    Maker()(holes)
    zeros.write_bytes(holes.read_bytes())
    assert disk_bytes(holes) < disk_bytes(zeros)
    moved.write_bytes(bytes(MIB) + zeros.read_bytes()[:-MIB])
    assert sparse_sha256(holes) == sparse_sha256(zeros) != sparse_sha256(moved)


def test_one_that_is_cut_while_it_is_read_comes_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state := tmp_path / "state").write_bytes(b"x" * 10_000_000)
    whole, read = sparse_sha256(state), os.preadv

    def cut_first(*given: Any) -> int:
        os.truncate(state, 9_999_999)
        return read(*given)

    monkeypatch.setattr(os, "preadv", cut_first)
    assert sparse_sha256(state) != whole


def test_of_two_at_once_one_makes_and_the_other_waits(tmp_path: Path) -> None:
    home, made, waited, seen = Home(tmp_path / "home"), [], threading.Event(), []

    def slow(path: Path) -> None:
        made.append(path)
        assert waited.wait(60)
        Maker()(path)

    def wait() -> None:
        waited.set()
        time.sleep(0.01)

    def use() -> None:
        with Snapshots(home, wait).held("one", slow) as held:
            seen.append(held.state.read_bytes())

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    for user in users:
        user.join(60)
    assert len(made) == 1
    assert len(seen) == 2
    assert seen[0] == seen[1]


def test_what_cannot_be_made_leaves_nothing(snapshots: Snapshots) -> None:
    def full(path: Path) -> None:
        path.write_bytes(b"half of")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(PollbenchError, match="no space left on the disk"), snapshots.held("one", full):
        pass
    assert kept(snapshots) == set()
    assert list(snapshots.path.parent.glob("tmp-*")) == []


@pytest.mark.parametrize(("name", "bound"), [("MOST", 2), ("MOST_BYTES", 5 * MIB // 2)])
def test_those_used_longest_ago_go_but_not_one_in_use(
    snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch, name: str, bound: int
) -> None:
    make = Maker(b"x" * MIB)
    for number, key in enumerate(("in use", "oldest", "newer")):
        with snapshots.held(key, make):
            pass
        os.utime(snapshots.path / key, (number, number))
    monkeypatch.setattr(keeper, name, bound)
    with file_lock(snapshots.path / "in use.lock"):
        with snapshots.held("newest", make):
            pass
        assert {path.name for path in snapshots.path.iterdir() if path.is_dir()} >= {"in use", "newest"}
        assert not (snapshots.path / "oldest").exists()
    assert list(snapshots.sizes())[-1] == "newest"


def test_a_lock_is_free_and_its_file_gone_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with file_lock(path) as mine:
        assert mine
        with file_lock(path) as other:
            assert not other
        assert path.exists()
    assert not path.exists()
    tries = iter([None])
    with file_lock(path, lambda: next(tries)) as mine:
        assert mine


@pytest.mark.parametrize(
    ("asked", "accelerator", "resumed"),
    [
        ((), "tcg-smoke", True),
        ((), "tcg-virtual", False),
        (("--snapshots", "yes"), "tcg-virtual", True),
        (("--snapshots", "no"), "tcg-smoke", False),
    ],
)
def test_guests_in_model_time_are_resumed_only_on_request(
    asked: tuple[str, ...], accelerator: str, resumed: bool
) -> None:
    for command in (("vm", "run", "file.yaml"), ("gallery", "--in-vm")):
        assert resumes(build_parser().parse_args([*command, *asked]), accelerator) is resumed


NONE = Path("/none")
IMAGE = Image("6.12", "6.12.1", *(NONE,) * 5, {"root": "a", "payload": "b"})
KIND = Kind(Home(NONE), Qemu(("/opt/qemu",), "10.0.13", "host"), IMAGE, Machine(), "tcg-smoke", {"e1000e": 1})


def test_the_key_is_of_all_that_the_state_depends_on_and_not_of_the_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [
        replace(KIND, emulator=replace(KIND.emulator, version="10.0.14")),
        replace(KIND, emulator=replace(KIND.emulator, origin="provided")),
        replace(KIND, image=replace(IMAGE, hashes={"root": "a", "payload": "c"})),
        *(replace(KIND, machine=machine) for machine in (Machine(cpus=4), Machine(iommu="pt"), Machine(numa_nodes=2))),
        *(replace(KIND, machine=machine) for machine in (Machine(cmdline="idle=poll"), Machine(memory="2GiB"))),
        replace(KIND, accelerator="tcg-virtual"),
        replace(KIND, pairs={"e1000e": 2}),
        replace(KIND, pairs={"igb": 1}),
    ]
    keys = [kind.key() for kind in (KIND, *others)]
    assert len(set(keys)) == len(keys)
    alike = [replace(KIND, machine=one) for one in (Machine(seed=9), Machine(profile="none"), Machine(output="1MiB"))]
    assert {kind.key() for kind in alike} == {keys[0]}
    monkeypatch.setattr(facts, "boot_id", lambda: "another")
    assert KIND.key() != keys[0]
    assert others[-3].key() == keys[-3]  # model time owes the host nothing


@pytest.mark.parametrize(
    ("said", "ahead"),
    [
        ('{"ev": "up", "uptime_s": 900}\n{"ev": "waits", "uptime_s": 59.5}\n', False),
        ('{"ev": "up", "uptime_s": 9}\n{"ev": "waits", "uptime_s": 2277.01}\n', True),
        ('{"ev": "waits", "uptime_s": 64.5}\n', True),
        ('no JSON\n[1]\n{"ev": "waits"}\n{"ev": "waits", "uptime_s": "long"}\n', False),
        ("", False),
    ],
)
def test_a_guest_whose_clock_ran_ahead_while_it_started_is_not_saved(tmp_path: Path, said: str, ahead: bool) -> None:
    events = tmp_path / "events"
    events.write_text(said)
    lack = clock_ahead(events, 60.0)
    assert bool(lack) == ahead
    assert not ahead or "s after 60 s: this host was too busy" in lack
