"""How much the unit tests see: a seeded sample of small changes to the code, each held against the tests that reach it.

`make mutants` runs it. The changes are those of mutmut's operators, made by libcst. mutmut itself is not used to run
them, since it changes neither tables at the top of a module nor decorated functions nor defaults of models, cannot draw
a sample, and copies the tree to change it there. Here the changed module is compiled in memory, in a process forked for
it, so that nothing on disk is touched.

First the tests run once under coverage, which tells those that reach a line and how long each takes; this is kept, in
build/mutants, until the code or the tests change. A mutant on a line that no test reaches has survived. One that takes
ten times as long as its tests did is killed: it loops. Time in which others had the CPU does not count, so that a busy
machine kills nothing. What a test sees through a command that it starts as a process of its own does not count either.

What the tests said of each mutant is kept in build/mutants/said. `--again` holds only those that survived the last time
against the tests as they are now.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import hashlib
import importlib.abc
import importlib.machinery
import itertools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import coverage
import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build" / "mutants"
SAID = KEPT / "said"
SURVIVED = KEPT / "survived.txt"
ROOMS = ("stats", "analysis", "run", "formats")
# Loaded before forking, so that no child has to.
HEAVY = ("numpy", "pandas", "pyarrow", "pyarrow.parquet", "pydantic", "pyroute2", "yaml", "hypothesis", "matplotlib")
TESTS_S = 15.0
LEAST_S = 30.0
_PYTEST = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header")


@dataclass(frozen=True)
class Mutant:
    """One change: of the file at `path`, first at `line`, which turns it into `source`."""

    path: Path
    line: int
    source: str

    @property
    def name(self) -> str:
        """The same for the same change of the same file, as the name of a file."""
        place = self.path.relative_to(ROOT / "harness").with_suffix("").as_posix().replace("/", ".")
        return f"{place}-{self.line}-{hashlib.sha256(self.source.encode()).hexdigest()[:8]}"

    def diff(self) -> str:
        """The lines that differ."""
        before = self.path.read_text().splitlines()
        lines = difflib.unified_diff(before, self.source.splitlines(), n=0, lineterm="")
        return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


@dataclass(frozen=True)
class Reach:
    """What one run of the tier showed. tests: by file and line; seconds: by test; every path from the root."""

    tests: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that reach a mutant, quickest first, as many as take TESTS_S together, and one at least.

        A line that runs at import only (a table) is reached by all tests that reach any other line of its file.
        """
        lines = self.tests.get(str(mutant.path.relative_to(ROOT)), {})
        names = lines.get(mutant.line, [])
        if not names and mutant.line in lines:
            names = sorted({name for others in lines.values() for name in others})
        chosen: list[str] = []
        sum_s = 0.0
        for name in sorted(names, key=lambda name: (self.seconds.get(name, 0.0), name)):
            sum_s += self.seconds.get(name, 0.0)
            if chosen and sum_s > TESTS_S:
                break
            chosen.append(name)
        return chosen


@dataclass(frozen=True)
class Change:
    """A mutant to be: a node of a file's module, and what takes its place."""

    path: Path
    line: int
    module: cst.Module
    node: cst.CSTNode
    changed: cst.CSTNode

    def made(self) -> Mutant | None:
        """The mutant; None where nothing changes, or where it is no Python."""
        source = cst.ensure_type(self.module.deep_replace(self.node, self.changed), cst.Module).code
        if source == self.module.code:
            return None
        try:
            ast.parse(source)
        except SyntaxError:
            return None
        return Mutant(self.path, self.line, source)


def changes_of(path: Path) -> list[Change]:
    """Every change of a file, in a fixed order."""
    module = cst.parse_module(path.read_text())
    places = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    return [
        Change(path, places[node].start.line, module, node, changed)
        for node in _nodes(module)
        if node in places
        for kind, operator in mutation_operators
        if isinstance(node, kind)
        for changed in operator(node)
    ]


def draw(changes: list[Change], count: int, seed: int) -> list[Mutant]:
    """A sample of the changes, the same for the same seed, in the order of files and lines."""
    shuffled = random.Random(seed).sample(changes, len(changes))
    mutants = (mutant for change in shuffled if (mutant := change.made()) is not None)
    return sorted(itertools.islice(mutants, count), key=lambda mutant: (mutant.path, mutant.line))


