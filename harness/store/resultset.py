"""One result set: results/NAME/STAMP with the experiment, the plan, a manifest, and a directory per run."""

from __future__ import annotations

import errno
import gc
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from harness.errors import InputError, PollbenchError
from harness.store import atomic, codec, samples
from harness.store.quantiles import Quantiles
from harness.store.record import RunRecord
from harness.store.regular import read_regular

_STAMP = re.compile(r"(\d{8}T\d{6}Z)(?:-(\d+))?")
_PLAIN_NAME = re.compile(r"[^./\x00-\x1f][^/\x00-\x1f]*")
_OLD = ".old-"
T = TypeVar("T")


class PlanLike(Protocol):
    """What the store needs to know of a plan."""

    @property
    def plan_hash(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


class ResultSet:
    """A result set on disk.

    `warnings` collects, in words, whatever was found damaged or partial; nothing here raises for that.
    """

    def __init__(
        self, path: Path, manifest: dict[str, Any], owner: atomic.Owner | None = None, below: Path | None = None
    ) -> None:
        self.path = path
        # What a person named; beneath it no symbolic link is followed when something is written.
        self.below = below or path
        self.manifest = manifest
        self.owner = owner
        self.warnings: list[str] = []

    # -- making and finding -------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        base_dir: str | Path,
        name: str,
        stamp: str,
        experiment: bytes,
        plan: PlanLike,
        manifest: Mapping[str, Any],
        owner: atomic.Owner | None = None,
    ) -> ResultSet:
        """Make base_dir/name/stamp, or stamp-2, -3... when that is taken; nothing is ever overwritten.

        `experiment` is the file verbatim. The manifest gets the hashes that `same_plan` compares later.
        Raises InputError for a name or stamp that cannot be a directory, PollbenchError if the disk refuses.
        """
        if not _PLAIN_NAME.fullmatch(name):
            raise InputError("name a result directory", on=repr(name), got="not usable as a directory name")
        if not _STAMP.fullmatch(stamp):
            raise InputError("name a result directory", on=repr(stamp), got="not of the form 20261122T101500Z")
        document = dict(manifest)
        document["hashes"] = {
            **document.get("hashes", {}),
            "experiment_sha256": hashlib.sha256(experiment).hexdigest(),
            "plan": plan.plan_hash,
        }
        files = {
            "experiment.yaml": experiment,
            "plan.json": codec.to_json(plan.to_json()),
            "manifest.json": codec.to_json(document),
        }
        parent = Path(base_dir) / name
        with atomic.explained("make the result directory", parent, keep="nothing was measured yet"):
            below = Path(base_dir)
            atomic.make_directories(parent, owner, below)
            with atomic.folder(parent, owner, below) as above:
                path = parent / _claim(above, stamp, files)
            with atomic.folder(path, owner, below) as made:
                made.make("runs")
                made.sync()
        return cls(path, document, owner, below)

    @classmethod
    def open(cls, path: str | Path, owner: atomic.Owner | None = None, below: Path | None = None) -> ResultSet:
        """A result set that is there. Raises InputError when the directory is none; writes nothing.

        below: which directory above it was named, if not this one.
        """
        path = Path(path)
        if not (path / "plan.json").is_file() and not (path / "runs").is_dir():
            got = "this is not one" if path.is_dir() else "no such directory"
            todo = "name a directory like results/NAME/STAMP that `pollbench run` made"
            raise InputError("open a result set", on=str(path), got=got, todo=todo)
        results = cls(path, {}, owner, below)
        results.manifest = results._document("manifest.json")
        return results

    @classmethod
    def latest(cls, base_dir: str | Path, name: str, owner: atomic.Owner | None = None) -> ResultSet | None:
        """The newest set of an experiment, by its stamp; None when there is none."""
        try:
            entries = [entry for entry in (Path(base_dir) / name).iterdir() if entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            entries = []
        stamps = [(match[1], int(match[2] or 1), entry) for entry in entries if (match := _STAMP.fullmatch(entry.name))]
        return cls.open(max(stamps)[2], owner, Path(base_dir)) if stamps else None

    # -- what is in it ------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The experiment's name and the stamp, as a person would call this set."""
        return f"{self.path.resolve().parent.name}/{self.path.resolve().name}"

    @property
    def experiment(self) -> bytes:
        """The experiment file as it was given; empty if it has gone."""
        try:
            return read_regular(self.path / "experiment.yaml")
        except OSError as error:
            self._warn(f"experiment.yaml cannot be read: {error.strerror}")
            return b""

    @property
    def plan(self) -> dict[str, Any]:
        """The plan as JSON data; empty if it cannot be read."""
        return self._document("plan.json")

    def same_plan(self, plan: PlanLike) -> bool:
        """Was this set made by exactly this plan? Only then can it be resumed."""
        hashes = self.manifest.get("hashes")
        return isinstance(hashes, dict) and hashes.get("plan") == plan.plan_hash

    def grow(self, plan: PlanLike) -> None:
        """Take `plan`, which holds every run of the plan so far and more, for this set's plan.

        The plan goes first: killed in between, the set is still one of the smaller plan. Raises PollbenchError.
        """
        self.write_file("plan.json", codec.to_json(plan.to_json()))
        self.note(hashes={**self.manifest.get("hashes", {}), "plan": plan.plan_hash})

    def note(self, **entries: Any) -> None:
        """Add entries to the manifest, or replace them, and write it. Raises PollbenchError."""
        self.manifest |= entries
        self.write_file("manifest.json", codec.to_json(self.manifest))

    def finished(self) -> set[str]:
        """Ids of the runs that are wholly on disk, whatever their verdict."""
        return {record.run_id for record in self.records()}

    def run_ids(self) -> list[str]:
        """The ids of all run directories, sound or damaged, in alphabetical order; reads none of them."""
        return [entry.name for entry in self._run_directories()]

    def records(self) -> list[RunRecord]:
        """Every readable run record in the order the runs were made; damaged ones become warnings."""
        # Millions of small objects are made and none can go yet: the garbage collector's search among them would be
        # most of the time that a large set takes.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return sorted(self.each_record(), key=lambda record: (record.order, record.run_id))
        finally:
            if collecting:
                gc.enable()

    def each_record(self) -> Iterator[RunRecord]:
        """The records one at a time, in the order of the run ids: ten thousand of them need not fit in memory."""
        for entry in self._run_directories():
            if (record := self._record(entry)) is not None:
                yield record

    def _record(self, directory: Path) -> RunRecord | None:
        """The record in a run's directory; None with a warning where there is no sound one."""
        try:
            return codec.read(read_regular(directory / "run.json"), directory.name)
        except OSError as error:
            self._warn(f"run {directory.name} is left out: run.json: {error.strerror}")
        except ValueError as error:
            self._warn(f"run {directory.name} is left out: run.json {error}")
        return None

    def sample_columns(self, run_id: str, names: Sequence[str]) -> dict[str, npt.NDArray[np.int64]] | None:
        """The named columns of a run's samples, no others; None with a warning when damaged, None without any."""
        return self._of_samples(run_id, lambda path: samples.read_columns(path, names))

    def sample_quantiles(self, run_id: str) -> Quantiles | None:
        """The quantiles of a run's round trips, mostly from the file's footer; None as `sample_columns` has it."""
        return self._of_samples(run_id, samples.read_quantiles)

    def sample_shape(self, run_id: str) -> tuple[int, tuple[str, ...]] | None:
        """How many samples a run has and in which columns, from the file's footer; None as `sample_columns` has it."""
        return self._of_samples(run_id, samples.rows_of)

    def _of_samples(self, run_id: str, read: Callable[[Path], T]) -> T | None:
        try:
            return read(self.sample_file(run_id))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._warn(f"run {run_id}: samples.parquet cannot be read: {error}")
            return None

    def sample_file(self, run_id: str) -> Path:
        """Where the raw samples of a run are, or would be."""
        return Path(self.path, "runs", run_id, "samples.parquet")

    # -- writing ------------------------------------------------------------------------------------------

    def save_run(
        self,
        record: RunRecord,
        raw: npt.NDArray[Any] | None = None,
        files: Mapping[str, bytes] | None = None,
        *,
        replace: bool = False,
    ) -> Path:
        """Put a finished run on the disk: afterwards all of it is there, or (on any error) none of it.

        raw: the samples, a structured array of whole numbers; files: further files by plain name. A damaged
        directory of the same run is replaced; a sound one only with `replace`. Raises PollbenchError.
        """
        run_id = record.run_id
        target = self.path / "runs" / run_id
        content = {"run.json": codec.to_json(record)}
        if raw is not None:
            content["samples.parquet"] = samples.encode(raw)
        if files and (taken := content.keys() & files.keys()):
            raise ValueError(f"{taken.pop()} is written by the store itself")
        content |= files or {}
        for name in (run_id, *content):
            if not _PLAIN_NAME.fullmatch(name):
                raise ValueError(f"not a plain file name: {name!r}")
        if not (self.path / "plan.json").is_file():
            raise PollbenchError(f"save run {run_id}", str(self.path), "the result set is gone", "begin a new one")
        with atomic.explained(f"save run {run_id}", target):
            atomic.make_directories(target.parent, self.owner, self.below)
            with atomic.folder(target.parent, self.owner, self.below) as runs:
                self._make_room(runs, target, replace)
                runs.write_directory(run_id, content)
                runs.discard(_OLD + run_id)
        return target

    def as_rejected(self, record: RunRecord) -> dict[str, bytes]:
        """The files of a run on the disk, under the names that they have beside the attempt which takes its place.

        rejected-1.json is the record of the first attempt, rejected-1.samples.parquet its samples, and so on.
        """
        kept, lead = {}, f"rejected-{record.attempt}."
        for entry in sorted((self.path / "runs" / record.run_id).iterdir()):
            if entry.is_file() and not entry.is_symlink():
                name = "json" if entry.name == "run.json" else entry.name
                kept[entry.name if name.startswith("rejected-") else lead + name] = read_regular(entry)
        return kept

    def write_file(self, name: str, data: bytes) -> None:
        """Write one file of the set (a table) whole or not at all. Raises PollbenchError."""
        with atomic.explained(f"write {name}", self.path):
            atomic.write_file(self.path / name, data, self.owner, self.below)

    def remove_leftovers(self) -> list[str]:
        """Remove what a killed writer left unfinished, and return its names. There must be no other writer."""
        removed = []
        for path in filter(Path.is_dir, (self.path, self.path / "runs")):
            with (
                atomic.explained("remove an unfinished run", path),
                atomic.folder(path, self.owner, self.below) as here,
            ):
                for name in here.names():
                    before = name.removeprefix(_OLD)
                    if name.startswith(_OLD) and not here.holds(before):
                        # Killed between taking the old run away and putting the new one in its place.
                        here.rename(name, before)
                    elif name.startswith((atomic.TMP, _OLD)):
                        here.discard(name)
                        removed.append(name)
        return removed

    # -- inside -------------------------------------------------------------------------------------------

    def _make_room(self, runs: atomic.Folder, target: Path, replace: bool) -> None:
        name = target.name
        if not runs.holds(name, directory=True):
            return
        if not replace and self._record(target) is not None:
            raise FileExistsError(errno.EEXIST, "this run is on disk already")
        runs.discard(_OLD + name)
        runs.rename(name, _OLD + name)

    def _run_directories(self) -> list[Path]:
        try:
            entries = sorted((self.path / "runs").iterdir())
        except OSError as error:
            self._warn(f"runs/ cannot be read: {error.strerror}")
            return []
        return [entry for entry in entries if not entry.name.startswith(".") and entry.is_dir()]

    def _document(self, name: str) -> dict[str, Any]:
        try:
            document = json.loads(read_regular(self.path / name).decode("utf-8"))
            if isinstance(document, dict):
                return document
            self._warn(f"{name} is damaged: it holds no mapping")
        except OSError as error:
            self._warn(f"{name} cannot be read: {error.strerror}")
        except (ValueError, RecursionError) as error:
            self._warn(f"{name} is damaged: {error}")
        return {}

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


def _claim(parent: atomic.Folder, stamp: str, files: Mapping[str, bytes]) -> str:
    """Make the first of stamp, stamp-2, stamp-3... that nobody has."""
    for number in count(1):
        name = stamp if number == 1 else f"{stamp}-{number}"
        # An empty directory would be taken over by the rename; it is somebody's, so it counts as taken.
        if parent.holds(name):
            continue
        try:
            parent.write_directory(name, files)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                continue
            raise
        return name
    raise AssertionError("there is always a next number")
