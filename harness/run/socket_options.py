"""Busy polling for programs nobody modified: a node's socket settings, applied to its processes from outside.

Listening sockets come first, because what is accepted from one inherits its options at the handshake. What a program
opens after the last sweep, and does not accept from a listener, is not reached: a client's sockets must be there before
the measured window. A program that polls in its own way (O_NONBLOCK and poll) is reached by neither option.
"""

from __future__ import annotations

import contextlib
import errno
import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field

from harness.errors import PollbenchError
from harness.kernel import pidfd, processes
from harness.knobs import Setting
from harness.run.knobs import Knobs, checked_row, refusal, settings_of
from harness.store.record import KnobRow

# Closed, or ended, between looking and borrowing: no failure of anybody.
_GONE = {errno.EBADF, errno.ESRCH, errno.ENOENT}
_EPOLL, _OF_EPOLL = "anon_inode:[eventpoll]", "EPIOCSPARAMS"
_MAX_ROWS = 16


@dataclass(frozen=True)
class WrittenOption:
    """One setting of one socket: asked for, before, and as it reads back (None where it is never shown)."""

    knob: str
    setting: str
    requested: object
    found: object
    applied: object


@dataclass
class TreatedSocket:
    """One socket or epoll instance of a program, and what became of each setting."""

    program: str
    pid: int
    fd: int
    kind: str
    napi_id: int | None
    settings: list[WrittenOption] = field(default_factory=list)

    def where(self) -> str:
        """Program, pid, descriptor and kind in words, for messages."""
        return f"{self.program}[{self.pid}] fd {self.fd} ({self.kind})"


class SocketOptions:
    """The socket settings of one node; `sweep` applies them to whatever has appeared since the last one."""

    def __init__(self, node: str, knobs: Knobs) -> None:
        self._node = node
        # That of epoll instances comes last.
        self._settings = sorted(settings_of(knobs, "socket"), key=lambda item: item[1].name == _OF_EPOLL)
        self.treated: dict[tuple[int, int, int], TreatedSocket] = {}

    def sweep(self, program: str, pids: list[int]) -> None:
        """Treat the new sockets and epoll instances of these processes.

        Raises MissingError (this kernel, or our privilege, does not allow it), PollbenchError (a value refused).
        """
        fresh: list[tuple[bool, int, processes.Descriptor, pidfd.SocketFacts | None]] = []
        known = {inode for _, _, inode in self.treated if inode}
        for pid in pids:
            for held in processes.descriptors(pid):
                if (pid, held.fd, held.inode) in self.treated or held.inode in known:
                    continue
                facts = _facts(pid, held)
                if facts is not None or held.target == _EPOLL:
                    known.add(held.inode)
                    fresh.append((facts is None or "listener" not in facts.kind, pid, held, facts))
        for _, pid, held, facts in sorted(fresh, key=lambda item: item[:2]):
            self._treat(program, pid, held, facts)

    def _treat(self, program: str, pid: int, held: processes.Descriptor, facts: pidfd.SocketFacts | None) -> None:
        kind, napi_id = (facts.kind, facts.napi_id) if facts else ("epoll", None)
        treated = TreatedSocket(program, pid, held.fd, kind, napi_id)
        try:
            with pidfd.borrowed(pid, held.fd) as fd:
                for knob, setting in self._settings:
                    if (setting.name == _OF_EPOLL) if facts is None else pidfd.has_option(kind, setting.name):
                        treated.settings.append(_write(fd, treated, knob, setting))
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return
        self.treated[(pid, held.fd, held.inode)] = treated

    def look_again(self, only_unknown: bool = False) -> None:
        """Read the NAPI ids anew: a socket knows its own only after its first packet.

        only_unknown: of those sockets alone that had none yet.
        """
        for (pid, fd, inode), treated in self.treated.items():
            if not inode or (only_unknown and treated.napi_id):
                continue
            # What was seen of one that has been closed meanwhile stands.
            with contextlib.suppress(OSError), pidfd.borrowed(pid, fd) as own_fd:
                facts = pidfd.facts(own_fd)
                treated.napi_id = facts.napi_id if facts else treated.napi_id

    def _of(self, program: str) -> list[TreatedSocket]:
        return [treated for treated in self.treated.values() if treated.program == program]

    def napi_ids(self, program: str) -> list[int]:
        """The NAPI ids of a program's sockets, listeners (which receive no packets) left out."""
        receiving = (treated.napi_id for treated in self._of(program) if "listener" not in treated.kind)
        return list(dict.fromkeys(napi_id for napi_id in receiving if napi_id))

    def has_socket(self, program: str) -> bool:
        """Was there a socket of the program to set, one that receives?"""
        return any(treated.kind != "epoll" and "listener" not in treated.kind for treated in self._of(program))

    def has_epoll(self, program: str) -> bool:
        """Does the program wait by epoll, as far as was seen?"""
        return any(treated.kind == "epoll" for treated in self._of(program))

    def rows(self, program: str) -> list[KnobRow]:
        """One knob row per setting of a socket; of more than some, one per setting, kind and NAPI together."""
        rows = []
        for knob, setting in self._settings:
            with_it = [
                (treated, option)
                for treated in self._of(program)
                for option in treated.settings
                if option.setting == setting.name
            ]
            if not with_it:
                kind = "epoll instance" if setting.name == _OF_EPOLL else "socket"
                label = f"{setting.name} {program}: no {kind}"
                rows.append(checked_row(self._node, knob, setting, label, None, None, program))
            groups: dict[object, list[tuple[TreatedSocket, WrittenOption]]] = defaultdict(list)
            for number, (treated, option) in enumerate(with_it):
                alike = (treated.kind, treated.napi_id, str(option.found), str(option.applied))
                groups[number if len(with_it) <= _MAX_ROWS else alike].append((treated, option))
            rows += [_row(self._node, setting, members) for members in groups.values()]
        return rows