def _nodes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Whatever may be changed: no annotations, no decorators, no sentences (golden files hold the words)."""
    for child in node.children:
        if isinstance(child, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom):
            continue
        if isinstance(child, cst.BaseString) and not _is_name(child):
            continue
        if isinstance(child, cst.Expr) and isinstance(child.value, cst.BaseString):
            continue
        if isinstance(child, cst.Assign) and child.targets[0].target.deep_equals(_ALL):
            continue
        yield child
        yield from _nodes(child)


_ALL = cst.Name("__all__")


def _is_name(text: cst.BaseString) -> bool:
    """Whether a string is a key, a unit, a name: a word that code compares, not one that people read."""
    return isinstance(text, cst.SimpleString) and bool(" " not in text.value and len(text.value) > 2)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads the mutant in place of the file."""

    source = ""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  # as the base class has it
        return compile(self.source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module changed, and no other."""

    def __init__(self, mutant: Mutant) -> None:
        parts = mutant.path.relative_to(ROOT).with_suffix("").parts
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.source = mutant.source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
            spec.loader.source = self.source
        return spec


class _Account:
    """Tells coverage which test is at work; notes how long each took, and which failed without any mutant."""

    def __init__(self, traced: coverage.Coverage) -> None:
        self.traced = traced
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self._began = 0.0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.traced.switch_context(nodeid.partition("[")[0])
        self._began = clock()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.add(report.nodeid.partition("[")[0])

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        name = nodeid.partition("[")[0]
        self.seconds[name] = self.seconds.get(name, 0.0) + clock() - self._began


def reach(rooms: Sequence[str], selection: Sequence[str]) -> Reach:
    """Which of the tests reach which lines of these rooms, as kept, or from a run of them."""
    kept = KEPT / f"{_fingerprint([*rooms, *selection])}.json"
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        print(f"running {' '.join(selection)} once under coverage ...", flush=True)
        code = _fork(lambda: _measure(rooms, selection, kept))
        if not kept.exists():
            sys.exit(f"the tests could not be run (it ended with {code}); see {KEPT / 'tests.log'}")
    data = json.loads(kept.read_text())
    tests = {path: {int(line): names for line, names in lines.items()} for path, lines in data["tests"].items()}
    return Reach(tests, data["seconds"])


def _fingerprint(words: Sequence[str]) -> str:
    """Of everything that decides which test reaches what."""
    digest = hashlib.sha256(" ".join(words).encode() + Path(__file__).read_bytes())
    for top in ("harness", "tests"):
        for path in sorted((ROOT / top).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _measure(rooms: Sequence[str], selection: Sequence[str], kept: Path) -> int:
    include = [str(ROOT / "harness" / room / "*") for room in rooms]
    traced = coverage.Coverage(data_file=None, include=include, config_file=False)
    account = _Account(traced)
    _quiet(KEPT / "tests.log")
    traced.start()
    code = pytest.main([*_PYTEST[:1], *_PYTEST[2:], *selection], plugins=[account])
    traced.stop()
    data = traced.get_data()
    tests: dict[str, dict[int, list[str]]] = {}
    for name in sorted(data.measured_files()):
        lines = data.contexts_by_lineno(name)
        chosen = {line: {name for name in contexts if name} - account.failed for line, contexts in lines.items()}
        tests[str(Path(name).relative_to(ROOT))] = {line: sorted(names) for line, names in chosen.items()}
    new = kept.with_suffix(".new")
    new.write_text(json.dumps({"tests": tests, "seconds": account.seconds}))
    new.rename(kept)
    return int(code)


def _quiet(log: Path | str) -> None:
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)


def _isolated(work: Any) -> None:
    """In a forked child: away from the host, then the work, whose result is the child's exit code."""
    code = 70
    try:
        os.setpgid(0, 0)
        os.chdir(ROOT)
        sys.path.insert(0, str(ROOT))
        lanes = import_module("tests.lanes")
        lanes.isolate()
        code = work()
    finally:
        os._exit(code)


def clock(pid: int | None = None) -> float:
    """A clock in seconds that stands still while the process, by default this one, is ready and waits for a CPU."""
    waited_ns = 0
    with contextlib.suppress(OSError, ValueError):  # it has just ended, or the kernel keeps no such account
        _, waited_ns, _ = map(int, Path(f"/proc/{pid or 'self'}/schedstat").read_text().split())
    return time.monotonic() - waited_ns / 1e9


def _fork(work: Any, limit_s: float | None = None) -> int | None:
    """The exit code of work() in a forked child, None if it took longer than limit_s by its own clock."""
    pid = os.fork()
    if pid == 0:
        _isolated(work)
    began = time.monotonic()
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if limit_s is not None and clock(pid) - began > limit_s:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.02)


