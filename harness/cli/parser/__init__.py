"""The argument parser: every command and option, and nothing that is slow to import."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.cli.parser import vm
from harness.cli.parser.host import add_fleet, add_host
from harness.cli.parser.topology import add_topology_commands

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

FORMATS = ("text", "markdown", "csv", "json")
KINDS = ("ecdf", "load", "heatmap", "pareto", "timeline")

_EPILOG = """\
exit codes: 0 ok; 1 some run failed or is not valid; 2 bad input; 3 this host lacks what the experiment
needs (or another run holds it); 130 interrupted. `run`, `gallery`, `calibrate`, `clean`, `up`, `down`,
`enter`, `host prepare` and `host restore` need root, nothing else does."""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="pollbench",
        description="Does busy polling, or interrupt coalescing, help here: by how much, at what CPU cost, and did it "
        "really take effect?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _run(commands)
    _calibrate(commands)
    _files(commands)
    _host(commands)
    add_host(commands)
    add_fleet(commands)
    vm.add(commands, _experiment, _execution)
    _results(commands)
    _pages(commands)
    _gallery(commands)
    _import(commands)
    add_topology_commands(commands)
    completion = commands.add_parser("completion", help="print a shell completion script")
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    return parser


class _Version(argparse.Action):
    """--version, which reads the package metadata only when asked for."""

    def __init__(self, option_strings: list[str], dest: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        parser.exit(message=f"pollbench {version('pollbench')}\n")


def _experiment(parser: argparse.ArgumentParser) -> None:
    """Options that `run` and `plan` share: which file, and what of it."""
    parser.add_argument("file", metavar="FILE", help="experiment file (YAML)")
    parser.add_argument("--case", action="append", metavar="NAME", help="only this case (may be repeated)")
    _overrides(parser)
    parser.add_argument("--repeat", type=_count, metavar="N", help="repetitions of every cell")
    parser.add_argument("--seed", type=_seed, metavar="N", help="seed of the random order")
    parser.add_argument("--quick", action="store_true", help="shorter, as the file's `quick` section says")


def _overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a dotted key: workload.duration=2s",
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return number


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**63:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to 2^63-1")
    return number


def _verdicts(*known: str) -> Callable[[str], tuple[str, ...]]:
    """A parser of comma-separated verdicts out of `known`."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(filter(None, (part.strip() for part in text.split(","))))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return names

    return parse


_count.__name__ = _seed.__name__ = "whole number"


def _run(commands: Commands) -> None:
    run = commands.add_parser("run", help="run an experiment and print its table (needs root)")
    _experiment(run)
    _execution(run)
    # What `fleet run` types on its hosts.
    run.add_argument("--share", metavar="FILE", help=argparse.SUPPRESS)
    run.add_argument("--json", action="store_true", help="print the summary as JSON")


def _calibrate(commands: Commands) -> None:
    calibrate = commands.add_parser(
        "calibrate",
        help="run one case under two names: false claims, and the smallest effect this host shows (needs root)",
    )
    calibrate.add_argument("file", metavar="FILE", help="experiment file (YAML)")
    calibrate.add_argument("--case", metavar="NAME", help="the case to run twice (default: the first)")
    _overrides(calibrate)
    calibrate.add_argument("--repeat", type=_count, metavar="N", help="repetitions of either (default: 40)")
    calibrate.add_argument("--seed", type=_seed, metavar="N", help="seed of the random order")
    _execution(calibrate)
    calibrate.add_argument(
        "--store", action="store_true", help="keep the finding; compare and show quote it for this host"
    )
    calibrate.add_argument("--json", action="store_true", help="print the finding as JSON")


def _execution(parser: argparse.ArgumentParser) -> None:
    """Options of what measures."""
    parser.add_argument(
        "-o", "--output", default="results", metavar="DIR", help="where result sets go (default: results)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the newest unfinished set of this experiment"
    )
    parser.add_argument(
        "--redo",
        type=_verdicts("failed", "inert", "suspect", "skipped"),
        default=(),
        metavar="VERDICTS",
        help="with --resume: make runs with these verdicts again (suspect,failed)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would run, and do nothing")
    parser.add_argument(
        "--wait", action="store_true", help="wait for another run on this host to end, not refuse"
    )


