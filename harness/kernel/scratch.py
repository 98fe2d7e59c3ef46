"""A directory for what programs of others write aside: it ends with its maker, or else by `clean` or the next maker."""

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
from harness.kernel.journal import open_journal
from harness.kernel.syscalls import held

_PREFIX = "pollbench-aside-"


@contextlib.contextmanager
def aside() -> Iterator[Path]:
    """A directory below that for temporary files, for the block; nobody else may look into it.

    Root notes it in a journal, so that `clean` removes it after a SIGKILL. Who may not write journals removes at the
    next such block what earlier ones of the same user's have left. Raises OSError.
    """
    with contextlib.ExitStack() as stack:
        try:
            journal = stack.enter_context(open_journal())
        except MissingError:
            journal = None
            _remove_dead()
        while True:
            path = Path(tempfile.gettempdir()) / f"{_PREFIX}{secrets.token_hex(4)}"
            number = journal.note("directory", path=str(path)) if journal else 0
            path.mkdir(mode=0o700)
            if journal:
                journal.identify(number, identity.of_path(path))
            with held(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)) as fd:
                if not lock_now(fd, fcntl.LOCK_EX):
                    continue  # somebody took it for one that was left, in the moment before it was locked
                try:
                    yield path
                finally:
                    shutil.rmtree(path, ignore_errors=True)
            return


def _remove_dead() -> None:
    """Those of this user that nobody holds any more."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), held(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)) as fd:
            if os.fstat(fd).st_uid == os.geteuid() and lock_now(fd, fcntl.LOCK_EX):
                shutil.rmtree(path, ignore_errors=True)