def judge(mutant: Mutant, reached: Reach) -> str:
    """What became of a mutant: "killed", "killed (time)", "survived" or "not reached"."""
    tests = reached.of(mutant)
    if not tests:
        return "not reached"

    def work() -> int:
        _quiet(SAID / f"{mutant.name}.txt")
        sys.meta_path.insert(0, _Finder(mutant))
        return int(pytest.main([*_PYTEST, *tests]))

    SAID.mkdir(parents=True, exist_ok=True)
    code = _fork(work, LEAST_S + 10 * sum(reached.seconds.get(name, 0.0) for name in tests))
    if code is None:
        return "killed (time)"
    return "survived" if code == 0 else "killed"


def main(arguments: list[str] | None = None) -> int:
    """Draw, run, print; 1 where a score was asked for and not reached."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sample", type=int, default=300, help="how many mutants (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default: 1)")
    parser.add_argument("--rooms", default=",".join(ROOMS), help=f"of which rooms (default: {','.join(ROOMS)})")
    parser.add_argument("--tests", nargs="+", default=["tests/unit"], help="held against them (default: tests/unit)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time (default: one a CPU)")
    parser.add_argument("--again", action="store_true", help="only those of the sample that survived the last time")
    parser.add_argument("--least", type=float, default=0.0, help="fail below this score, percent")
    options = parser.parse_args(arguments)
    rooms = [room for room in options.rooms.split(",") if (ROOT / "harness" / room).is_dir()]
    files = sorted(path for room in rooms for path in (ROOT / "harness" / room).rglob("*.py"))
    everything = [change for path in files for change in changes_of(path)]
    drawn = draw(everything, options.sample, options.seed)
    if options.again:
        last = SURVIVED.read_text().split() if SURVIVED.exists() else []
        drawn = [mutant for mutant in drawn if mutant.name in last]
    for name in HEAVY:
        import_module(name)
    reached = reach(rooms, options.tests)
    print(f"{len(drawn)} of {len(everything)} possible mutants of {len(files)} files, seed {options.seed}", flush=True)
    # What is not changed has to survive, else every mutant would seem to be killed.
    reachable = next(mutant for mutant in drawn if reached.of(mutant))
    control = replace(reachable, source=reachable.path.read_text())
    if judge(control, reached) != "survived":
        sys.exit(f"{control.path}: its tests fail without any change; see to that first")
    counts = dict.fromkeys(("killed", "killed (time)", "survived", "not reached"), 0)
    alive: list[str] = []
    began = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, end in zip(drawn, pool.map(lambda mutant: judge(mutant, reached), drawn), strict=True):
            counts[end] += 1
            if not end.startswith("killed"):
                alive.append(mutant.name)
                print(f"\n{end}: {mutant.path.relative_to(ROOT)}:{mutant.line}\n{mutant.diff()}", flush=True)
    SURVIVED.write_text("".join(f"{name}\n" for name in alive))
    dead = counts["killed"] + counts["killed (time)"]
    score = 100 * dead / max(1, len(drawn))
    account = ", ".join(f"{count} {end}" for end, count in counts.items())
    print(f"\nscore: {score:.1f} % of {len(drawn)} ({account}), in {time.monotonic() - began:.0f} s")
    return 1 if score < options.least else 0


if __name__ == "__main__":
    sys.exit(main())