def _files(commands: Commands) -> None:
    plan = commands.add_parser(
        "plan", help="what would run, in which order, how long, and what would be skipped"
    )
    _experiment(plan)
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")
    validate = commands.add_parser("validate", help="check experiment files: schema, units, references")
    validate.add_argument("file", nargs="+", metavar="FILE", help="experiment file (YAML)")
    validate.add_argument("--json", action="store_true", help="print the findings as JSON")
    commands.add_parser("schema", help="print the JSON schema of experiment files, for editors")


def _host(commands: Commands) -> None:
    doctor = commands.add_parser(
        "doctor", help="what this host can do, tried for real, and what an experiment lacks"
    )
    doctor.add_argument("file", nargs="?", metavar="FILE", help="experiment file to check this host against")
    doctor.add_argument(
        "--host", default="", metavar="NAME", help="what FILE calls this host, if its nodes are on hosts"
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    clean = commands.add_parser("clean", help="remove and restore whatever a killed run left (needs root)")
    clean.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    clean.add_argument("--json", action="store_true", help="print what was done as JSON")


def _results(commands: Commands) -> None:
    show = commands.add_parser("show", help="print a result set's tables again")
    show.add_argument(
        "directory", metavar="DIR", help="a result set, or a directory of them (the newest is shown)"
    )
    show.add_argument(
        "--baseline", metavar="CASE", help="case the others are set against (default: the first)"
    )
    _format(show)
    _compare(commands)


def _compare(commands: Commands) -> None:
    compare = commands.add_parser(
        "compare",
        help="result sets or runs.csv files, or the cases of one set, with intervals and tests",
        description="Sets every further input against the first, cell by cell; with one input and --baseline, its "
        "cases against that case. The method, and what it can show: docs/statistics.md.",
    )
    compare.add_argument(
        "input", metavar="INPUT", nargs="+", help="result set or runs.csv; the first is the baseline"
    )
    compare.add_argument(
        "--baseline",
        metavar="CASE",
        help="with one input: the case the others are set against, or FACTOR=VALUE: vm.kernel=6.12",
    )
    compare.add_argument(
        "--metric", action="append", metavar="COLUMN", help="only this column (may be repeated)"
    )
    compare.add_argument(
        "--by",
        action="append",
        metavar="COLUMN",
        help="tell cells apart by this column alone (may be repeated)",
    )
    compare.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="EXPR",
        help="only runs for which this holds: contention.load=100%%, case!=base, rtt_p50_us<50 (all of several)",
    )
    compare.add_argument(
        "--sort",
        choices=("plan", "case", "effect", "p"),
        default="plan",
        help="order of rows (default: plan)",
    )
    compare.add_argument(
        "--include",
        type=_verdicts("inert", "suspect", "failed"),
        default=(),
        metavar="VERDICTS",
        help="count runs of these verdicts too: suspect,inert",
    )
    compare.add_argument(
        "--sesoi",
        metavar="PERCENT",
        help="smallest effect of interest: changes within it are ~ (default: checks.smallest_effect)",
    )
    compare.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="COND",
        help='exit 1 when shown of any cell: "rtt_p99_us > +5%%", "> +3us", "> 100us" (may be repeated)',
    )
    compare.add_argument(
        "--fail-if-point", action="store_true", help="judge --fail-if by the estimate, not by its interval"
    )
    _format(compare, (*FORMATS, "kernel"))


