"""Shares that were made without a controller, gathered: which runs of which set go into the merged one."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import InputError
from harness.places.fleet.merge import merge, settle
from harness.places.fleet.split import share_numbers, units_of
from harness.plan import Plan
from harness.store import ResultSet, atomic

_MERGED = "merged"


@dataclass(frozen=True)
class Made:
    """A run on the disk: of which set, by which host, begun when (UTC). No more of it: there may be 100,000."""

    results: ResultSet
    host: str
    started: str


@dataclass
class Gathered:
    """What is to be merged. runs: by run id; left_out: runs of blocks of which another host has made more."""

    plan: Plan
    sets: list[ResultSet]
    runs: dict[str, Made] = field(default_factory=dict)
    left_out: list[Made] = field(default_factory=list)

    def manifest(self) -> dict[str, object]:
        """What the merged set records beside its plan: the sets it is of, who made what, and the facts of each host."""
        hosts: dict[str, dict[str, object]] = {}
        parts = []
        for results in self.sets:
            mine = [made for made in self.runs.values() if made.results is results]
            names = sorted({made.host for made in mine})
            parts.append({"set": str(results.path), "share": share_name(results), "hosts": names, "runs": len(mine)})
            for name in names:
                hosts.setdefault(name, {key: results.manifest.get(key) for key in ("kernel", "cpu")})
        return {"software": self.sets[0].manifest.get("software"), _MERGED: parts, "hosts": hosts}

    def owed(self) -> dict[str, tuple[int, int]]:
        """Of each share "K/N" that is not whole, how many of its runs are missing, of how many."""
        owed: dict[str, tuple[int, int]] = {}
        for of in sorted({number_of[1] for number_of in map(_share, self.sets) if number_of}):
            numbers = share_numbers(self.plan, of)
            sizes = Counter(numbers.values())
            missing = Counter(numbers[run.run_id] for run in self.plan.missing(self.runs))
            owed |= {f"{number}/{of}": (missing[number], sizes[number]) for number in sorted(missing)}
        return owed

    def put_into(self, results: ResultSet) -> None:
        """Bring the runs into a set: links where it is on the same file system, else copies. Raises PollbenchError."""
        incoming = results.path / "incoming"
        with atomic.explained("merge runs", results.path, keep="nothing of the shares was changed"):
            for run_id, made in self.runs.items():
                _bring(made.results.path / "runs" / run_id, incoming / run_id)
            merge(results, incoming, self.runs)
            settle(results)
            shutil.rmtree(incoming, ignore_errors=True)


def gather(directories: Sequence[str]) -> Gathered:
    """Find the sets in or below directories, and choose of every block the host that has made most of it.

    Raises InputError where there is none, or they are not of one plan and one version of pollbench.
    """
    sets = [results for directory in directories for results in _sets_below(Path(directory))]
    sets = list({os.path.realpath(results.path): results for results in sets}.values())
    if not sets:
        todo = "name what `pollbench run --share K/N -o DIR` made, or DIR itself"
        raise InputError("merge", ", ".join(directories), "there is no result set", todo)
    for key, words in (("plan", "another plan (the file, or --set/--case/--repeat/--seed, differ)"), ("version", "")):
        first, other = sets[0], next((one for one in sets if _identity(one, key) != _identity(sets[0], key)), None)
        if other is not None:
            got = f"{words or 'another version of pollbench'} than {first.path}"
            raise InputError("merge", str(other.path), got, "name the sets that belong together")
    gathered = Gathered(Plan.from_json(sets[0].plan, str(sets[0].path / "plan.json")), sets)
    _choose(gathered)
    return gathered


def share_name(results: ResultSet) -> str:
    """Which share a set is, as --share has it; "" for one that was made without."""
    share = _share(results)
    return f"{share[0]}/{share[1]}" if share else ""


def _choose(gathered: Gathered) -> None:
    candidates: dict[str, list[Made]] = {}
    for results in gathered.sets:
        for record in results.each_record():
            host = str(record.environment.get("host") or results.path)
            candidates.setdefault(record.run_id, []).append(Made(results, host, record.started_utc))
    for runs in units_of(gathered.plan).values():
        by_host: dict[str, dict[str, Made]] = {}
        for run in runs:
            for made in sorted(candidates.get(run.run_id, ()), key=lambda made: made.started):
                # Of two by the same host the later one counts.
                by_host.setdefault(made.host, {})[run.run_id] = made
        ranked = sorted(by_host, key=lambda host: (-len(by_host[host]), host))
        for host in ranked[:1]:
            gathered.runs |= by_host[host]
        gathered.left_out += [made for host in ranked[1:] for made in by_host[host].values()]


def _sets_below(top: Path) -> Iterator[ResultSet]:
    """The set that a directory is, or those below it but for merged ones. Raises InputError: there is no directory."""
    if not top.is_dir():
        raise InputError("merge", str(top), "it is no directory" if top.exists() else "no such directory")
    for path, directories, files in os.walk(top):
        if "plan.json" in files:
            directories.clear()
            results = ResultSet.open(path)
            if Path(path) == top or _MERGED not in results.manifest:
                yield results
        directories[:] = sorted(name for name in directories if not name.startswith("."))


def _identity(results: ResultSet, key: str) -> str:
    hashes, software = results.manifest.get("hashes"), results.manifest.get("software")
    if key == "plan":
        return str(hashes.get("plan")) if isinstance(hashes, dict) else ""
    return str(software.get("pollbench")) if isinstance(software, dict) else ""


def _share(results: ResultSet) -> tuple[int, int] | None:
    share = results.manifest.get("share")
    if not isinstance(share, dict):
        return None
    try:
        number, of = int(share["number"]), int(share["of"])
    except (TypeError, KeyError, ValueError):
        return None
    return (number, of) if 1 <= number <= of <= 100_000 else None


def _bring(source: Path, target: Path) -> None:
    """A run's directory under another name: its plain files, and nothing that points elsewhere."""
    target.mkdir(parents=True)
    for entry in os.scandir(source):
        if entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
            try:
                os.link(entry.path, target / entry.name, follow_symlinks=False)
            except OSError:  # another file system, or one without links
                shutil.copyfile(entry.path, target / entry.name, follow_symlinks=False)
