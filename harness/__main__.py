"""`python -m harness` is `pollbench`."""

import signal
import sys

_LOADS = __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _LOADS:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the next line has loaded: no traceback of Python's own

from harness.kernel.leaving import leave, leave_soon  # noqa: E402


def start() -> int:
    """The command as a program of its own: from here on no signal ends it with a traceback, whatever it is loading."""
    if _LOADS or signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)  # also while the next line is imported
    from harness.signals import answer_with

    answer_with(leave)
    from harness.cli import main

    code = main()
    leave_soon(code, (sys.stdout, sys.stderr))
    # Where a KeyboardInterrupt came out of code that a library had made as text (classes, mostly), Python remembers and
    # ends by SIGINT, whatever we made of it and in place of our exit code. Other such code has it forget.
    eval("0")  # noqa: S307
    return code


if __name__ == "__main__":
    sys.exit(start())
