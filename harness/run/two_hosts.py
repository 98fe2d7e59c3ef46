"""The ends of a run: one host that has them all, or two that go through the steps of a run together.

Two hosts meet over the very wire that is measured, before and after the measured window: each says where it is, and
waits for the other. No clock of one is ever compared with a clock of the other.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple

from harness.errors import Interrupted, LostError, MissingError, PollbenchError
from harness.kernel.journal import Journal
from harness.kernel.netns import in_netns
from harness.run.process import Children, await_any, raise_death
from harness.signals import Stopper
from harness.spec.cells import CellSpec, digest
from harness.store.record import Columns
from harness.testbed import Testbed, open_testbed
from harness.testbed.onhost import described, hardware_address, know, open_end

PORT = 47108
GO, DONE, FOUND = "go", "done", "found"
"""The steps between which the measured window lies; and the last, after which each end may leave."""
STEP_S = 90.0
"""How long the other end may take for a step, beside what the step itself lasts."""
# The other host may still have to wait for its turn, or for its driver.
_FIRST_S, _LATER_S = 90.0, 45.0
_TRY_S, _PAUSE_S, _LINGER_S = 1.0, 0.02, 3
_UNHEARD_MS, _KEEPALIVE_S = 10_000, 3
_LENGTH = struct.Struct("!I")
_LONGEST = 256 << 20

Message = dict[str, Any]
"""What one end says to the other, as JSON."""


class Far(NamedTuple):
    """The other end: the node, and the host it is on."""

    node: str
    host: str


class Ends:
    """Where a run's nodes are: all on this host, and there is nobody to wait for."""

    far: Far | None = None
    """The other end, if there is one."""

    def open(self, spec: CellSpec, journal: Journal) -> AbstractContextManager[Testbed]:
        """The testbed, as far as it is here; with two ends, joined to the other."""
        return open_testbed(spec.topology, napi=spec.napi, journal=journal)

    def holds(self, node: str) -> bool:
        """Is this node here? The empty name always is."""
        return True

    def meet(
        self, step: str, message: Message, limit_s: float = STEP_S, watched: Children = (), quiet_s: float = 0.0
    ) -> Message:
        """Wait until the other end has come to this step too; what it gives in return for `message`.

        watched: must not end meanwhile; quiet_s: for so long the wire is the workload's alone.
        """
        return {}


