"""Programs of a run: started in a namespace by the native launcher, spoken to in JSON lines, ended with the run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, Self

from harness.errors import PollbenchError
from harness.kernel.proc import ProcessUsage
from harness.signals import Stopper

Event = dict[str, Any]
"""One line of JSON by our generator; "event" names it."""
Options = dict[str, Any]
"""How a process is to run, each where declared: cpus (numbers), policy, priority, nice."""
_STOP_S = 3.0
# A server that dies resets its connections a moment before it is gone itself.
_BLAME_S = 0.1
_LAST_BYTES = 500
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class ChildProcess:
    """One child process. Leaving the `with` block ends it, whatever it is doing.

    It is started by the main thread, because the launcher asks the kernel to kill it when its parent thread dies.
    pidfd: becomes readable when it ends; usage: what it used in its whole life, once it has ended.
    """

    def __init__(self, label: str, argv: list[str], stopper: Stopper, **popen: Any) -> None:
        self.label, self.argv, self._stopper = label, argv, stopper
        self.usage = ProcessUsage()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(argv, stderr=self._errors, bufsize=0, **popen)
        except (OSError, ValueError) as error:  # ValueError: words that no program can be given
            self._errors.close()
            raise PollbenchError("start", f"the {label}", str(error), f"is {argv[0]} executable?") from error
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._errors.close()
        os.close(self.pidfd)

    def family(self) -> list[int]:
        """Its process, and all that descend from it where it may have started any."""
        return [self.pid]

    def files(self) -> dict[str, bytes]:
        """Its output, by file name, to be kept with the run."""
        return {}

    def ended(self) -> int | None:
        """Its exit code (negative: the signal that killed it) once it has ended, None while it lives."""
        if self._process.returncode is None:
            self._reap(os.WNOHANG)
        return self._process.returncode

    def death(self) -> PollbenchError:
        """The error for an end that nobody asked for: how it ended, and the last lines it wrote."""
        return PollbenchError("run", f"the {self.label}", self.last_words())

    def last_words(self) -> str:
        """How it ended, and the last lines it wrote."""
        code = self.ended()
        how = "" if code is None else f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        last = self._last_lines()
        return (f"it ended with {how}" if how else "it runs") + (f", saying: {last}" if last else "")

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.ended() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def wait(self, deadline: float, others: Children = (), *streams: IO[bytes]) -> bool:
        """Wait for its end, or for a stream to become readable; False at the deadline (monotonic, seconds).

        Raises PollbenchError when one of `others` ends first: then that is what went wrong. Raises Interrupted.
        """
        fds = [stream.fileno() for stream in streams] or [self.pidfd]
        ready = await_any(fds, deadline, self._stopper, others)
        raise_death(others, ready)
        return bool(ready)

    def blame(self, others: Children) -> None:
        """Raise the death of another program, if that is why this one came to grief."""
        if others:
            raise_death(others, readable([other.pidfd for other in others], _BLAME_S))

    def _last_lines(self) -> str:
        return tail(content(self._errors))

    def _kill(self) -> None:
        # Sending looks whether it lives, and reaps it if not: only a child still unreaped after that is waited for.
        # (Not Popen.kill(): that would reap without taking note of what was used.)
        self.send_signal(signal.SIGKILL)
        if self._process.returncode is None:
            self._reap(0)

    def _reap(self, flags: int) -> None:
        """Take note of its end; by wait4, which tells what it used, where Popen would not."""
        pid, status, used = os.wait4(self.pid, flags)
        if pid:
            self._process.returncode = os.waitstatus_to_exitcode(status)
            user_ns, system_ns = round(used.ru_utime * 1e9), round(used.ru_stime * 1e9)
            self.usage = ProcessUsage(user_ns + system_ns, 0, user_ns, system_ns, used.ru_nvcsw, used.ru_nivcsw)


Children = Sequence[ChildProcess]


class NativeProcess(ChildProcess):
    """Our own native program, spoken to in words and JSON lines."""

    def __init__(self, label: str, argv: list[str], stopper: Stopper, pass_fds: tuple[int, ...] = ()) -> None:
        super().__init__(label, argv, stopper, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=pass_fds)
        self.events: list[Event] = []
        self._buffer = b""

    def expect(self, event: str, timeout_s: float, others: Children = ()) -> Event:
        """Wait for the named event.

        Raises PollbenchError when the program reports an error, ends, or is too slow, or one of `others` ends first.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._line(deadline, others)
            if line is None:
                self.blame(others)
                raise PollbenchError(f"wait for `{event}`", f"the {self.label}", self._silence(timeout_s))
            message = self._parse(line)
            self.events.append(message)
            if message.get("event") == event:
                return message
            if message.get("event") == "error":
                self.blame(others)
                where = f"the {self.label} ({message['on']})" if message.get("on") else f"the {self.label}"
                attempted, got = message.get("attempted", "run"), message.get("got", "")
                raise PollbenchError(str(attempted), where, str(got))

    def send(self, word: str) -> None:
        """Say one word to the program; if it has gone, the next `expect` says so."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(word.encode() + b"\n")

    def stop(self) -> Event:
        """Ask the program to end (SIGTERM) and return its result."""
        self.send_signal(signal.SIGTERM)
        return self.expect("result", _STOP_S)

    def files(self) -> dict[str, bytes]:
        """Its events, and what it wrote to its standard error."""
        text = "".join(json.dumps(event) + "\n" for event in self.events)
        files = {f"{self.label}.stdout.jsonl": text.encode()}
        errors = content(self._errors, 1 << 20)
        return files | ({f"{self.label}.stderr.txt": errors} if errors else {})

    def _line(self, deadline: float, others: Children) -> bytes | None:
        """The next line of its output; None at its end or at the deadline."""
        assert self._process.stdout is not None
        while b"\n" not in self._buffer:
            if not self.wait(deadline, others, self._process.stdout):
                return None
            chunk = os.read(self._process.stdout.fileno(), 65536)
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _parse(self, line: bytes) -> Event:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                return event
        raise PollbenchError("read", f"the {self.label}", f"not a JSON object: {line[:200]!r}")

    def _silence(self, timeout_s: float) -> str:
        """Why there is no further line: it is slow, or it ended, and what it said last."""
        if not self.wait(time.monotonic() + 0.2) or self.ended() is None:
            return f"no answer within {timeout_s:.1f} s"
        return self.last_words()


def readable(fds: Iterable[int], seconds: float) -> set[int]:
    """Those of the descriptors that can be read, as soon as there is one; none after so many seconds."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(max(0.0, 1000 * seconds))}


