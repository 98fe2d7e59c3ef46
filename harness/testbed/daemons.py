"""Programs of others that run while a testbed stands, and the directory under /run that they have to themselves."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from harness.kernel import identity
from harness.kernel.journal import Journal
from harness.kernel.proc import start_ticks

_PATIENCE_S = 10.0


def home_of(kind: str, token: str) -> Path:
    """Where a testbed's programs of this kind have their files."""
    return Path(f"/run/pollbench-{kind}-{token}")


@contextlib.contextmanager
def own_directory(kind: str, journal: Journal) -> Iterator[Path]:
    """That directory, for the length of the block."""
    home = home_of(kind, journal.token)
    number = journal.note("directory", path=str(home))
    home.mkdir()
    journal.identify(number, identity.of_path(home))
    # Whatever the umask: some of these programs give up root's rights.
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
        journal.done(number)


@contextlib.contextmanager
def daemon(
    command: Sequence[str],
    environment: Mapping[str, str],
    journal: Journal,
    output: IO[bytes] | int = subprocess.DEVNULL,
    stdin: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """A program for the length of the block, in a session of its own. output: where its output and errors go."""
    with subprocess.Popen(
        command,
        env=environment,
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=pass_fds,
        start_new_session=True,
    ) as process:
        number = journal.note("process", pid=process.pid, start_ticks=start_ticks(process.pid))
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            journal.done(number)