def sockets_file(socket_options: list[SocketOptions]) -> dict[str, bytes]:
    """sockets.json: what was done to each socket; no file when nothing was."""
    document = [asdict(treated) for options in socket_options for treated in options.treated.values()]
    return {"sockets.json": json.dumps(document, indent=1).encode() + b"\n"} if document else {}


def _facts(pid: int, held: processes.Descriptor) -> pidfd.SocketFacts | None:
    if not held.inode:
        return None
    try:
        with pidfd.borrowed(pid, held.fd) as fd:
            return pidfd.facts(fd)
    except OSError as error:
        if error.errno in _GONE:
            return None
        setting = Setting("socket", "the sockets of another process", "borrowed")
        raise refusal(setting, f"process {pid}", error) from error


def _write(fd: int, treated: TreatedSocket, knob: str, setting: Setting) -> WrittenOption:
    """Write one setting and read it back. Raises OSError (the descriptor has gone), PollbenchError."""

    def current() -> object:
        if setting.name == _OF_EPOLL:
            return pidfd.get_epoll(fd)
        return pidfd.get_option(fd, setting.name) if setting.readable else None

    try:
        before = current()
        if setting.name == _OF_EPOLL:
            pidfd.set_epoll(fd, setting.value)
        else:
            pidfd.set_option(fd, setting.name, setting.value)
        after = current()
    except OSError as error:
        if error.errno in _GONE:
            raise
        raise refusal(setting, treated.where(), error) from error
    if setting.readable and after != setting.value:
        raise PollbenchError(f"set {setting.name} to {setting.value}", treated.where(), f"it reads back {after}")
    return WrittenOption(knob, setting.name, setting.value, before, after)


def _row(node: str, setting: Setting, members: list[tuple[TreatedSocket, WrittenOption]]) -> KnobRow:
    """The row of one socket, or of several that are alike."""
    first, option = members[0]
    if len(members) == 1:
        label = f"{setting.name} {first.where()}"
    else:
        label = f"{setting.name} {first.program}: {len(members)} sockets like fd {first.fd} ({first.kind})"
    if first.napi_id is not None:
        label += f" napi {first.napi_id}"
    return checked_row(node, option.knob, setting, label, option.found, option.applied, first.where())