def await_any(fds: Iterable[int], deadline: float, stopper: Stopper, watched: Children) -> set[int]:
    """The descriptors that can be read, as soon as there is one or a watched program ends. Raises Interrupted."""
    stopper.check()
    ready = readable([*fds, stopper.fd, *(child.pidfd for child in watched)], deadline - time.monotonic())
    stopper.check()
    return ready


def raise_death(watched: Children, ready: set[int]) -> None:
    """Raise the death of a watched program that has ended, as `await_any` found."""
    for child in watched:
        if child.pidfd in ready:
            raise child.death()


def content(file: IO[bytes], most: int = 256 << 20) -> bytes:
    """A file's content by position: the program writes at its own offset, which must stay."""
    return os.pread(file.fileno(), min(os.fstat(file.fileno()).st_size, most), 0)


def tail(data: bytes) -> str:
    """The last lines of an output in one line, without the colours of a terminal."""
    return " | ".join(_COLOUR.sub("", data[-_LAST_BYTES:].decode(errors="replace")).split("\n")).strip(" |")


def launch_options(netns: Path | str | None, process: Options, group: str = "") -> list[str]:
    """The launcher's options: its parent, whose end is its own, namespace; CPUs and scheduling where declared.

    group: the entrance of the control group in which it is to begin, so that whatever it starts is in it too.
    """
    argv = ["--parent", str(os.getpid())]
    argv += ["--cgroup", group] if group else []
    argv += ["--netns", str(netns)] if netns else []
    if process.get("cpus"):
        argv += ["--cpus", ",".join(str(cpu) for cpu in process["cpus"])]
    for name in ("policy", "priority", "nice"):
        if name in process and process[name] is not None:
            argv += [f"--{name}", str(process[name])]
    return argv
