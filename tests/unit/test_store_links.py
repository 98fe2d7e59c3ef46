"""Root writes into a directory of somebody else's, who plants links there: nothing is made outside, or through one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import PollbenchError
from harness.places.fleet.merge import merge
from harness.store import ResultSet, atomic
from tests.unit.synthetic import FakePlan, record

STAMP = "20261122T101500Z"
OWNER = (12345, 23456)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A directory that is nobody's business, with a file in it."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "runs.csv").write_text("theirs")
    return place


def listing(place: Path) -> list[tuple[str, int, bytes]]:
    """Everything in there, whose it is and what is in it."""
    return [(path.name, path.stat().st_uid, path.read_bytes()) for path in sorted(place.rglob("*")) if path.is_file()]


def create(base: Path) -> ResultSet:
    return ResultSet.create(base, "quick", STAMP, b"name: quick\n", FakePlan(), {}, OWNER)


def test_the_directory_of_the_experiment_is_a_link(tmp_path: Path, elsewhere: Path) -> None:
    base = tmp_path / "out"
    base.mkdir()
    (base / "quick").symlink_to(elsewhere)
    before = listing(elsewhere)
    with pytest.raises(PollbenchError, match=r"quick is a symbolic link or a file, which is not followed; remove what"):
        create(base)
    assert listing(elsewhere) == before and os.listdir(base) == ["quick"]


@pytest.mark.parametrize("dangling", [False, True])
def test_the_stamp_is_a_link(tmp_path: Path, elsewhere: Path, dangling: bool) -> None:
    base = tmp_path / "out"
    (base / "quick").mkdir(parents=True)
    (base / "quick" / STAMP).symlink_to(tmp_path / "nowhere" if dangling else elsewhere)
    before = listing(elsewhere)
    results = create(base)
    assert results.path.name == f"{STAMP}-2" and listing(elsewhere) == before
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("planted", ["quick", STAMP, "runs"])
def test_a_link_takes_a_directory_s_place_between_two_runs(tmp_path: Path, elsewhere: Path, planted: str) -> None:
    """Each part of the way, while the set is open."""
    results = create(tmp_path / "out")
    results.save_run(record())
    (elsewhere / STAMP / "runs").mkdir(parents=True)
    for name in ("plan.json", f"{STAMP}/plan.json"):
        (elsewhere / name).write_text("{}")
    (elsewhere / "runs").mkdir()
    victim = {"quick": results.path.parent, STAMP: results.path, "runs": results.path / "runs"}[planted]
    os.rename(victim, tmp_path / "aside")
    victim.symlink_to({"quick": elsewhere, STAMP: elsewhere, "runs": elsewhere / "runs"}[planted])
    before = listing(elsewhere)
    with pytest.raises(PollbenchError, match="which is not followed"):
        results.save_run(replace(record(), run_id="0123456789ac"))
    if planted != "runs":
        with pytest.raises(PollbenchError, match="which is not followed"):
            results.write_file("runs.csv", b"ours")
    for name in (".tmp-x", ".old-x"):
        (elsewhere / "runs" / name).touch()
    with pytest.raises(PollbenchError, match="which is not followed"):
        results.remove_leftovers()
    incoming = tmp_path / "incoming"
    (incoming / "0123456789ad").mkdir(parents=True)
    with pytest.raises(PollbenchError, match="which is not followed"):
        merge(results, incoming, {"0123456789ad"})
    assert [entry for entry in listing(elsewhere) if not entry[0].startswith((".tmp", ".old"))] == before
    assert sorted(os.listdir(elsewhere / "runs")) == [".old-x", ".tmp-x"], "nothing of theirs is removed either"


def test_links_in_the_place_of_files_are_replaced_not_written_through(tmp_path: Path, elsewhere: Path) -> None:
    results = create(tmp_path / "out")
    (results.path / "runs.csv").symlink_to(elsewhere / "runs.csv")
    (results.path / f".tmp-runs.csv-{os.getpid()}").symlink_to(elsewhere / "runs.csv")
    before = listing(elsewhere)
    results.write_file("runs.csv", b"ours")
    assert listing(elsewhere) == before
    assert (results.path / "runs.csv").read_bytes() == b"ours" and not (results.path / "runs.csv").is_symlink()


def test_a_link_in_the_place_of_a_run_is_not_emptied(tmp_path: Path, elsewhere: Path) -> None:
    """Neither where a run is to be, nor where an older one was put aside."""
    results = create(tmp_path / "out")
    made = record()
    runs = results.path / "runs"
    (runs / f".old-{made.run_id}").symlink_to(elsewhere)
    (runs / f".tmp-{made.run_id}-{os.getpid()}").symlink_to(elsewhere)
    before = listing(elsewhere)
    results.save_run(made)
    results.save_run(made, replace=True)
    assert listing(elsewhere) == before and results.finished() == {made.run_id}
    (runs / "0123456789ac").symlink_to(elsewhere)
    with pytest.raises(PollbenchError):
        results.save_run(replace(record(), run_id="0123456789ac"))
    assert listing(elsewhere) == before


def test_all_that_is_made_belongs_to_who_typed_sudo(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: only root gives files away")
    base = tmp_path / "new" / "out"
    results = create(base)
    results.save_run(record(), files={"server.stdout.txt": b"x"})
    results.write_file("runs.csv", b"")
    paths = [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in paths} == {OWNER}


def test_a_directory_that_was_named_may_be_a_link(tmp_path: Path) -> None:
    """What a person names is theirs to choose: -o over a link goes where it leads."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    results = create(tmp_path / "results")
    results.save_run(record())
    assert len(list((tmp_path / "disk" / "quick" / STAMP / "runs").iterdir())) == 1


def test_nothing_leads_out_of_the_directory_that_was_named(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OSError, match="leads out"), atomic.folder(tmp_path / "out" / "..", below=tmp_path / "out"):
        pass
    with pytest.raises(ValueError, match="not in the subpath"), atomic.folder(tmp_path, below=tmp_path / "out"):
        pass
