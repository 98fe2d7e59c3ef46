"""The command line: parses, dispatches, prints, and alone decides exit codes."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from importlib import import_module

from harness.cli.interruption import Interruption
from harness.cli.parser import build_parser
from harness.cli.terminal import harmless_streams, mute_stdout, say
from harness.errors import EXIT_HOST_LACKS, EXIT_INTERRUPTED, EXIT_NOT_VALID, EXIT_OK, EXIT_UNFORESEEN, PollbenchError

# A command's module and function, where they are not called as the command is.
_MOST_SAID = 9
_FUNCTIONS = {
    "schema": ("validate", "schema"),
    "down": ("up", "down"),
    "enter": ("up", "enter"),
    "import": ("import_", "import_"),
    "vm bisect": ("bisect", "bisect"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one line on stderr, never a traceback.

    Without argv this is a program of its own, whose signals are its own too.
    """
    interruption = Interruption(own_process=argv is None)
    if sys.stdout is None:  # closed by the caller: `pollbench ... >&-`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for as long as the process lives
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name may hold what this locale cannot write
    with harmless_streams():
        return _guarded(sys.argv[1:] if argv is None else argv, interruption)


def _guarded(argv: list[str], interruption: Interruption) -> int:
    """The exit code of a command, and its errors in one line."""
    command = ""
    try:
        arguments = build_parser().parse_args(argv)
        command = arguments.command
        code = _run(command, arguments, interruption)
        sys.stdout.flush()
        return code
    except SystemExit:  # argparse's way to refuse, and to help
        raise
    except BaseException as error:  # noqa: BLE001  # the edge
        if interruption.came or isinstance(error, KeyboardInterrupt):
            # Whatever a library has made of it on the way.
            say("pollbench: interrupted")
            return EXIT_INTERRUPTED
        return _explained(error, command, argv)


def _explained(error: BaseException, command: str, argv: list[str]) -> int:
    """Say what went wrong in one line, and the exit code."""
    if isinstance(error, PollbenchError):
        say(f"pollbench: {error.line()}")
        others = getattr(error, "others", ())
        for other in others[:_MOST_SAID]:
            say(f"pollbench: {other.line()}")
        if rest := len(others[_MOST_SAID:]):
            say(f"pollbench: and {rest} more")
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        mute_stdout()
        return EXIT_OK
    if isinstance(error, ImportError):
        say(f"pollbench: a Python package is missing or broken ({error}); install pollbench again")
        return EXIT_HOST_LACKS
    if isinstance(error, MemoryError):
        # Nothing more is imported, or there would be a second one.
        say(f"pollbench: {command}: there is not enough memory; what was finished is kept")
        return EXIT_NOT_VALID
    if isinstance(error, OSError):
        mute_stdout()
        say(f"pollbench: {command}: {error}; is there room, and may you write there?")
        return EXIT_NOT_VALID
    from harness.cli.guard import report_unforeseen

    # Nobody foresaw it: the last guard.
    say(f"pollbench: {report_unforeseen(error, command, argv)}")
    return EXIT_UNFORESEEN


def _run(command: str, arguments: argparse.Namespace, interruption: Interruption) -> int:
    """Import only the module of the command at hand: `--help` must not wait for pandas."""
    searched = gc.isenabled()
    # While modules are loaded nothing becomes garbage, and looking for some would be a tenth of the time.
    gc.disable()
    if command == "compare":
        # It reads, computes and ends: the same holds for all of it. And nothing is multiplied.
        searched = False
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if getattr(arguments, "share_file", None):
        module, function = "fleet_share", "fleet_share"  # a part of a plan, on a host of a fleet
    else:
        action = f"{command} {getattr(arguments, 'action', '')}"
        module, function = _FUNCTIONS.get(action) or _FUNCTIONS.get(command, (command, command))
    # Loaded before a signal may raise anything: imports do not bear it.
    try:
        started = getattr(import_module(f"harness.cli.{module}"), function)
    finally:
        if searched:
            gc.enable()
    with interruption.raised():
        code: int = started(arguments)
    if not gc.isenabled():
        gc.freeze()  # nor while Python ends
    return code
