"""Programs of a run: started in a namespace by the native launcher, spoken to in JSON lines, ended with the run."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.errors import PollbenchError
from harness.stopping import Stopper

_STOP_S = 3.0


class Program:
    """One child process. Leaving the `with` block ends it, whatever it is doing.

    It is started by the main thread, because the launcher asks the kernel to kill it when its parent thread dies.
    """

    def __init__(self, label: str, argv: list[str], stopper: Stopper, pass_fds: tuple[int, ...] = ()) -> None:
        self.label, self.argv, self._stopper = label, argv, stopper
        self.events: list[dict[str, Any]] = []
        self._buffer = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                pass_fds=pass_fds,
            )
        except OSError as error:
            self._errors.close()
            raise PollbenchError("start", f"the {label}", str(error), f"is {argv[0]} executable?") from error
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._errors.close()

    def expect(self, event: str, timeout_s: float) -> dict[str, Any]:
        """Wait for the named event. Raises PollbenchError when the program reports an error, ends, or is too slow."""
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._line(deadline)
            if line is None:
                raise PollbenchError(f"wait for `{event}`", f"the {self.label}", self._silence(timeout_s))
            found = self._parse(line)
            self.events.append(found)
            if found.get("event") == event:
                return found
            if found.get("event") == "error":
                raise PollbenchError(
                    str(found.get("attempted", "run")),
                    f"the {self.label} ({found['on']})" if found.get("on") else f"the {self.label}",
                    str(found.get("got", "")),
                )

    def send(self, word: str) -> None:
        """Say one word to the program; if it has gone, the next `expect` says so."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(word.encode() + b"\n")
        except BrokenPipeError:
            pass

    def stop(self) -> dict[str, Any]:
        """Ask the program to end (SIGTERM) and return its result."""
        self._process.terminate()
        return self.expect("result", _STOP_S)

    def files(self) -> dict[str, bytes]:
        """What it said, to be kept with the run."""
        self._errors.seek(0)
        text = "".join(json.dumps(event) + "\n" for event in self.events)
        out = {f"{self.label}.stdout.jsonl": text.encode()}
        if errors := self._errors.read(1 << 20):
            out[f"{self.label}.stderr.txt"] = errors
        return out

    def _line(self, deadline: float) -> bytes | None:
        """The next line of its output; None at its end or at the deadline."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            selector.register(self._stopper.fd, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                self._stopper.check()
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    return None
                if any(key.fileobj is self._process.stdout for key, _ in ready):
                    chunk = os.read(self._process.stdout.fileno(), 65536)
                    if not chunk:
                        return None
                    self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise PollbenchError("read", f"the {self.label}", f"not a JSON object: {line[:200]!r}")
        return found

    def _silence(self, timeout_s: float) -> str:
        """Why there is no further line: it is slow, or it ended, and what it said last."""
        try:
            code = self._process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            return f"no answer within {timeout_s:.1f} s"
        self._errors.seek(0)
        last = self._errors.read()[-500:].decode(errors="replace").strip()
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return f"it ended with {how}" + (f", saying: {last}" if last else "")


def launch_options(netns: Path | str | None, process: dict[str, Any]) -> list[str]:
    """The launcher's options: namespace, then CPUs, policy, priority and nice where declared."""
    argv = ["--netns", str(netns)] if netns else []
    if process.get("cpus"):
        argv += ["--cpus", ",".join(str(cpu) for cpu in process["cpus"])]
    for name in ("policy", "priority", "nice"):
        if name in process and process[name] is not None:
            argv += [f"--{name}", str(process[name])]
    return argv