class OneOfTwo(Ends):
    """This host has the node `here`; the other node is on another host of the fleet.

    token: a secret that both ends were given by the fleet; whoever does not know it is not listened to. facts: of this
    host, for the other to know.
    """

    far: Far  # type: ignore[bad-override-mutable-attribute]  # here there is always one

    def __init__(self, here: str, other: Far, token: str, facts: Columns, stopper: Stopper) -> None:
        self.here, self.far, self.other = here, other, other.host
        self._token, self._facts, self._stopper = token, facts, stopper
        self._line: socket.socket | None = None
        self._joined = False
        # Does the other end owe a word before it hangs up?
        self._owed = False

    def holds(self, node: str) -> bool:
        """Is this node here?"""
        return node in (self.here, "")

    @contextlib.contextmanager
    def open(self, spec: CellSpec, journal: Journal) -> Iterator[Testbed]:
        """This end's interface set up, and the other end found.

        Raises LostError when the interface is not to be had, or the other end does not come; and when something goes
        wrong and the other end does not answer any more, since then that is what went wrong.
        """
        with contextlib.ExitStack() as stack:
            testbed = self._set_up(stack, spec, journal)
            stack.callback(self._hang_up)
            self._owed = False
            try:
                self._line = self._join(spec, testbed)
                self._joined = self._owed = True
                own = {**self._facts, "interface": described(testbed)}
                other = self.meet("link", {"mac": hardware_address(testbed), "facts": own})
                know(testbed, other["mac"])
                yield replace(testbed, hosts={self.here: own, self.far.node: dict(other["facts"])})
            except LostError:
                raise
            except Exception as error:  # the other end is told of whatever it is
                self._tell(error)
                if self._owed and not isinstance(error, Interrupted):
                    self._hear_out(error, spec.workload.life_ns() / 1e9)
                raise

    def meet(
        self, step: str, message: Message, limit_s: float = STEP_S, watched: Children = (), quiet_s: float = 0.0
    ) -> Message:
        """Say where this end is, and wait for the other. Raises what went wrong there, or LostError."""
        assert self._line is not None
        deadline = time.monotonic() + limit_s
        try:
            _send(self._line, {"step": step, "told": message})
            if step == DONE:
                self._await_quietly(quiet_s, watched)
            answer = self._hear(deadline, watched)
            self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD_MS)
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error
        if answer is None:
            raise self._lost(f"nothing heard of it within {limit_s:.0f} s ({step})")
        self._owed = step != FOUND and "error" not in answer
        if "error" in answer:
            raise self._failed_there(answer["error"])
        if answer.get("step") != step:
            raise self._lost(f"it is at {answer.get('step')}, this end at {step}")
        if step == GO:
            # In the measured window the wire is the workload's alone.
            self._line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
        return dict(answer["told"])

    # -- inside -------------------------------------------------------------------------------------------

    def _set_up(self, stack: contextlib.ExitStack, spec: CellSpec, journal: Journal) -> Testbed:
        """This end's interface in a testbed. Raises LostError: without it this end can make none of the runs."""
        try:
            return stack.enter_context(open_end(spec.topology, self.here, napi=spec.napi, journal=journal))
        except MissingError as error:
            todo = "it was there for the run before" if self._joined else error.todo
            raise LostError(error.attempted, error.on, error.got, todo) from error

    def _await_quietly(self, quiet_s: float, watched: Children) -> None:
        """Send nothing for quiet_s, or until the other end speaks; then probe again whether it is still there."""
        assert self._line is not None
        if not self._readable(self._line, time.monotonic() + quiet_s, watched):
            # The other end may be silent for the time that was agreed, and is given up only after more than that.
            unheard_ms = int(quiet_s * 1000) + _UNHEARD_MS
            self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unheard_ms)
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _hear_out(self, error: Exception, busy_s: float) -> None:
        """This end breaks: is it because the other has gone? That may be busy for so long. Raises LostError if it has.

        Who breaks says so before it leaves: an end that hangs up without a word has died.
        """
        deadline = time.monotonic() + busy_s + STEP_S
        message: Message | None = None
        try:
            while message is None or "error" not in message:
                message = self._hear(deadline)
                if message is None:
                    raise self._lost(f"it does not answer any more ({error})") from error
        except OSError as broken:
            raise self._lost(f"{broken.strerror or broken} ({error})") from error
        if message["error"].get("kind") == "gone":
            raise self._failed_there(message["error"]) from error

    def _join(self, spec: CellSpec, testbed: Testbed) -> socket.socket:
        """Connect both ends about the same cell: the client's end calls, the server's answers. Raises LostError."""
        source, target = spec.workload.nodes()
        address = testbed.address(target, seen_from=source)
        about = {"token": self._token, "cell": digest(spec.identity())}
        patience_s = _LATER_S if self._joined else _FIRST_S
        deadline = time.monotonic() + patience_s
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        (node,) = testbed.nodes.values()
        meet = self._call if self.here == source else self._answer
        line = meet(node.fd, family, address, about, deadline)
        if line is None:
            raise self._lost(f"it did not come to the wire within {patience_s:.0f} s")
        set_up(line)
        return line

    def _call(self, netns: int, family: int, address: str, about: Message, deadline: float) -> socket.socket | None:
        while time.monotonic() < deadline:
            with in_netns(netns):
                line = socket.socket(family, socket.SOCK_STREAM)
            try:
                line.settimeout(_TRY_S)
                line.connect((address, PORT))
                _send(line, about)
                self._line = line
                heard = self._hear(time.monotonic() + STEP_S)
                if heard is not None and heard == about:
                    return line
            except OSError:
                pass
            self._line = None
            line.close()
            self._stopper.pause(_PAUSE_S)
        return None

    def _answer(self, netns: int, family: int, address: str, about: Message, deadline: float) -> socket.socket | None:
        with in_netns(netns), socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, PORT))
            listener.listen(4)
            while self._readable(listener, deadline):
                line, _ = listener.accept()
                line.settimeout(_LINGER_S)
                self._line = line
                with contextlib.suppress(OSError, ValueError):
                    heard = self._hear(time.monotonic() + _LINGER_S) or {}
                    if hmac.compare_digest(str(heard.get("token")), self._token):
                        _send(line, about)
                        if heard == about:
                            return line
                        # The other end has gone on to another run: so does this one.
                        raise PollbenchError("join the other end", self.other, "it is at another run")
                self._line = None
                line.close()
        return None

    def _readable(self, sock: socket.socket, deadline: float, watched: Children = ()) -> bool:
        """Wait without waking up in between; False at the deadline. Raises Interrupted, or a program's death."""
        ready = await_any([sock.fileno()], deadline, self._stopper, watched)
        if sock.fileno() in ready:
            return True
        raise_death(watched, ready)
        return False

    def _hear(self, deadline: float, watched: Children = ()) -> Message | None:
        """The next message; None at the deadline. Raises OSError when the line is broken."""
        assert self._line is not None
        data, length = b"", _LENGTH.size
        while len(data) < length:
            if not self._readable(self._line, deadline, watched):
                return None
            chunk = self._line.recv(min(length - len(data), 1 << 20))
            if not chunk:
                raise ConnectionError("it has hung up")
            data += chunk
            if len(data) == _LENGTH.size == length:
                length += _LENGTH.unpack(data)[0]
                if length > _LONGEST:
                    raise ConnectionError("what it says is no message")
        with contextlib.suppress(ValueError):
            message = json.loads(data[_LENGTH.size :])
            if isinstance(message, dict):
                return message
        raise ConnectionError("what it says is no message")

    def _tell(self, cause: Exception) -> None:
        """Send the other end the reason why this one leaves."""
        if self._line is None:
            return
        error = cause if isinstance(cause, PollbenchError) else PollbenchError("run", got=str(cause))
        kinds: dict[type[PollbenchError], str] = {MissingError: "missing", Interrupted: "gone"}
        kind = kinds.get(type(error), "failed")
        fields = {name: getattr(error, name) for name in ("attempted", "on", "got", "todo")}
        with contextlib.suppress(OSError):
            _send(self._line, {"error": {"kind": kind} | fields})

    def _failed_there(self, failure: Mapping[str, str]) -> PollbenchError:
        """The error that the other end sent, as one of this end."""
        if failure.get("kind") == "gone":
            return self._lost(failure.get("got", ""))
        error = MissingError if failure.get("kind") == "missing" else PollbenchError
        where = f"{self.other}: {failure['on']}" if failure.get("on") else self.other
        return error(failure.get("attempted", "run"), where, failure.get("got", ""), failure.get("todo", ""))

    def _lost(self, got: str) -> LostError:
        return LostError("measure with the other end", self.other, got, "its own line says more, if it is there")


def set_up(line: socket.socket) -> None:
    """Make a connection send at once, break when the other end is gone, and close only when all has arrived."""
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A host that is gone acknowledges nothing: neither what it was told, nor that this end is still there.
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD_MS)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
        line.setsockopt(socket.IPPROTO_TCP, option, _KEEPALIVE_S)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # What was said last arrives before the interface is taken away.
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, _LINGER_S))
    line.settimeout(STEP_S)


def _send(line: socket.socket, message: Message) -> None:
    data = json.dumps(message).encode()
    line.sendall(_LENGTH.pack(len(data)) + data)
