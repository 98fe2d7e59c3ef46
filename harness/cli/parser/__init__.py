"""The argument parser: every command and option, and nothing that is slow to import."""

from __future__ import annotations

import argparse

from harness.cli.parser import measuring, places, results

_EPILOG = """\
exit codes: 0 ok; 1 some run failed or is not valid, or `tune` claims nothing; 2 bad input; 3 this host lacks
what the experiment needs (or another run holds it); 4 a --fail-if condition is undecided or cannot be judged;
5 a mistake of pollbench's own, with a report to send; 6 a --fail-if condition is met, or with --fail-on-change
a level is worse; 130 interrupted, or the budget is spent. `run`, `tune`, `gallery`, `calibrate`, `clean`, `up`,
`down`, `enter`, `host prepare`, `host restore` and `doctor --matrix` need root, nothing else does."""


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
    measuring.add(commands)
    places.add(commands)
    results.add(commands)
    measuring.add_gallery(commands)
    measuring.add_suite(commands)
    results.add_import(commands)
    places.add_topology(commands)
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
