"""`pollbench vm bisect`: the first commit under which an experiment meets a condition, each measured in guests."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.analysis.compare import Options, compare_sources
from harness.analysis.compare.gate import Gate, judge
from harness.cli.carry_out import carry_out, open_set
from harness.cli.ci import own_gates
from harness.cli.plan import plan_of
from harness.cli.terminal import say
from harness.cli.vm import machine_of, own_kernel, progress_of, resumes, say_retried
from harness.errors import EXIT_NOT_VALID, EXIT_OK, InputError, Interrupted, PollbenchError
from harness.places.vm.bisect import Builder, Called, Commit, Found, Tree
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home
from harness.places.vm.kernelimage import release_of
from harness.places.vm.kernels import with_kernels
from harness.plan import make_plan
from harness.report.gate import gate_lines
from harness.signals import Stopper, stop_on_signals
from harness.store import ResultSet
from harness.tables.source import Source, from_set


@dataclass(frozen=True)
class Step:
    """A commit that was tried: what it was called, and why, a line for each condition and cell that decided."""

    commit: Commit
    called: Called
    why: tuple[str, ...]


@dataclass
class Trial:
    """Builds and measures commits, and holds each against the good one."""

    arguments: argparse.Namespace
    home: Home
    tree: Tree
    gates: Sequence[Gate]
    stopper: Stopper
    steps: list[Step] = field(default_factory=list)
    _good: Source | None = None

    def good(self, commit: Commit) -> None:
        """Measure the commit that all others are compared with. PollbenchError where that cannot be."""
        self.tree.checkout(commit)
        self._good = self._measured(commit)

    def call(self, commit: Commit) -> Called:
        """Build and measure what is checked out. What cannot be built, measured or decided is called "skip"."""
        try:
            assert self._good is not None
            called, why = judged(self._good, self._measured(commit), self.gates)
        except Interrupted:
            raise
        except PollbenchError as error:
            called, why = "skip", [error.line()]
        self.steps.append(Step(commit, called, tuple(why)))
        say(f"pollbench: {commit.short} is {_WORDS[called]}: {commit.subject}")
        for line in why:
            say(f"    {line}")
        return called

    def _measured(self, commit: Commit) -> Source:
        """The set of a commit; of one that was measured before by the same plan, what is missing of it."""
        arguments = argparse.Namespace(**vars(self.arguments))
        built = arguments.built
        builder = Builder(self.home, self.tree, arguments.build, lambda: _taken(self.home, self.tree, built), built)
        kernel, cached = builder.kernel()
        say(f"pollbench: {commit.short}: kernel set {kernel}{', built before' if cached else ''}")
        experiment, _ = plan_of(arguments, guest=True)
        experiment = with_kernels(experiment, {commit.short: kernel})
        plan = make_plan(experiment, arguments.case, arguments.repeat, arguments.seed)
        arguments.output = str(Path(arguments.output) / commit.short)
        newest = ResultSet.latest(arguments.output, plan.name)
        emulator, accelerator = machine_of(arguments, self.home)
        saved = resumes(arguments, accelerator)
        leave = arguments.accel == "auto"
        guests = Guests(
            self.home,
            emulator,
            accelerator,
            self.stopper,
            (),
            may_leave_kvm=leave,
            snapshots=saved,
            jobs=arguments.jobs,
        )
        guests.verify(plan)
        resume = newest is not None and newest.same_plan(plan)
        results = open_set(guests, plan, experiment.data, arguments, resume=resume)
        interrupted = carry_out(guests, plan, results, progress_of(guests, [(plan, results)]))
        say_retried(guests)
        if interrupted is not None:
            raise interrupted
        return from_set(results)


def judged(good: Source, other: Source, gates: Sequence[Gate]) -> tuple[Called, list[str]]:
    """What a commit is called by its runs and the good one's: "bad" where any condition is met; and why."""
    metrics = tuple(dict.fromkeys(gate.condition.metric for gate in gates))
    comparison = compare_sources([good, other], Options(metrics=metrics))
    verdicts = [judge(comparison, gate) for gate in gates]
    outcomes = {verdict.outcome for verdict in verdicts}
    called: Called = "bad" if "failed" in outcomes else "skip" if outcomes - {"passed"} else "good"
    return called, list(gate_lines(comparison, verdicts))


_WORDS: dict[Called, str] = {"good": "good", "bad": "bad", "skip": "neither, skipped"}


def bisect(arguments: argparse.Namespace) -> int:
    """Exit code 0 where one commit is found, 1 where it is not: the ends do not differ, or too many were skipped."""
    if not arguments.fail_if:
        raise InputError("bisect", got="there is no condition", todo='such as "rtt_p99_us > +5%"', where="--fail-if")
    gates = own_gates(arguments.fail_if)
    plan_of(arguments, guest=True)
    home, tree = Home(), Tree(Path(arguments.tree))
    good, bad = tree.commit(arguments.good, "--good"), tree.commit(arguments.bad, "--bad")
    with stop_on_signals() as stopper, tree.bisected(good, bad):
        trial = Trial(arguments, home, tree, gates, stopper)
        trial.good(good)
        tree.checkout(bad)
        if trial.call(bad) != "bad":
            say("pollbench: the bad commit does not meet the condition, so there is nothing to look for")
            return EXIT_NOT_VALID
        found = tree.search(good, bad, trial.call)
    return _told(arguments, trial.steps, found)


def _taken(home: Home, tree: Tree, built: str) -> str:
    """The kernel set of what a build left. built: as --built has it, "" for a tree as make leaves it."""
    if not built:
        return own_kernel(home, str(tree.path))
    image, _, modules = built.partition(":")
    path = tree.path / image
    if not modules or not path.is_file():
        return own_kernel(home, str(path))
    directory = tree.path / modules
    of_release = directory / release_of(path)
    return own_kernel(home, f"{path}:{of_release if of_release.is_dir() else directory}")


def _told(arguments: argparse.Namespace, steps: Sequence[Step], found: Found) -> int:
    if arguments.json:
        document = {
            "first_bad": [{"commit": one.hash, "subject": one.subject} for one in found.candidates],
            "steps": [{"commit": one.commit.hash, "called": one.called, "why": list(one.why)} for one in steps],
        }
        print(json.dumps(document, indent=1))
    else:
        for step in steps:
            print(f"{step.commit.short}  {_WORDS[step.called]:<16}  {step.commit.subject}")
        alone = len(found.candidates) == 1
        print("the first bad commit is" if alone else "too many were skipped; the first bad commit is one of")
        for one in found.candidates:
            print(f"    {one.hash} {one.subject}")
    return EXIT_OK if len(found.candidates) == 1 else EXIT_NOT_VALID
