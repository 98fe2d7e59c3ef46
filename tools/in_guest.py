"""Has a guest run one of these tools, in model time: the file goes in by the shell of `pollbench vm shell`."""

from __future__ import annotations

import base64
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

_UNPACK = "import base64,sys,zlib; sys.stdout.buffer.write(zlib.decompress(base64.b64decode(sys.stdin.read())))"


def run_in_guest(file: str, kernel: str, words: Sequence[str]) -> None:
    """Print the rows of the table that the tool in `file` prints there with these words, as they come."""
    text = base64.encodebytes(zlib.compress(Path(file).read_bytes(), 9)).decode()
    script = f"stty -echo\npython3 -c '{_UNPACK}' > /tmp/tool.py << END\n{text}END\n"
    script += f"cd /tmp; python3 tool.py {' '.join(words)}\nexit\n"
    command = [sys.executable, "-m", "harness", "vm", "shell", "--accel", "tcg-virtual", "--kernel", kernel]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, errors="replace") as shell:
        assert shell.stdin is not None and shell.stdout is not None
        shell.stdin.write(script)
        shell.stdin.flush()
        for line in shell.stdout:
            # The rest is the console's.
            _, bar, row = line.partition("| ")
            if bar or "Error" in line:
                print((bar + row or line).strip(), flush=True)
