"""SIGKILL of whoever takes part, at a random moment; then `clean`: the host must be as it was, finished runs kept."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.store import ResultSet
from tests.campaign import beds
from tests.campaign.host import JAILED, Host, Look, foreign_things
from tests.campaign.jail import HOME
from tests.campaign.nursery import Child, Nursery

HANGS_AFTER_S = 300.0
_GUESTS_HANG_AFTER_S = 1800.0
"""An emulated guest takes minutes where other work has the CPUs."""
_LONGEST_S = 15.0
_CODES = (0, 1, 2, 3, 130)
_FINISHED = re.compile(r"^\d+/\d+ .*: (valid|inert|suspect|failed|skipped)", re.MULTILINE)
# Of a hundred scenarios. Those of a run's programs kill several of them in one run; guests, which need an image and
# take minutes, are killed only where asked for.
SHARES = {"run": 32, "clean": 12, "holder": 12, "up": 6, "down": 8, "generator": 14, "server": 8, "hog": 6, "fleet": 2}
_PROGRAMS = {
    "generator": re.compile(r"pollbench-loadgen\0.*\0client\0|\0sleep 0.05|echo 5 us"),
    "server": re.compile(r"pollbench-loadgen\0.*\0server\0|echo ready"),
    "hog": re.compile(r"pollbench-loadgen\0.*\0hog\0"),
}
_WITH_HOGS = ("hogs", "network hogs")


class FaultError(Exception):
    """What must not happen, in words; the first is its sort."""


class Scene:
    """One scenario: a victim, a testbed, and all that chance decides."""

    def __init__(self, stage: Stage, victim: str, seed: int) -> None:
        self.stage, self.victim, self.seed = stage, victim, seed
        self.chance = random.Random(f"{victim}:{seed}")
        names = [name for name in stage.beds if victim != "hog" or name in _WITH_HOGS] or list(stage.beds)
        self.bed = self.chance.choice(names)
        self.directory = HOME / "scene"
        self.kills: Counter[str] = Counter()

    def start(self, *words: str) -> Child:
        """A command; one in five as a shell would start it, the others already loaded."""
        return self.stage.nursery.start(*words, fresh=self.chance.random() < 0.2)

    def file(self) -> str:
        """The experiment of this scene."""
        self.directory.mkdir()
        return str(beds.write(self.directory, self.bed))

    def killed(self, child: Child, before_s: float, what: str) -> None:
        """Let a command go on for a moment, and kill it, if it has not ended."""
        child.ended_within(self.chance.uniform(0, before_s))
        self.kills[what] += child.end()
        child.wait(HANGS_AFTER_S)

    def ended(self, child: Child, codes: tuple[int, ...] = _CODES, hangs_after_s: float = HANGS_AFTER_S) -> str:
        """Wait for a command, which must end by itself, in a documented way; what it said."""
        code = child.wait(hangs_after_s)
        said = child.said()
        words = said.strip().splitlines()[-1:] or ["nothing"]
        if code is None:
            raise FaultError(f"hang: {words[0]}")
        if "Traceback" in said or code == 5:
            raise FaultError(f"traceback: {words[0]}")
        if code not in codes:
            raise FaultError(f"exit code: {code}: {words[0]}")
        return said

    def cleaned(self) -> None:
        """`pollbench clean`, after which nothing may differ."""
        said = self.ended(self.start("clean"))
        if any(line.startswith("failed ") for line in said.splitlines()):
            raise FaultError(f"clean: {said.strip()[:300]}")
        self.unchanged()

    def unchanged(self) -> None:
        """The host is as it was found. Raises FaultError."""
        if left := self.stage.host.difference(self.stage.before):
            raise FaultError("leak: " + "; ".join(left[:4])[:600])

    def kept(self, child: Child) -> None:
        """Each run that was said to be finished is whole on the disk."""
        finished = len(_FINISHED.findall(child.err.read_text(errors="replace")))
        results = self.results()
        records = results.records() if results else []
        if len(records) < finished or (results is not None and results.warnings):
            warnings = results.warnings if results else []
            raise FaultError(f"lost: {finished} said, {len(records)} on disk {warnings}")
        for record in records if results else []:
            assert results is not None
            results.sample_columns(record.run_id, ("latency_ns",))
            if results.warnings:
                raise FaultError(f"lost: {results.warnings}")

    def results(self) -> ResultSet | None:
        """What is on the disk; None if nothing is. Raises PollbenchError where it cannot be read."""
        return ResultSet.latest(self.directory / "out", self.bed.replace(" ", "-"))


def _run(scene: Scene) -> None:
    """The command itself; in a part of the scenes the same is resumed, and then lacks nothing."""
    path, out = scene.file(), str(scene.directory / "out")
    child = scene.start("run", path, "-o", out)
    scene.killed(child, scene.stage.takes_s(scene.bed), "run")
    resumed = scene.chance.random() < 0.1
    if resumed:  # the next run cleans before it begins
        scene.kept(child)
        scene.ended(scene.start("run", path, "-o", out, *(["--resume"] if scene.results() else [])), (0, 1, 3))
        results = scene.results()
        if results is None or len(results.records()) != beds.RUNS:
            raise FaultError("lost: the resumed set is not complete")
        scene.unchanged()
    scene.cleaned()
    if not resumed:
        scene.kept(child)


def _clean(scene: Scene) -> None:
    """A run, and then whoever cleans, up to three times."""
    child = scene.start("run", scene.file(), "-o", str(scene.directory / "out"))
    scene.killed(child, scene.stage.takes_s(scene.bed), "run")
    for _ in range(scene.chance.randint(1, 3)):
        scene.killed(scene.start("clean"), 0.15, "clean")
    scene.cleaned()
    scene.kept(child)


def _held(scene: Scene, child: Child) -> tuple[int, ...]:
    """The processes that hold testbeds; more than one only while it starts."""
    ended = child.ended_within(0)
    pids = tuple(pid for pid, words in _commands() if "\0--hold\0" in words)
    return pids if pids or ended else ()


def _holder(scene: Scene) -> None:
    """Who holds a testbed, while it builds or later."""
    child = scene.start("up", scene.file(), "--name", "campaign")
    if scene.chance.random() < 0.4:
        scene.ended(child)
    else:
        child.ended_within(scene.chance.uniform(0, 2.5))
    for pid in _held(scene, child):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            scene.kills["holder"] += 1
    if child.code is None:
        scene.ended(child)
    # Where none had begun by then, it is up by now.
    with contextlib.suppress(FaultError):
        scene.ended(scene.start("down", "campaign"), (0, 2))
    scene.cleaned()


def _up(scene: Scene) -> None:
    """Who waits for a testbed to be built: it is up, or gone."""
    child = scene.start("up", scene.file(), "--name", "campaign")
    scene.killed(child, 2.5, "up")
    _no_holder_builds(scene)
    scene.ended(scene.start("down", "campaign"), (0, 2))
    scene.cleaned()


def _no_holder_builds(scene: Scene) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        announced = list(Path("/run/pollbench").glob("up-*.json"))
        if announced or not [1 for _, words in _commands() if "\0--hold\0" in words]:
            return
        time.sleep(0.02)
    raise FaultError("hang: a holder neither holds nor ends")


def _down(scene: Scene) -> None:
    """Who takes a testbed down: its holder does so all the same."""
    scene.ended(scene.start("up", scene.file(), "--name", "campaign"))
    scene.killed(scene.start("down", "campaign"), 0.3, "down")
    scene.ended(scene.start("down", "campaign"), (0, 2))
    scene.cleaned()


def _program(scene: Scene) -> None:
    """Programs of a run, one after the other: each costs the run that it is in, and nothing else."""
    child = scene.start("run", scene.file(), "-o", str(scene.directory / "out"))
    pattern = _PROGRAMS[scene.victim]
    deadline = time.monotonic() + HANGS_AFTER_S
    before: set[int] = set()
    while not child.ended_within(0.004) and time.monotonic() < deadline:
        pids = [pid for pid, words in _commands() if pattern.search(words) and pid not in before]
        if pids and not child.ended_within(scene.chance.choice((0, 0.01, 0.03, 0.06))):
            before.update(pids)
            pid = scene.chance.choice(pids)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                scene.kills[scene.victim] += 1
    scene.ended(child, (0, 1, 3))
    scene.unchanged()
    scene.kept(child)
    results = scene.results()
    if results is None or len(results.records()) != beds.RUNS:
        raise FaultError("lost: not every run has a record")


def _fleet(scene: Scene) -> None:
    """Who has hosts measure, this one alone: the play ends with it, and what it left is cleaned over the same way."""
    path, out = scene.file(), str(scene.directory / "out")
    inventory = scene.directory / "inventory.yaml"
    inventory.write_text(beds.FLEET.format(python=sys.executable, command=f"{sys.executable} -m harness"))
    scene.killed(scene.start("fleet", "run", path, "-i", str(inventory), "-o", out), 25.0, "fleet")
    scene.ended(scene.start("fleet", "clean", "-i", str(inventory)), (0, 1))
    scene.cleaned()
    results = scene.results()
    if results is not None and len(results.records()) <= beds.RUNS and results.warnings:
        raise FaultError(f"lost: {results.warnings}")


def _guest(scene: Scene) -> None:
    """Who boots guests, or their emulators, one after the other."""
    path, out = scene.file(), str(scene.directory / "out")
    child = scene.start("vm", "run", path, "-o", out, "--quick")
    if scene.chance.random() < 0.5:
        scene.killed(child, scene.chance.choice((3.0, 10.0, 40.0)), "guest")
    else:
        deadline, before = time.monotonic() + _GUESTS_HANG_AFTER_S, set[int]()
        while not child.ended_within(0.1) and time.monotonic() < deadline:
            emulators = [pid for pid, words in _commands() if "qemu-system" in words and pid not in before]
            if emulators and not child.ended_within(scene.chance.choice((0, 0.3, 1, 3, 10))):
                before.update(emulators)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(scene.chance.choice(emulators), signal.SIGKILL)
                    scene.kills["guest"] += 1
        scene.ended(child)
    scene.cleaned()
    scene.kept(child)


_SCENES: dict[str, Callable[[Scene], None]] = {
    "run": _run,
    "clean": _clean,
    "holder": _holder,
    "up": _up,
    "down": _down,
    "generator": _program,
    "server": _program,
    "hog": _program,
    "fleet": _fleet,
    "guest": _guest,
}


def _commands() -> Iterator[tuple[int, str]]:
    """Processes, and their words, each ended by a NUL."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                yield int(name), Path(f"/proc/{name}/cmdline").read_bytes().decode(errors="replace")


