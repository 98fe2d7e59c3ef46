"""The command line: parses, dispatches, prints, and is the only place that decides exit codes."""

from __future__ import annotations

import os
import sys

from harness.cli.parser import build_parser
from harness.cli.say import mute_stdout, say
from harness.errors import EXIT_HOST_LACKS, EXIT_INTERRUPTED, EXIT_NOT_VALID, EXIT_OK, PollbenchError


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one line on stderr, never a traceback."""
    if sys.stdout is None:  # closed by the caller: `pollbench ... >&-`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for as long as the process lives
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name may hold what this locale cannot write
    arguments = build_parser().parse_args(argv)
    try:
        code = _run(arguments.command, arguments)
        sys.stdout.flush()
        return code
    except PollbenchError as error:
        say(f"pollbench: {error.line()}")
        return error.exit_code
    except KeyboardInterrupt:
        say("pollbench: interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        mute_stdout()
        return EXIT_OK
    except ImportError as error:
        say(f"pollbench: a Python package is missing or broken ({error}); install pollbench again")
        return EXIT_HOST_LACKS
    except OSError as error:
        mute_stdout()
        say(f"pollbench: {arguments.command}: {error}; is there room, and may you write there?")
        return EXIT_NOT_VALID


def _run(command: str, arguments: object) -> int:
    """Import only the module of the command at hand: `--help` must not wait for pandas."""
    import gc
    from importlib import import_module

    if command == "compare":
        # It reads, computes and ends; looking for garbage would be a tenth of its time.
        gc.disable()
    if getattr(arguments, "share", None):
        command = "fleet_share"  # `run --share FILE`: a part of a plan, on a host of a fleet
    module = {
        "run": "run",
        "fleet_share": "fleet_share",
        "calibrate": "calibrate",
        "plan": "plan",
        "validate": "plan",
        "schema": "plan",
        "doctor": "doctor",
        "clean": "clean",
        "host": "host",
        "fleet": "fleet",
        "vm": "vm",
        "reproduce": "reproduce",
        "show": "show",
        "compare": "compare",
        "report": "report",
        "gallery": "gallery",
        "plot": "plot",
        "import": "import_",
        "topology": "topology",
        "up": "up",
        "down": "up",
        "enter": "up",
        "completion": "completion",
    }[command]
    function = {"import": "import_", "fleet_share": "share"}.get(command, command)
    code: int = getattr(import_module(f"harness.cli.{module}"), function)(arguments)
    return code
