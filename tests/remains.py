"""What test runs before this one left on the host because they were killed: namespaces that bear a dead run's mark."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path
from types import FrameType
from typing import NoReturn

_MARKED = re.compile(r"pbtest-(\d+)-")


def end_as_by_ctrl_c() -> None:
    """Have SIGTERM end a test run as Ctrl-C does: with every fixture taken down, what it made on the host among it."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise KeyboardInterrupt("SIGTERM")

    signal.signal(signal.SIGTERM, interrupt)


def sweep(directory: Path = Path("/run/netns")) -> list[str]:
    """Remove the namespaces pbtest-PID-... whose process is gone, and end what runs in them; their names.

    Only SIGKILL leaves any. Runs that sweep at the same time do each other no harm.
    """
    swept = []
    for path in sorted(directory.glob("pbtest-*")):
        marked = _MARKED.match(path.name)
        if marked is None or Path(f"/proc/{marked[1]}").exists():
            continue
        inside = subprocess.run(["ip", "netns", "pids", path.name], capture_output=True, text=True, check=False)
        for pid in map(int, inside.stdout.split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", path.name], capture_output=True, check=False)
        swept.append(path.name)
    return swept