class Stage:
    """What all scenes share: the host as it is found, and how long a run of each testbed takes."""

    def __init__(self, nursery: Nursery, names: list[str], hosts_network: bool) -> None:
        self.nursery, self.beds = nursery, names
        self._takes_s: dict[str, float] = {}
        self.host = Host("/proc/sys" if hosts_network else JAILED)
        self.before: Look = self.host.look()

    def able(self, name: str) -> str:
        """This testbed, or one that this host can make in its place."""
        while not self.takes_s(name):
            name = self.beds[(self.beds.index(name) + 1) % len(self.beds)]
        return name

    def recover(self) -> None:
        """After a failure: end what is left, so that the next scene is not blamed for it."""
        for text in self.host.look()["process"] - self.before["process"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(text.split()[0]), signal.SIGKILL)
        self.nursery.start("clean").wait(HANGS_AFTER_S)
        self.before = self.host.look()

    def takes_s(self, name: str) -> float:
        """Seconds of a run of all its repetitions that nobody disturbs, made when first asked for; 0: this host cannot.

        After it the kernel's modules and the directory of our state are there.
        """
        if name not in self._takes_s:
            scene = Scene(self, "run", 0)
            scene.bed = name
            begun = time.monotonic()
            path, out = scene.file(), str(scene.directory / "out")
            said = scene.ended(self.nursery.start("run", path, "-o", out), (0, 1, 3))
            self._takes_s[name] = min(time.monotonic() - begun, _LONGEST_S)
            verdicts = dict(Counter(_FINISHED.findall(said)))
            if set(verdicts) == {"skipped"}:
                self._takes_s[name] = 0.0
            print(f"  {name}: {self._takes_s[name]:.1f} s undisturbed, {verdicts}", file=sys.stderr, flush=True)
            shutil.rmtree(scene.directory)
            self.before = self.host.look()
        return self._takes_s[name]


