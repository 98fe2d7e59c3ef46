"""One live line per host on a terminal, a plain line per event in a pipe."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Self

from harness.cli.say import is_live, say

# More lines than a screen has cannot be redrawn: beyond this many hosts only counts are live.
_MOST = 40


class HostBoard:
    """The Board of a terminal: what each host does now."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._texts = dict.fromkeys(hosts, "waiting")
        self._kind = dict.fromkeys(hosts, "waiting")
        self._live = is_live(sys.stderr)
        self._drawn = 0
        self._width = max((len(host) for host in hosts), default=0)

    def state(self, host: str, text: str) -> None:
        """What the host does now, or said last."""
        if self._texts.get(host) != text:
            self._take(host, text, "at work")

    def failed(self, host: str, reason: str) -> None:
        """The host is out of this attempt, and why."""
        self._take(host, reason, "failed")

    def done(self, host: str, text: str) -> None:
        """The host has done its share."""
        self._take(host, text, "done")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the lines as they are; what follows is printed below."""
        self._drawn = 0

    def _take(self, host: str, text: str, kind: str) -> None:
        self._texts[host], self._kind[host] = text, kind
        if not self._live:
            # In a pipe only what comes of it is worth a line, for each of a thousand hosts.
            if text != "looking":
                say(f"{host:<{self._width}}  " + (text if kind == "at work" else f"{kind}: {text}"))
        else:
            self._draw()

    def _draw(self) -> None:
        columns = shutil.get_terminal_size().columns
        if self._drawn:
            say(f"\x1b[{self._drawn}A", end="")
        lines = self._lines()
        say("".join(f"\r\x1b[K{line[: columns - 1]}\n" for line in lines), end="")
        self._drawn = len(lines)

    def _lines(self) -> list[str]:
        if len(self._texts) > _MOST:
            counts = Counter(self._kind.values())
            return [", ".join(f"{count} {kind}" for kind, count in counts.items())]
        mark = {"waiting": " ", "at work": ">", "done": "+", "failed": "!"}
        return [f"{mark[self._kind[host]]} {host:<{self._width}}  {text}" for host, text in self._texts.items()]
