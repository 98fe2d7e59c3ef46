"""Has a guest run one of these tools, in model time: the file goes in by the shell of `pollbench vm shell`."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

_UNPACK = "import base64,sys,zlib; sys.stdout.buffer.write(zlib.decompress(base64.b64decode(sys.stdin.read())))"
_TRIES = 3
_LOST = "\n" * 64


def run_in_guest(file: str, kernel: str, words: Sequence[str]) -> None:
    """Print the rows of the table that the tool in `file` prints there with these words, as they come.

    Raises SystemExit where the guest's console loses some of the file again and again.
    """
    command = [sys.executable, "-m", "harness", "vm", "shell", "--accel", "tcg-virtual", "--kernel", kernel]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        shell = GuestShell(process)
        # The first of what comes before the shell is there the console may lose.
        shell.send(f"{_LOST}stty -echo")
        packed = base64.encodebytes(zlib.compress(Path(file).read_bytes(), 9)).decode()
        if not any(shell.send(f"python3 -c '{_UNPACK}' > /tmp/tool.py << END\n{packed}END") for _ in range(_TRIES)):
            shell.write("exit\n")
            raise SystemExit(f"send {file} into a guest: its console lost some of it, {_TRIES} times; try again")
        shell.write(f"cd /tmp; python3 tool.py {' '.join(words)}\nexit\n")
        for line in shell.lines:
            # The rest is the console's.
            _, bar, row = line.partition("| ")
            if bar or "Error" in line:
                print((bar + row or line).strip(), flush=True)


class GuestShell:
    """The shell of a guest at the other end of two pipes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._input, self.lines = process.stdin, process.stdout
        self._sent = 0

    def send(self, command: str) -> bool:
        """Did a command succeed? Waits for its end. Raises SystemExit where the guest is gone."""
        self._sent += 1
        # The sum is the shell's, so that an echo of the command is no answer.
        self.write(f"{command}\necho ended-$(({self._sent} + 1000))-$?-\n")
        for line in self.lines:
            _, ended, code = line.partition(f"ended-{self._sent + 1000}-")
            if ended:
                return code.startswith("0-")
        raise SystemExit("talk to a guest's shell: the guest is gone")

    def write(self, text: str) -> None:
        """Send it text; whether it is there, its lines say."""
        if self._input.closed:
            return
        try:
            self._input.write(text)
            self._input.flush()
        except BrokenPipeError:
            # What could not be sent stays in the file, and its end tries to send it again.
            with contextlib.suppress(BrokenPipeError):
                self._input.close()
