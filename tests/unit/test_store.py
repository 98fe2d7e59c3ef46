"""Result sets on disk: whole or not at all, never overwritten, damage told in words."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import InputError, PollbenchError
from harness.store import SAMPLE_DTYPE, ResultSet, atomic, quantiles
from harness.store import samples as samplefiles
from tests.unit.synthetic import FakePlan, record

STAMP = "20261122T101500Z"


def create(base: Path, stamp: str = STAMP) -> ResultSet:
    return ResultSet.create(base, "quickstart", stamp, b"name: quickstart\n", FakePlan(), {"kernel": "6.18"})


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that other users can look into; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def samples(count: int = 1000) -> np.ndarray[Any, Any]:
    made = np.zeros(count, SAMPLE_DTYPE)
    made["intended_ns"] = np.arange(count) * 60_000
    made["latency_ns"] = 59_000 + np.arange(count) % 777
    made["latency_ns"][::100] = -1
    return made


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    results = create(tmp_path)
    raw = samples()
    made = record()
    results.save_run(made, raw, {"client.stderr": b"hello\n"})
    again = ResultSet.open(results.path)
    assert again.records() == [made]
    read = again.sample_columns(made.run_id, list(SAMPLE_DTYPE.names or ()))
    assert read is not None
    assert all((read[name] == raw[name]).all() for name in read)
    assert again.sample_shape(made.run_id) == (len(raw), SAMPLE_DTYPE.names)
    assert (results.path / "runs" / made.run_id / "client.stderr").read_bytes() == b"hello\n"
    assert again.finished() == {made.run_id}
    assert again.experiment == b"name: quickstart\n"
    assert again.manifest["kernel"] == "6.18"
    assert again.warnings == []


def test_the_same_plan_is_known_again(tmp_path: Path) -> None:
    create(tmp_path)
    again = ResultSet.latest(tmp_path, "quickstart")
    assert again is not None
    assert again.same_plan(FakePlan())
    assert not again.same_plan(FakePlan("1" * 64))


def test_a_taken_stamp_gets_a_number_and_the_newest_is_found(tmp_path: Path) -> None:
    paths = [create(tmp_path).path.name for _ in range(11)]
    assert paths[:3] == [STAMP, f"{STAMP}-2", f"{STAMP}-3"]
    found = ResultSet.latest(tmp_path, "quickstart")
    assert found is not None
    assert found.path.name == f"{STAMP}-11"
    create(tmp_path, "20270101T000000Z")
    (tmp_path / "quickstart" / "99999999T999999Z.tar").mkdir()
    found = ResultSet.latest(tmp_path, "quickstart")
    assert found is not None
    assert found.path.name == "20270101T000000Z"


def test_no_set_yet(tmp_path: Path) -> None:
    assert ResultSet.latest(tmp_path, "quickstart") is None
    with pytest.raises(InputError, match="no such directory"):
        ResultSet.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match="this is not one"):
        ResultSet.open(tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "a\0b"])
def test_a_name_that_is_no_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        ResultSet.create(tmp_path, name, STAMP, b"", FakePlan(), {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not readable as JSON"),
        (b"\xff\xfe", "not readable as JSON"),
        (b"[]", "not a sound run record: Input should be an object"),
        (b'{"run_id": "else", "case": "a", "verdict": "valid"}', "says it is run 'else'"),
        (b'{"run_id": "else", "case": "a", "verdict": "good"}', "run record.verdict: Input should be"),
        (b"[" * 100_000, "not readable as JSON"),
    ],
)
def test_damage_is_a_warning(tmp_path: Path, content: bytes, said: str) -> None:
    results = create(tmp_path)
    good, bad = record(block=0), record(block=1)
    for made in (good, bad):
        results.save_run(made)
    (results.path / "runs" / bad.run_id / "run.json").write_bytes(content)
    again = ResultSet.open(results.path)
    assert [found.run_id for found in again.records()] == [good.run_id]
    assert len(again.warnings) == 1
    assert said in again.warnings[0]
    assert bad.run_id in again.warnings[0]
    # It counts as missing, so a resumed set makes it again in its place.
    again.save_run(bad)
    assert again.finished() == {good.run_id, bad.run_id}
    assert again.remove_leftovers() == []


def test_damaged_samples_and_manifest_are_warnings(tmp_path: Path) -> None:
    results = create(tmp_path)
    made = record()
    path = results.save_run(made, samples())
    whole = (path / "samples.parquet").read_bytes()
    for content in (b"", b"PAR1", whole[: len(whole) // 2], whole[:200] + b"\0" * 200 + whole[400:]):
        (path / "samples.parquet").write_bytes(content)
        results.warnings.clear()
        if results.sample_columns(made.run_id, ["latency_ns"]) is None:
            assert "samples.parquet" in results.warnings[0]
    assert results.sample_columns("nothere", ["latency_ns"]) is None
    (results.path / "manifest.json").write_bytes(b"{")
    assert "manifest.json is damaged" in ResultSet.open(results.path).warnings[0]


def test_a_finished_run_is_never_overwritten(tmp_path: Path) -> None:
    results = create(tmp_path)
    results.save_run(record(verdict="failed"))
    with pytest.raises(PollbenchError, match="on disk already"):
        results.save_run(record())
    assert results.records()[0].verdict == "failed"
    results.save_run(record(), replace=True)
    assert results.records()[0].verdict == "valid"


def test_a_full_disk_says_what_to_do_and_keeps_finished_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = create(tmp_path)
    results.save_run(record(block=0))

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PollbenchError, match="No space left") as caught:
        results.save_run(record(block=1), samples())
    assert "--resume" in caught.value.line()
    monkeypatch.undo()
    assert len(results.records()) == 1
    assert [entry.name for entry in (results.path / "runs").iterdir()] == [record(block=0).run_id]


def test_leftovers_of_a_killed_writer(tmp_path: Path) -> None:
    results = create(tmp_path)
    made = record()
    path = results.save_run(made)
    (results.path / "runs" / ".tmp-0123-99").mkdir()
    (results.path / "runs" / ".tmp-0123-99" / "run.json").write_text("{")
    (results.path / ".tmp-runs.csv-99").write_text("half")
    # Killed between taking the old run away and putting the new one there.
    path.rename(path.with_name(f".old-{path.name}"))
    assert results.records() == []
    assert results.warnings == []
    assert results.remove_leftovers() == [".tmp-runs.csv-99", ".tmp-0123-99"]
    assert results.records() == [made]


def test_numbers_of_any_kind_become_json(tmp_path: Path) -> None:
    results = create(tmp_path)
    figures: Any = {"a_us": np.float64(1.5), "b_count": np.int64(3), "c_us": float("nan"), "d_us": float("inf")}
    results.save_run(replace(record(), metrics=figures))
    assert results.records()[0].metrics == {"a_us": 1.5, "b_count": 3, "c_us": None, "d_us": None}


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", ".hidden", "run.json"])
def test_file_names_stay_in_the_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"plain file name|store itself"):
        create(tmp_path).save_run(record(), files={name: b""})


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_everything_belongs_to_the_owner(tmp_path: Path) -> None:
    owner = (12345, 23456)
    base = tmp_path / "results" / "deep"
    results = ResultSet.create(base, "quickstart", STAMP, b"", FakePlan(), {}, owner)
    results.save_run(record(), samples(), {"log": b""})
    results.write_file("runs.csv", b"case\n")
    made = [base.parent, base, *base.rglob("*")]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {owner}
    assert tmp_path.stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_reading_needs_no_privilege_and_writing_says_so(open_path: Path) -> None:
    results = create(open_path)
    results.save_run(record(), samples())
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            again = ResultSet.open(results.path)
            read = again.sample_columns(record().run_id, ["latency_ns"])
            try:
                again.save_run(record(block=1))
            except PollbenchError as error:
                code = 0 if len(again.records()) == 1 and read is not None and "-o" in error.line() else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runs.csv"
    atomic.write_file(path, b"old")

    def broken(old: object, new: object, **directories: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "rename", broken)
    with pytest.raises(OSError, match="Input"):
        atomic.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_only_columns_that_a_file_has_are_read(tmp_path: Path) -> None:
    new = np.zeros(3, dtype=[("intended_ns", "<i8"), ("latency_ns", "<i8")])
    new["intended_ns"], new["latency_ns"] = (1, 2, 3), (7, 8, -1)
    path = tmp_path / "samples.parquet"
    path.write_bytes(samplefiles.encode(new))
    found = samplefiles.read_columns(path, ["latency_ns"])
    assert {name: values.tolist() for name, values in found.items()} == {"latency_ns": [7, 8, -1]}
    with pytest.raises(ValueError, match="service_ns"):
        samplefiles.read_columns(path, ["service_ns"])


def written(path: Path, latency_ns: Any, footer: bytes | None) -> Path:
    """A file of these round trips, with such quantiles in its footer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"latency_ns": np.asarray(latency_ns, dtype=np.int64)})
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        if footer is not None:
            writer.add_key_value_metadata({quantiles.KEY: footer})
    return path


