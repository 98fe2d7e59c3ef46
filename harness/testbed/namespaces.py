"""The network namespaces of a testbed: named, journalled, and gone at the end of their block."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from harness.errors import MissingError, PollbenchError
from harness.kernel import netns
from harness.kernel.journal import Journal


def namespace_name(token: str, node: str) -> str:
    """The name of a node's namespace in `ip netns`."""
    return f"pb-{token}-{node}"


@contextlib.contextmanager
def namespace(node: str, journal: Journal, source: str = "") -> Iterator[int]:
    """A named namespace for the block; its descriptor. source: path of one that is there already, to be named."""
    name = namespace_name(journal.token, node)
    number = journal.note("netns", name=name)
    with explained():
        fd = netns.adopt(name, source) if source else netns.create(name)
    try:
        yield fd
    finally:
        # First our own hold on it, then the name: with that, and no process inside, the kernel frees it.
        os.close(fd)
        netns.remove(name)
        journal.done(number)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """A kernel's refusal as one of our errors."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            todo = "run it as root: put sudo before it"
            raise MissingError("build the testbed", got=str(error), todo=todo) from error
        todo = "raise the limit: ulimit -n 65536" if error.errno == errno.EMFILE else ""
        raise PollbenchError("build the testbed", got=str(error), todo=todo) from error
