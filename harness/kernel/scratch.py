"""A directory for what other programs write aside: it ends with its maker, or else by `clean` or the next maker's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.errors import MissingError
from harness.kernel import identity
from harness.kernel.filelock import lock_now
from harness.kernel.journal import Journal, open_journal
from harness.kernel.syscalls import held

_PREFIX = "pollbench-aside-"


@contextlib.contextmanager
def aside() -> Iterator[Path]:
    """A directory below that for temporary files, for the block; nobody else may look into it.

    Root notes it in a journal, so that `clean` removes it after a SIGKILL. Who may not write journals removes at the
    next such block what earlier ones of the same user's have left. Raises OSError.
    """
    place = Path(tempfile.gettempdir())
    with contextlib.ExitStack() as stack:
        journal: Journal | None = None
        try:
            journal = stack.enter_context(open_journal())
        except MissingError:
            _remove_dead(place)
        path = _made(place, journal, stack)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _made(place: Path, journal: Journal | None, stack: contextlib.ExitStack) -> Path:
    """A new one, locked until the stack ends."""
    while True:
        path = place / f"{_PREFIX}{secrets.token_hex(4)}"
        number = journal.note("directory", path=str(path)) if journal else 0
        path.mkdir(mode=0o700)
        # Before it is locked somebody else may take it for one that was left.
        with contextlib.suppress(FileNotFoundError):
            if journal:
                journal.identify(number, identity.of_path(path))
            if lock_now(stack.enter_context(_opened(path)), fcntl.LOCK_EX):
                return path


def _remove_dead(place: Path) -> None:
    """Those of this user that nobody holds any more."""
    for path in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), _opened(path) as fd:
            if os.fstat(fd).st_uid == os.geteuid() and lock_now(fd, fcntl.LOCK_EX):
                shutil.rmtree(path, ignore_errors=True)


def _opened(path: Path) -> contextlib.AbstractContextManager[int]:
    return held(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
