"""Busy polling for programs nobody modified: a node's socket settings, applied to its processes from outside.

Listening sockets come first, because what is accepted from one inherits its options at the handshake. What a program
opens after the last sweep, and does not accept from a listener, is not reached: a client's sockets must be there before
the measured window. A program that polls in its own way (O_NONBLOCK and poll) is reached by neither option.
"""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass, field
from typing import Any

from harness.errors import PollbenchError
from harness.kernel import pidfd, processes
from harness.knobs import KNOBS, Setting
from harness.run.knobs import Knobs, Row, check, refusal, row

# Closed, or ended, between looking and borrowing: no failure of anybody.
_GONE = {errno.EBADF, errno.ESRCH, errno.ENOENT}
_EPOLL = "anon_inode:[eventpoll]"
_MAX_ROWS = 16


@dataclass
class Treated:
    """One socket or epoll instance of a program, and what became of each setting."""

    program: str
    pid: int
    fd: int
    kind: str
    napi_id: int | None
    settings: list[dict[str, Any]] = field(default_factory=list)

    def where(self) -> str:
        """The object in words."""
        return f"{self.program}[{self.pid}] fd {self.fd} ({self.kind})"


class Injector:
    """The socket settings of one node; `sweep` applies them to whatever has appeared since the last one."""

    def __init__(self, node: str, knobs: Knobs) -> None:
        self._node = node
        self._socket: list[tuple[str, Setting]] = []
        self._epoll: list[tuple[str, Setting]] = []
        for name in knobs:
            for setting in KNOBS[name].settings(knobs[name]) if KNOBS[name].scope == "socket" else ():
                (self._epoll if setting.name == "EPIOCSPARAMS" else self._socket).append((name, setting))
        self.treated: dict[tuple[int, int, int], Treated] = {}

    def sweep(self, program: str, pids: list[int]) -> int:
        """Treat the new sockets and epoll instances of these processes; how many there were.

        Raises MissingError (this kernel, or our privilege, does not allow it), PollbenchError (a value refused).
        """
        fresh: list[tuple[bool, int, processes.Descriptor, pidfd.SocketFacts | None]] = []
        known = {inode for _, _, inode in self.treated if inode}
        for pid in pids:
            for one in processes.descriptors(pid):
                key = (pid, one.fd, one.inode)
                if key in self.treated or one.inode in known:
                    continue
                facts = _facts(pid, one)
                if facts is not None or one.target == _EPOLL:
                    known.add(one.inode)
                    fresh.append((facts is None or "listener" not in facts.kind, pid, one, facts))
        for _, pid, one, facts in sorted(fresh, key=lambda item: item[:2]):
            self._treat(program, pid, one, facts)
        return len(fresh)

    def _treat(
        self, program: str, pid: int, one: processes.Descriptor, facts: pidfd.SocketFacts | None
    ) -> None:
        kind, napi_id = (facts.kind, facts.napi_id) if facts else ("epoll", None)
        found = Treated(program, pid, one.fd, kind, napi_id)
        try:
            with pidfd.borrowed(pid, one.fd) as fd:
                for knob, setting in self._socket if facts else self._epoll:
                    found.settings.append(_write(fd, found, knob, setting))
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return
        self.treated[(pid, one.fd, one.inode)] = found

    def look_again(self, only_unknown: bool = False) -> None:
        """Read the NAPI ids anew: a socket knows its own only after its first packet.

        only_unknown: of those sockets alone that had none yet.
        """
        for (pid, fd, inode), found in self.treated.items():
            if not inode or (only_unknown and found.napi_id):
                continue
            try:
                with pidfd.borrowed(pid, fd) as mine:
                    facts = pidfd.facts(mine)
                found.napi_id = facts.napi_id if facts else found.napi_id
            except OSError:
                continue  # closed meanwhile: what was seen of it stands

    def napi_ids(self, program: str) -> list[int]:
        """The NAPI ids of a program's sockets, listeners (which receive no packets) left out."""
        found = (
            t.napi_id for t in self.treated.values() if t.program == program and "listener" not in t.kind
        )
        return list(dict.fromkeys(napi for napi in found if napi))

    def has_socket(self, program: str) -> bool:
        """Was there a socket of the program to set, one that receives?"""
        return any(t.program == program and t.kind in ("tcp", "udp") for t in self.treated.values())

    def has_epoll(self, program: str) -> bool:
        """Does the program wait by epoll, as far as was seen?"""
        return any(found.kind == "epoll" for found in self.treated.values() if found.program == program)

    def rows(self, program: str) -> list[Row]:
        """One knob row per setting of a socket; of more than some, one per setting, kind and NAPI together."""
        rows = []
        for knob, setting in (*self._socket, *self._epoll):
            mine = [found for found in self.treated.values() if found.program == program]
            with_it = [
                (found, done) for found in mine for done in found.settings if done["setting"] == setting.name
            ]
            if not with_it:
                what = "epoll instance" if (knob, setting) in self._epoll else "socket"
                rows.append(
                    row(self._node, knob, setting, f"{setting.name} {program}: no {what}", None, None)
                )
            groups: dict[Any, list[tuple[Treated, dict[str, Any]]]] = {}
            for number, (found, done) in enumerate(with_it):
                alike = (found.kind, found.napi_id, str(done["found"]), str(done["applied"]))
                groups.setdefault(number if len(with_it) <= _MAX_ROWS else alike, []).append((found, done))
            for members in groups.values():
                rows.append(_gathered(self._node, knob, setting, members))
        return rows

    def document(self) -> list[dict[str, Any]]:
        """Every socket and epoll instance that was treated, for the run's directory."""
        return [dict(vars(found)) for found in self.treated.values()]