def test_samples_carry_their_quantiles_and_others_are_not_believed(tmp_path: Path) -> None:
    raw, path = samples(), tmp_path / "samples.parquet"
    latency = raw["latency_ns"]
    path.write_bytes(samplefiles.encode(raw))
    truth = quantiles.quantiles_of(latency)
    assert (truth.answered, truth.lost) == (990, 10)

    def read(values: Any, footer: bytes | None) -> list[int]:
        found = samplefiles.read_quantiles(written(path, values, footer))
        return [found.answered, found.lost, *found.ns.tolist()]

    def sorted_anew(values: Any) -> list[int]:
        found = quantiles.quantiles_of(np.asarray(values, dtype=np.int64))
        return [found.answered, found.lost, *found.ns.tolist()]

    found = samplefiles.read_quantiles(path)
    assert [found.answered, found.lost, *found.ns] == sorted_anew(latency) == read(latency, None)
    # That it is the footer which is read: these differ from what sorting gives, and could be of these samples.
    moved = replace(truth, ns=np.where(truth.ns > 59_300, np.maximum(truth.ns - 100, 59_300), truth.ns))
    moved.ns[-1] = truth.ns[-1]
    assert read(latency, quantiles.packed(moved)) == [990, 10, *moved.ns.tolist()] != sorted_anew(latency)
    own = quantiles.packed(truth)
    for others in (latency[:-7], latency[latency >= 0], np.minimum(latency, 59_500), np.abs(latency), latency[:0]):
        assert read(others, own) == sorted_anew(others)
    falling, longer = replace(truth, ns=truth.ns[::-1]), replace(truth, ns=np.append(truth.ns, truth.ns[-1:]))
    for damaged in (b"", b"AAAA", b"\xff", own[:-4], quantiles.packed(falling), quantiles.packed(longer)):
        assert read(latency, damaged) == sorted_anew(latency)


def test_another_grid_of_quantiles_has_another_name() -> None:
    name = {b"pollbench.quantiles.1": "f4bb847b9495"}
    assert hashlib.sha256(quantiles.GRID.astype("<i8").tobytes()).hexdigest()[:12] == name[quantiles.KEY]
