"""The argument parser: every command and option, and nothing that is slow to import."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

FORMATS = ("text", "markdown", "csv", "json")

_EPILOG = """\
exit codes: 0 ok; 1 some run failed or is not valid; 2 bad input; 3 this host lacks what the experiment
needs (or another run holds it); 130 interrupted. `run` and `clean` need root, nothing else does."""


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
    _files(commands)
    _host(commands)
    _results(commands)
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
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a dotted key: workload.duration=2s",
    )
    parser.add_argument("--repeat", type=_count, metavar="N", help="repetitions of every cell")
    parser.add_argument("--seed", type=_seed, metavar="N", help="seed of the random order")


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


def _verdicts(text: str) -> list[str]:
    known = ("failed", "inert", "suspect", "skipped")
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(known)}")
    return names


_count.__name__ = _seed.__name__ = "whole number"


def _run(commands: Commands) -> None:
    run = commands.add_parser("run", help="run an experiment and print its table (needs root)")
    _experiment(run)
    run.add_argument(
        "-o", "--output", default="results", metavar="DIR", help="where result sets go (default: results)"
    )
    run.add_argument(
        "--resume", action="store_true", help="go on with the newest unfinished set of this experiment"
    )
    run.add_argument(
        "--redo",
        type=_verdicts,
        default=[],
        metavar="VERDICTS",
        help="with --resume: make runs with these verdicts again (suspect,failed)",
    )
    run.add_argument("--dry-run", action="store_true", help="print what would run, and do nothing")
    run.add_argument(
        "--wait", action="store_true", help="wait for another run on this host to end, not refuse"
    )
    run.add_argument("--json", action="store_true", help="print the summary as JSON")


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
    compare = commands.add_parser(
        "compare", help="two result sets, two runs.csv files, or the cases of one set"
    )
    compare.add_argument("a", metavar="A", help="result set or runs.csv; the baseline")
    compare.add_argument("b", metavar="B", nargs="?", help="result set or runs.csv to set against A")
    compare.add_argument(
        "--baseline", metavar="CASE", help="with A alone: the case the others are set against"
    )
    compare.add_argument(
        "--metric", action="append", metavar="COLUMN", help="only this column (may be repeated)"
    )
    _format(compare)


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="the same as --format json"
    )
