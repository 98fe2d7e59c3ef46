"""What a guest's console says, and of it what tells why the guest ended."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from harness.places.vm.wire import printable

_TROUBLE = re.compile(
    r"(Kernel panic[^\n]*|Oops[^\n]*|BUG:[^\n]*|general protection fault[^\n]*|Out of memory[^\n]*|pollbench: [^\n]*"
    # The agent's own end, where it is none of the kernel's: the last line of a traceback.
    r"|^[\w.]+(?:Error|Exception)(?:: [^\n]*)?\r?$)",
    re.MULTILINE,
)
_TAIL_BYTES = 65536


def tail(path: Path) -> str:
    """The end of a console; empty where there is none."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace")
    return ""


def last(path: Path) -> str:
    """In words, the first trouble that the end of a console tells of, else its last line."""
    text = tail(path)
    troubles = _TROUBLE.findall(text)
    if troubles:
        return f"the console says: {printable(troubles[0].strip())[:300]}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"the console's last line: {printable(lines[-1])[:200]}" if lines else "the console is empty"
