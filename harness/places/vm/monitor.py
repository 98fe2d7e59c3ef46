"""Speaks QMP with a QEMU that we started, over a socket that it inherits: one command at a time."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable
from typing import Any, Self

from harness.errors import PollbenchError
from harness.places.vm.launch import patient_s
from harness.run.process import ChildProcess, await_any
from harness.signals import Stopper

Message = dict[str, Any]
_LOOK_S = 0.02
_ANSWER_S, _END_S = 30.0, 2.0


class MonitorError(PollbenchError):
    """QEMU refused a command, ended, or did not answer in time."""

    def __init__(self, command: str, got: str) -> None:
        super().__init__("save or resume a guest", on=command, got=got)


class Monitor:
    """The monitor of one QEMU: `options` for its command line, `fd` to be passed on, then `attach` before all else."""

    def __init__(self, stopper: Stopper) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._stopper, self._buffer = stopper, b""
        self.fd = self._theirs.fileno()
        self.options = ["-chardev", f"socket,id=qmp,fd={self.fd}", "-mon", "chardev=qmp,mode=control"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._theirs.close()
        self._ours.close()

    def attach(self, child: ChildProcess) -> None:
        """Be introduced to the QEMU that has the other end. Raises MonitorError, Interrupted."""
        self._child = child
        self._theirs.close()
        self._await("its greeting", _ANSWER_S, lambda message: "QMP" in message)
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """What a command returns. Raises MonitorError, Interrupted."""
        try:
            self._ours.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        except OSError:
            raise MonitorError(command, self._end()) from None
        answer = self._await(command, _ANSWER_S, lambda message: "return" in message or "error" in message)
        if "error" in answer:
            raise MonitorError(command, str(answer["error"].get("desc")))
        return answer["return"]

    def await_event(self, name: str, limit_s: float) -> None:
        """Wait for an event. Raises MonitorError, Interrupted."""
        self._await(name, limit_s, lambda message: message.get("event") == name)

    def await_status(self, command: str, limit_s: float, among: tuple[str, ...]) -> str:
        """Ask again and again until the `status` in the answer is one of these. Raises MonitorError, Interrupted."""
        deadline = patient_s(self._child) + limit_s
        while (status := self.ask(command).get("status")) not in among:
            if patient_s(self._child) > deadline:
                raise MonitorError(command, f"it is still {status} after {limit_s:.0f} s")
            self._stopper.pause(_LOOK_S)
        return str(status)

    def _await(self, name: str, limit_s: float, fits: Callable[[Message], bool]) -> Message:
        """The next message of a kind; others before it are passed over."""
        deadline = patient_s(self._child) + limit_s
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                if fits(message := json.loads(line)):
                    return dict(message)
                continue
            left_s = deadline - patient_s(self._child)
            ready = await_any([self._ours.fileno()], time.monotonic() + left_s, self._stopper, [self._child])
            chunk = self._read() if self._ours.fileno() in ready else b""
            self._buffer += chunk
            if not chunk and (ready or left_s <= 0):
                raise MonitorError(name, self._end() if ready else f"no answer within {limit_s:.0f} s")

    def _end(self) -> str:
        """How QEMU ended; its monitor ends a moment before it."""
        self._child.wait(time.monotonic() + _END_S)
        return self._child.last_words()

    def _read(self) -> bytes:
        """What is there to be read; nothing at its end."""
        with contextlib.suppress(ConnectionError):
            return self._ours.recv(65536)
        return b""