def kill(arguments: argparse.Namespace) -> int:
    """Play the scenes until the kills or the time are spent; print the table; exit code 1 if anything failed."""
    tried: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    done: Counter[str] = Counter()
    began = time.monotonic()
    names = arguments.bed or [name for name in beds.BEDS if (name in beds.HOSTS_NETWORK) == arguments.hosts_network]
    with foreign_things(), Nursery(HOME / "said") as nursery:
        stage = Stage(nursery, names, arguments.hosts_network)
        for victim, seed in _chosen(arguments):
            over = arguments.minutes and time.monotonic() - began > 60 * arguments.minutes
            if over or done.total() >= arguments.count:
                break
            scene = Scene(stage, victim, seed)
            scene.bed = stage.able(scene.bed)
            fault = _played(scene)
            done += scene.kills
            tried[victim, scene.bed] += 1
            if fault:
                failed[victim, scene.bed] += 1
                print(f"{victim}:{seed} ({scene.bed}): {fault}", flush=True)
                stage.recover()
            if not tried.total() % 50:
                print(f"{done.total()} kills, {failed.total()} failed", file=sys.stderr, flush=True)
    _print(tried, failed, done, time.monotonic() - began)
    return 1 if failed else 0


def _played(scene: Scene) -> str:
    """What went wrong in a scene; "" if nothing did."""
    try:
        _SCENES[scene.victim](scene)
    except FaultError as fault:
        return str(fault)
    except Exception as error:  # noqa: BLE001  # a set that cannot be opened, for instance
        return f"unreadable: {type(error).__name__}: {error}"
    finally:
        shutil.rmtree(scene.directory, ignore_errors=True)
    return ""


