"""`python -m harness` is `pollbench`."""

import sys

from harness.kernel.leaving import leave
from harness.signals import answer_with


def start() -> int:
    """The command as a program of its own: from here on no signal ends it with a traceback, whatever it is loading."""
    answer_with(leave)
    from harness.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(start())
