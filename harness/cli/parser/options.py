"""Options that several commands share, and the short forms in which all options are written down."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
FORMATS = ("text", "markdown", "csv", "json")
FILE = "experiment file (YAML)"
ONE_CASE = "only this case (may be repeated)"


def value(parser: argparse.ArgumentParser, name: str, metavar: str | None, text: str, **more: Any) -> None:
    """An argument or option with a value; `text` is its help."""
    parser.add_argument(name, metavar=metavar, help=text, **more)


def values(parser: argparse.ArgumentParser, name: str, metavar: str, text: str, default: Any = None) -> None:
    """An option that may be repeated."""
    parser.add_argument(name, action="append", default=default, metavar=metavar, help=text)


def flag(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """An option without a value."""
    parser.add_argument(name, action="store_true", help=text)


def experiment(parser: argparse.ArgumentParser, case: str = "", repeat: str = "repetitions of every cell") -> None:
    """Which experiment file, and what of it. case: what the one case means, where there can be only one."""
    value(parser, "file", "FILE", FILE)
    if case:
        value(parser, "--case", "NAME", case)
    else:
        values(parser, "--case", "NAME", ONE_CASE)
    overrides(parser)
    value(parser, "--repeat", "N", repeat, type=count)
    value(parser, "--seed", "N", "seed of the random order", type=_seed)
    if not case:
        flag(parser, "--quick", "shorter, as the file's `quick` section says")


def overrides(parser: argparse.ArgumentParser, text: str = "override a dotted key: workload.duration=2s") -> None:
    """--set, as often as needed."""
    values(parser, "--set", "KEY=VALUE", text, default=[])


def execution(parser: argparse.ArgumentParser) -> None:
    """Where results go, and what of a plan is made."""
    output(parser)
    flag(parser, "--resume", "go on with the newest unfinished set of this experiment")
    redo(parser)
    flag(parser, "--dry-run", "print what would run, and do nothing")
    flag(parser, "--wait", "wait for another run on this host to end, not refuse")


def redo(parser: argparse.ArgumentParser) -> None:
    """--redo, which verdicts do not count as made."""
    text = "with --resume: make runs with these verdicts again (suspect,failed)"
    redone = verdicts("failed", "inert", "suspect", "skipped")
    value(parser, "--redo", "VERDICTS", text, type=redone, default=())


def budget(parser: argparse.ArgumentParser, of: str = "") -> None:
    """--budget, how long measuring may take."""
    text = f"begin no run that would end later than this{of}: 25min; --resume makes the rest"
    value(parser, "--budget", "TIME", text, type=_seconds)


def explained(parser: argparse.ArgumentParser) -> None:
    """--explain, one more repetition that is traced."""
    flag(parser, "--explain", "then trace one more repetition of every cell, and say why its slow requests were slow")


def output(
    parser: argparse.ArgumentParser,
    text: str = "where result sets go (default: results)",
    metavar: str = "DIR",
    default: str | None = "results",
    required: bool = False,
) -> None:
    """-o, where what is made goes: by default the directory under which result sets are."""
    parser.add_argument("-o", "--output", default=default, metavar=metavar, help=text, required=required)


def as_json(parser: argparse.ArgumentParser, content: str) -> None:
    """Add --json, which prints `content` as JSON instead of text."""
    flag(parser, "--json", f"print {content} as JSON")


def output_format(parser: argparse.ArgumentParser, formats: tuple[str, ...] = FORMATS) -> None:
    """--format, and --json for one of them."""
    parser.add_argument("--format", choices=formats, default="text", help="default: text")
    text = "the same as --format json"
    parser.add_argument("--json", action="store_const", const="json", dest="format", help=text)


def columns(parser: argparse.ArgumentParser, metric: str) -> None:
    """How the columns of CSV files are to be taken; metric: what --metric does beside."""
    value(parser, "--case-column", "COLUMN", "CSV files: the column that tells cases apart")
    values(parser, "--factor", "COLUMN", "CSV files: a column that was swept (may be repeated)", default=[])
    values(parser, "--metric", "[NAME=]COLUMN", metric)
    text = "CSV files: unit of times that state none, or of one column (ns, us, ms, s, %%; may be repeated)"
    values(parser, "--unit", "[COLUMN=]UNIT", text, default=[])
    text = "CSV files: what a case (or column) OLD is to be called, to match it with another file's (may be repeated)"
    values(parser, "--rename", "OLD=NEW", text, default=[])
    value(
        parser,
        "--per",
        None,
        "CSV files: what a row is (default: guessed, and said)",
        choices=("request", "interval", "run"),
    )


def verdicts(*known: str) -> Callable[[str], tuple[str, ...]]:
    """A type for argparse: comma-separated verdicts out of `known`."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(filter(None, (part.strip() for part in text.split(","))))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return names

    return parse


def include(parser: argparse.ArgumentParser) -> None:
    """--include, which runs count beside valid ones."""
    text = "count runs of these verdicts too: suspect,inert"
    counted = verdicts("inert", "suspect", "failed")
    value(parser, "--include", "VERDICTS", text, type=counted, default=())


def ci_files(parser: argparse.ArgumentParser, *, doubts: bool = True) -> None:
    """--junit and --ktap, which write what was measured as tests. doubts: with the choice of what a doubt is."""
    text = "write {}, as {}, for a CI system; - prints it: docs/ci.md"
    value(parser, "--junit", "FILE", text.format("cells and claims as tests", "JUnit XML"))
    value(parser, "--ktap", "FILE", "the same as KTAP, as kernel tests print it")
    if doubts:
        text = "in those files: what is neither shown nor refuted is skipped (default) or fails"
        value(parser, "--doubts", None, text, choices=("skip", "fail"), default="skip")


def count(text: str) -> int:
    """A whole number of at least 1; argparse words the ValueError of anything else."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return number


def interval(text: str) -> float:
    """Seconds from one look to the next."""
    number = float(text)
    if not 0.01 <= number <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is none of 0.01 to 3600 seconds")
    return number


def _seconds(text: str) -> float:
    from harness.units import parse_duration  # it brings pydantic, which --help does not wait for

    try:
        return parse_duration(text) / 1e9
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**63:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to 2^63-1")
    return number


count.__name__ = _seed.__name__ = "whole number"
interval.__name__ = "number of seconds"
