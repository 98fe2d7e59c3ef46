"""A process that runs commands, one after another, and is ended from outside when one of them hangs.

A line of JSON in: {"words": [...], "state": PATH or null}; a line of JSON out: {"code", "out", "err"}.
"""

from __future__ import annotations

import functools
import json
import resource
import sys
from pathlib import Path

from harness import cli
from harness.kernel import journal
from tests.command import call

_MOST_BYTES = 6 << 30
_clean = journal.clean


def main() -> None:
    """Serve until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    # The same for every command, and a fifth of what most of them take.
    setattr(cli, "build_parser", functools.cache(cli.build_parser))  # noqa: B010
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["state"]:
            # No mutant of a journal may ever reach the journals of this host.
            setattr(journal, "clean", functools.partial(_clean, state=Path(asked["state"])))  # noqa: B010
        try:
            done = call(*asked["words"])
            answer = {"code": done.returncode, "out": done.stdout, "err": done.stderr}
        except BaseException as error:  # noqa: BLE001  # to be counted, whatever it is
            answer = {"code": -1, "out": "", "err": f"Traceback: {type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
