"""The command line: parses, dispatches, prints, and is the only place that decides exit codes."""

from __future__ import annotations

import os
import sys

from harness.cli.parser import build_parser
from harness.errors import EXIT_INTERRUPTED, EXIT_OK, PollbenchError


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one line on stderr, never a traceback."""
    arguments = build_parser().parse_args(argv)
    try:
        code = _run(arguments.command, arguments)
        sys.stdout.flush()
        return code
    except PollbenchError as error:
        print(f"pollbench: {error.line()}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("pollbench: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK


def _run(command: str, arguments: object) -> int:
    """Import only the module of the command at hand: `--help` must not wait for pandas."""
    import gc
    from importlib import import_module

    if command == "compare":
        # It reads, computes and ends; looking for garbage would be a tenth of its time.
        gc.disable()
    module = {
        "run": "run",
        "calibrate": "calibrate",
        "plan": "files",
        "validate": "files",
        "schema": "files",
        "doctor": "host",
        "clean": "host",
        "show": "results",
        "compare": "compare",
        "report": "report",
        "plot": "plot",
        "import": "import_",
        "completion": "completion",
    }[command]
    function = "import_" if command == "import" else command
    code: int = getattr(import_module(f"harness.cli.{module}"), function)(arguments)
    return code