def _pages(commands: Commands) -> None:
    report = commands.add_parser("report", help="one self-contained HTML page of one or more result sets")
    report.add_argument(
        "directory", metavar="DIR", nargs="+", help="result set, or a directory of them (the newest)"
    )
    report.add_argument(
        "-o", "--output", metavar="FILE", help="default: report.html in the set, or here for several sets"
    )
    report.add_argument("--baseline", metavar="CASE", help="case the others are set against")
    plot = commands.add_parser("plot", help="one figure for a paper: SVG, PDF or PNG (needs pollbench[plot])")
    plot.add_argument("directory", metavar="DIR", help="result set, or a directory of them (the newest)")
    plot.add_argument("--kind", required=True, choices=KINDS, help="what to draw")
    plot.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="its ending chooses: .svg, .pdf or .png"
    )
    plot.add_argument("--baseline", metavar="CASE", help="case drawn as the reference (default: the first)")
    plot.add_argument("--case", action="append", metavar="NAME", help="only this case (may be repeated)")
    plot.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="FACTOR=VALUE",
        help="only cells with this value (may be repeated)",
    )
    plot.add_argument(
        "--metric",
        metavar="COLUMN",
        help="what load and heatmap show (default: rtt_p99_us, and p50 for load)",
    )
    plot.add_argument("--run", action="append", metavar="RUN_ID", help="timeline: this run (may be repeated)")
    plot.add_argument(
        "--width", type=float, default=7.0, metavar="INCHES", help="width of the figure (default: 7)"
    )


def _gallery(commands: Commands) -> None:
    gallery = commands.add_parser(
        "gallery",
        help="the claims about busy polling, tested here: a table of verdicts and one HTML page (needs root)",
        description="Runs the claim files and judges them. Sets of earlier galleries in DIR count too: a claim whose "
        "verdict differs from rerun to rerun is not shown. With --in-vm it runs in guests, without root, and tests "
        "what only a guest has (NICs, NUMA, an IOMMU) as well. What a claim is: docs/experiment-file.md.",
    )
    gallery.add_argument(
        "name", metavar="NAME", nargs="*", help="claim files by name or number: 06, 14-abuse"
    )
    gallery.add_argument(
        "--list", action="store_true", help="print the claims and how long they take, and stop"
    )
    gallery.add_argument(
        "--quick", action="store_true", help="few and short repetitions: minutes, not half an hour"
    )
    gallery.add_argument(
        "--from", dest="source", metavar="DIR", help="claim files of your own (default: experiments/claims)"
    )
    gallery.add_argument(
        "-o", "--output", metavar="DIR", help="default: results/gallery, or results/gallery-vm with --in-vm"
    )
    gallery.add_argument("--in-vm", action="store_true", help="run in guests (`pollbench vm`), without root")
    vm.kernel(gallery)
    vm.accelerator(gallery)
    vm.emulator(gallery)
    gallery.add_argument("--resume", action="store_true", help="make only what is missing of the newest sets")
    gallery.add_argument("--no-run", action="store_true", help="judge the sets that are there; needs no root")
    _overrides(gallery)
    gallery.add_argument("--wait", action="store_true", help="wait for another run on this host to end")
    gallery.add_argument("--json", action="store_true", help="print the verdicts as JSON")


def _import(commands: Commands) -> None:
    read = commands.add_parser("import", help="a result set from other programs' raw output")
    read.add_argument("format", metavar="FORMAT", nargs="?", help="what it is, or auto; see --list")
    read.add_argument("path", metavar="PATH", nargs="?", help="file, or directory of files")
    read.add_argument("--list", action="store_true", help="print the formats and exit")
    read.add_argument(
        "-o", "--output", default="results", metavar="DIR", help="where the set goes (default: results)"
    )
    read.add_argument("--name", default="", help="name of the set (default: after PATH)")
    read.add_argument("--case", default="", help="name of every run's case (default: after the files)")
    read.add_argument(
        "--compat",
        choices=("published",),
        default="",
        help="irqsuspend: cycles per query and runs that count as in the early published tables",
    )
    read.add_argument(
        "--unit", choices=("ns", "us", "ms", "s"), default="", help="hdrhistogram: unit of the values"
    )
    read.add_argument(
        "--basis",
        choices=("rtt", "half-rtt", "one-way"),
        default="",
        help="hdrhistogram, netperf: what the latencies are",
    )


def _format(parser: argparse.ArgumentParser, formats: tuple[str, ...] = FORMATS) -> None:
    parser.add_argument("--format", choices=formats, default="text", help="default: text")
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="the same as --format json"
    )
