"""Testbeds held open by a process of their own: who they are, where their nodes are, how they are ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.errors import InputError, PollbenchError
from harness.kernel import identity
from harness.kernel.journal import Journal
from harness.kernel.journals import STATE_DIR, mutex
from harness.kernel.proc import start_ticks
from harness.kernel.processes import end_one
from harness.testbed import Testbed, addressing

_PREFIX, _SUFFIX, _OWN = "up-", ".json", "testbed.json"
_PATIENCE_S = 60.0


class DetachedTestbed(NamedTuple):
    """A testbed held open by process `pid`, which began at `started` (clock ticks after boot).

    file: what it was made from; nodes: node to the path of its namespace; token: what bears its name on this host;
    addresses: node to the addresses of its interfaces, with their prefix lengths.
    """

    name: str
    pid: int
    started: int
    file: str
    nodes: dict[str, str]
    token: str
    addresses: dict[str, list[str]]


@contextlib.contextmanager
def announced(testbed: Testbed, name: str, file: str, journal: Journal) -> Iterator[None]:
    """Make the testbed known by `name` for the length of the block. Raises InputError where the name is taken."""
    path, own = _path(name), journal.directory / _OWN
    nodes = {node: handle.netns_path for node, handle in testbed.nodes.items()}
    pid = os.getpid()
    held = DetachedTestbed(
        name, pid, start_ticks(pid), file, nodes, testbed.token, addressing.addresses(testbed.layout)
    )
    own.write_text(json.dumps(held._asdict()))
    known = identity.of_path(own)
    with mutex(STATE_DIR):
        if any(other.name == name for other in all_held()):
            todo = f"take it down with `pollbench down {name}`, or give another --name"
            raise InputError("hold a testbed open", on=name, got="there is one of this name", todo=todo)
        number = journal.note("file", path=str(path), identity=known)
        # What a killed holder left; its journal tells its own file from ours.
        path.unlink(missing_ok=True)
        os.link(own, path)
    try:
        yield
    finally:
        with mutex(STATE_DIR):
            if identity.is_still(path, known):
                path.unlink()
        journal.done(number)


def _path(name: str) -> Path:
    return STATE_DIR / f"{_PREFIX}{name}{_SUFFIX}"


def all_held() -> list[DetachedTestbed]:
    """Every testbed whose holder lives, by name."""
    testbeds = []
    for path in sorted(STATE_DIR.glob(f"{_PREFIX}*{_SUFFIX}")):
        try:
            held = DetachedTestbed(**json.loads(path.read_text()))
            alive = held.started and start_ticks(held.pid) == held.started
        except (OSError, ValueError, TypeError):
            continue
        if alive:
            testbeds.append(held)
    return testbeds


def chosen(name: str | None) -> DetachedTestbed:
    """The testbed of this name, or the only one. Raises InputError."""
    testbeds = all_held()
    names = ", ".join(held.name for held in testbeds) or "none"
    if name is None and len(testbeds) == 1:
        return testbeds[0]
    if name is None:
        got = "several testbeds are held open" if testbeds else "no testbed is held open"
        todo = f"name one: {names}" if testbeds else "type: sudo pollbench up FILE"
        raise InputError("find the testbed", got=got, todo=todo)
    for held in testbeds:
        if held.name == name:
            return held
    raise InputError("find the testbed", on=name, got="none of this name is held open", todo=f"held open: {names}")


def end(held: DetachedTestbed) -> None:
    """Have its holder take it down, and wait until it has. Raises PollbenchError if it does not."""
    if end_one(held.pid, held.started, signal.SIGTERM, _PATIENCE_S) is False:
        todo = f"look at process {held.pid}; when it is gone: sudo pollbench clean"
        got = f"still there after {_PATIENCE_S:g} s"
        raise PollbenchError("take down the testbed", on=held.name, got=got, todo=todo)
