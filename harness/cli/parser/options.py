"""Options that several commands share, and the short forms in which all options are written down."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

FORMATS = ("text", "markdown", "csv", "json")
EXPERIMENT = "experiment file (YAML)"
ONLY_CASE = "only this case (may be repeated)"


def value(parser: argparse.ArgumentParser, name: str, metavar: str | None, text: str, **more: Any) -> None:
    """An argument or option with a value; `text` is its help."""
    parser.add_argument(name, metavar=metavar, help=text, **more)


def values(parser: argparse.ArgumentParser, name: str, metavar: str, text: str, default: Any = None) -> None:
    """An option that may be repeated."""
    parser.add_argument(name, action="append", default=default, metavar=metavar, help=text)


def flag(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """An option without a value."""
    parser.add_argument(name, action="store_true", help=text)


def experiment(parser: argparse.ArgumentParser) -> None:
    """Which experiment file, and what of it."""
    value(parser, "file", "FILE", EXPERIMENT)
    values(parser, "--case", "NAME", ONLY_CASE)
    overrides(parser)
    value(parser, "--repeat", "N", "repetitions of every cell", type=_count)
    value(parser, "--seed", "N", "seed of the random order", type=_seed)
    flag(parser, "--quick", "shorter, as the file's `quick` section says")


def calibrated(parser: argparse.ArgumentParser) -> None:
    """The same for `calibrate`, which makes two cases of one."""
    value(parser, "file", "FILE", EXPERIMENT)
    value(parser, "--case", "NAME", "the case to run twice (default: the first)")
    overrides(parser)
    value(parser, "--repeat", "N", "repetitions of either (default: 40)", type=_count)
    value(parser, "--seed", "N", "seed of the random order", type=_seed)


def overrides(parser: argparse.ArgumentParser, text: str = "override a dotted key: workload.duration=2s") -> None:
    """--set, as often as needed."""
    values(parser, "--set", "KEY=VALUE", text, default=[])


def execution(parser: argparse.ArgumentParser) -> None:
    """Where results go, and what of a plan is made."""
    output(parser)
    flag(parser, "--resume", "go on with the newest unfinished set of this experiment")
    value(
        parser,
        "--redo",
        "VERDICTS",
        "with --resume: make runs with these verdicts again (suspect,failed)",
        type=verdicts("failed", "inert", "suspect", "skipped"),
        default=(),
    )
    flag(parser, "--dry-run", "print what would run, and do nothing")
    flag(parser, "--wait", "wait for another run on this host to end, not refuse")


def output(parser: argparse.ArgumentParser, text: str = "where result sets go (default: results)") -> None:
    """Add -o DIR, the directory under which result sets are made."""
    parser.add_argument("-o", "--output", default="results", metavar="DIR", help=text)


def as_json(parser: argparse.ArgumentParser, content: str) -> None:
    """Add --json, which prints `content` as JSON instead of text."""
    flag(parser, "--json", f"print {content} as JSON")


def output_format(parser: argparse.ArgumentParser, formats: tuple[str, ...] = FORMATS) -> None:
    """--format, and --json for one of them."""
    parser.add_argument("--format", choices=formats, default="text", help="default: text")
    text = "the same as --format json"
    parser.add_argument("--json", action="store_const", const="json", dest="format", help=text)


def verdicts(*known: str) -> Callable[[str], tuple[str, ...]]:
    """A type for argparse: comma-separated verdicts out of `known`."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(filter(None, (part.strip() for part in text.split(","))))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return names

    return parse


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


_count.__name__ = _seed.__name__ = "whole number"