def sockets_file(injectors: list[Injector]) -> dict[str, bytes]:
    """sockets.json: what was done to each socket; no file when nothing was."""
    found = [one for injector in injectors for one in injector.document()]
    return {"sockets.json": json.dumps(found, indent=1).encode() + b"\n"} if found else {}


def _facts(pid: int, one: processes.Descriptor) -> pidfd.SocketFacts | None:
    if not one.inode:
        return None
    try:
        with pidfd.borrowed(pid, one.fd) as fd:
            return pidfd.facts(fd)
    except OSError as error:
        if error.errno in _GONE:
            return None
        setting = Setting("socket", "the sockets of another process", "borrowed")
        raise refusal(setting, f"process {pid}", error) from error


def _write(fd: int, found: Treated, knob: str, setting: Setting) -> dict[str, Any]:
    """Write one setting and read it back. Raises OSError (the descriptor has gone), PollbenchError."""
    try:
        if setting.name == "EPIOCSPARAMS":
            before: Any = pidfd.get_epoll(fd)
            pidfd.set_epoll(fd, setting.value)
            after: Any = pidfd.get_epoll(fd)
        else:
            before = pidfd.get_option(fd, setting.name) if setting.readable else None
            pidfd.set_option(fd, setting.name, setting.value)
            after = pidfd.get_option(fd, setting.name) if setting.readable else None
    except OSError as error:
        if error.errno in _GONE:
            raise
        raise refusal(setting, found.where(), error) from error
    done = {
        "knob": knob,
        "setting": setting.name,
        "requested": setting.value,
        "found": before,
        "applied": after,
    }
    if setting.readable and after != setting.value:
        raise PollbenchError(
            f"set {setting.name} to {setting.value}", found.where(), f"it reads back {after}"
        )
    return done


def _gathered(node: str, knob: str, setting: Setting, members: list[tuple[Treated, dict[str, Any]]]) -> Row:
    first, done = members[0]
    if len(members) == 1:
        label = f"{setting.name} {first.where()}"
    else:
        label = f"{setting.name} {first.program}: {len(members)} sockets like fd {first.fd} ({first.kind})"
    if first.napi_id is not None:
        label += f" napi {first.napi_id}"
    made = row(node, knob, setting, label, done["found"], done["applied"])
    check(made, first.where())
    return made