def _chosen(arguments: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """(victim, seed) of every scene."""
    if arguments.only:
        for text in arguments.only:
            victim, _, seed = text.partition(":")
            yield victim, int(seed)
        return
    shares = {victim: SHARES.get(victim, 1) for victim in arguments.victim or SHARES}
    chance = random.Random(arguments.seed)
    seed = arguments.seed
    while True:
        yield chance.choices(list(shares), list(shares.values()))[0], seed
        seed += 1


def _print(
    tried: Counter[tuple[str, str]], failed: Counter[tuple[str, str]], done: Counter[str], took_s: float
) -> None:
    for column, head in ((0, "victim"), (1, "testbed")):
        print(f"\n{head:<14}" + ("  kills" if not column else "") + "  scenes  survived  failed")
        for name in sorted({key[column] for key in tried}):
            count, lost = (sum(n for key, n in of.items() if key[column] == name) for of in (tried, failed))
            print(f"{name:<14}" + (f"{done[name]:>7}" if not column else "") + f"{count:>8}{count - lost:>10}{lost:>8}")
    print(f"\n{done.total()} kills in {tried.total()} scenes, {failed.total()} failed, in {took_s:.0f} s")
    print("one alone: python -m tests.campaign kill --only VICTIM:SEED (its choices are the same, the scheduler's not)")
