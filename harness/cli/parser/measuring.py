"""The options of `pollbench run`, `merge`, `calibrate`, `plan`, `validate`, `schema`, `gallery` and `suite`."""

from __future__ import annotations

import argparse

from harness.cli.parser import places
from harness.cli.parser.options import (
    FILE,
    Commands,
    as_json,
    budget,
    ci_files,
    execution,
    experiment,
    explained,
    flag,
    output,
    overrides,
    value,
    values,
)


def add(commands: Commands) -> None:
    """The commands that take an experiment file."""
    run = commands.add_parser("run", help="run an experiment and print its table (needs root)")
    experiment(run)
    execution(run)
    text = "make the K-th of N shares of the plan, K from 1: for CI matrices and batch systems; see pollbench merge"
    value(run, "--share", "K/N", text, type=_share)
    budget(run)
    explained(run)
    # What `fleet run` types on its hosts.
    value(run, "--share-file", "FILE", argparse.SUPPRESS)
    ci_files(run)
    as_json(run, "the summary")
    merge = commands.add_parser("merge", help="one result set of the shares that `run --share` made")
    value(merge, "directory", "DIR", "result sets, or directories that hold them", nargs="+")
    output(merge, "where the merged set goes (default: results)")
    as_json(merge, "the summary")
    text = "run one case under two names: false claims, and the smallest effect this host shows (needs root)"
    calibrate = commands.add_parser("calibrate", help=text)
    experiment(calibrate, "the case to run twice (default: the first)", "repetitions of either (default: 40)")
    execution(calibrate)
    flag(calibrate, "--store", "keep the finding; compare and show quote it for this host")
    as_json(calibrate, "the finding")
    _tune(commands)
    text = "what would run, in which order, how long, and what would be skipped"
    plan = commands.add_parser("plan", help=text)
    experiment(plan)
    as_json(plan, "the plan")
    validate = commands.add_parser("validate", help="check experiment files: schema, units, references")
    value(validate, "file", "FILE", FILE, nargs="+")
    as_json(validate, "the findings")
    text = "list the experiments, claims and topologies that are shipped, or copy some here"
    examples = commands.add_parser("examples", help=text)
    value(examples, "name", "NAME", "what to copy; claims: all claim files", nargs="*")
    output(examples, "where copies go (default: here); nothing is overwritten", default=".")
    as_json(examples, "the list")
    commands.add_parser("schema", help="print the JSON schema of experiment files, for editors")


def _tune(commands: Commands) -> None:
    tune = commands.add_parser(
        "tune",
        help="the best of many settings, by a race, with a stated chance of being wrong (needs root)",
        description="Races the settings of the file's `tune` section, and confirms the best on fresh blocks: "
        "docs/tuning.md. Exit code 0: an answer within the error; 1: none is claimed, and what is left is printed.",
    )
    value(tune, "file", "FILE", FILE, nargs="?")
    flag(tune, "--plan", "print the settings, and how many runs and how long it takes, and stop")
    value(tune, "--goal", "COLUMN", "the least of this column, instead of the file's goal")
    text = "the front of two columns, the settings that none beats in both, instead of one best"
    value(tune, "--pareto", "A,B", text, type=_pair)
    values(tune, "--subject", "LIMIT", 'instead of the file\'s: "cpu_us_per_request <= 120" (may be repeated)')
    value(tune, "--within", "SHARE", "good enough: 5%%")
    value(tune, "--error", "SHARE", "chance of being wrong: 5%%")
    value(tune, "--budget", "TIME", "no step that would end after this much measuring: 15min")
    value(tune, "--seed", "N", "seed of the race", type=int)
    overrides(tune)
    flag(tune, "--quick", "shorter, as the file's `quick` section says")
    output(tune)
    value(tune, "--resume", "DIR", "go on with this set, with --budget also after its budget was spent")
    value(tune, "--judge", "DIR", "ask the runs of this set, perhaps by other options; measure nothing")
    value(tune, "--verify", "DIR", "new runs only: is this set's best still better than today's, here?")
    flag(tune, "--in-vm", "race in guests (`pollbench vm`), without root: model time, for what caches do not decide")
    places.guests(tune)
    places.emulator(tune)
    places.snapshots(tune)
    places.jobs(tune)
    places.inventory(tune, required=False)
    flag(tune, "--wait", "wait for another run on this host to end, not refuse")
    as_json(tune, "the answer")


def _pair(text: str) -> tuple[str, str]:
    """A,B as two names."""
    first, _, second = text.partition(",")
    if not (first.strip() and second.strip()) or "," in second:
        raise argparse.ArgumentTypeError(f"{text!r} is not A,B: two columns, as rtt_p99_us,cpu_us_per_request")
    return first.strip(), second.strip()


def add_gallery(commands: Commands) -> None:
    """The command that takes the claim files."""
    gallery = commands.add_parser(
        "gallery",
        help="the claims about busy polling, tested here: a table of verdicts and one HTML page (needs root)",
        description="Runs the claim files and judges them. Sets of earlier galleries in DIR count too: a claim whose "
        "verdict differs from rerun to rerun is not shown. With --in-vm it runs in guests, without root, and tests "
        "what only a guest has (NICs, NUMA, an IOMMU) as well. What a claim is: docs/experiment-file.md.",
    )
    value(gallery, "name", "NAME", "claim files by name or number: 06, 14-abuse", nargs="*")
    flag(gallery, "--list", "print the claims and how long they take, and stop")
    flag(gallery, "--quick", "few and short repetitions: minutes, not half an hour")
    value(gallery, "--from", "DIR", "claim files of your own (default: experiments/claims)", dest="source")
    output(gallery, "default: results/gallery, or results/gallery-vm with --in-vm", default=None)
    flag(gallery, "--in-vm", "run in guests (`pollbench vm`), without root")
    places.guests(gallery)
    places.emulator(gallery)
    places.snapshots(gallery)
    places.jobs(gallery)
    flag(gallery, "--resume", "make only what is missing of the newest sets")
    flag(gallery, "--no-run", "judge the sets that are there; needs no root")
    overrides(gallery)
    flag(gallery, "--wait", "wait for another run on this host to end")
    ci_files(gallery)
    as_json(gallery, "the verdicts")


def add_suite(commands: Commands) -> None:
    """The command that runs the pinned experiments."""
    suite = commands.add_parser(
        "suite",
        help="a pinned set of experiments over kernels, in guests: what changed from release to release (no root)",
        description="Runs the newest version of the shipped suite under each kernel, and compares every release that "
        "has sets in DIR with the one before it (6.9 before 6.12, 7.3-rc1 before 7.3). Releases that were measured "
        "before are not run again: name the new one. docs/ci.md has exit codes and an example.",
    )
    flag(suite, "--list", "print the experiments and how long they take, and stop")
    output(suite, "default: results/suite", default="results/suite")
    places.guests(suite)
    places.emulator(suite)
    places.snapshots(suite)
    places.jobs(suite)
    flag(suite, "--resume", "make only what is missing of the newest sets")
    flag(suite, "--no-run", "judge the sets that are there")
    text = 'exit with 6 where a release meets this against the one before, with 4 where it is open: "rtt_p99_us > +5%%"'
    values(suite, "--fail-if", "CONDITION", text, default=[])
    ci_files(suite)
    as_json(suite, "all of it")
    # It is pinned: nothing of it can be overridden.
    suite.set_defaults(set=[], quick=False, in_vm=True)


def _share(text: str) -> tuple[int, int]:
    """K/N as two numbers."""
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= 100_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N, with K from 1 to N: 3/8 is the third of eight shares")
    return int(number), int(of)
