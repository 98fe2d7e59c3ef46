"""The one error type: what was attempted, on what, what came back, and what to do next."""

from __future__ import annotations

EXIT_OK = 0
EXIT_NOT_VALID = 1
EXIT_BAD_INPUT = 2
EXIT_HOST_LACKS = 3
EXIT_UNDECIDED = 4
EXIT_UNFORESEEN = 5
EXIT_GATE = 6
EXIT_INTERRUPTED = 130

UNFORESEEN = "unforeseen.txt"
"""The file of a run that ended by a mistake of pollbench's own: the traceback, to be reported."""


class PollbenchError(Exception):
    """Something a person can act on; printed as one line at the edge, never as a traceback.

    attempted: what was being done ("set napi_defer_hard_irqs"); on: the object it was done to; got: what came
    back (errno text, wrong value); todo: what to do next.
    """

    exit_code = EXIT_NOT_VALID

    def __init__(self, attempted: str, on: str = "", got: str = "", todo: str = "") -> None:
        self.attempted, self.on, self.got, self.todo = attempted, on, got, todo
        super().__init__(self.line())

    def line(self) -> str:
        """The whole story in one line."""
        parts = ((" on ", self.on), (": ", self.got), ("; ", self.todo))
        text = self.attempted + "".join(between + part for between, part in parts if part)
        return " ".join(text.split())


class InputError(PollbenchError):
    """Bad input. `where` is file:line:column (or the command-line option) of the offending text.

    others: further mistakes of the same file that were noticed with this one, each without others of its own.
    """

    exit_code = EXIT_BAD_INPUT

    def __init__(self, attempted: str, on: str = "", got: str = "", todo: str = "", where: str = "") -> None:
        self.where = where
        self.others: tuple[InputError, ...] = ()
        super().__init__(attempted, on, got, todo)

    def line(self) -> str:
        """The story, led by the place in the file."""
        return f"{self.where}: {super().line()}" if self.where else super().line()


class MissingError(PollbenchError):
    """This host lacks what the experiment needs (a privilege, a kernel feature, a free host lock)."""

    exit_code = EXIT_HOST_LACKS


class Interrupted(PollbenchError):  # noqa: N818  # it is no error of anybody
    """The user, or the system, asked us to stop; everything has been put back."""

    exit_code = EXIT_INTERRUPTED


class LostError(PollbenchError):
    """The other host of a run is gone: this run is none, and neither are those that would follow."""


def unforeseen(error: Exception) -> str:
    """The reason of a run that ended with an exception that nobody foresaw."""
    return f"unforeseen: {type(error).__name__}: {str(error)[:300]}; please report it with {UNFORESEEN} of this run"
