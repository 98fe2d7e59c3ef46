"""The map of what can be busy-polled, as a table, CSV or JSON."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from harness.errors import MissingError
from harness.kernel import journal, matrix
from harness.kernel.matrix import Cell

_HEADS = {"blocking": "block", "io_uring": "uring"}
_MARKS = {"no id": "-", "refused": "x", "skipped": "?"}


def of_this_host() -> list[Cell]:
    """Every cell, tried here, under the host lock; modules that are loaded for it stay. MissingError without root."""
    try:
        with journal.host_lock():
            return matrix.run()
    except PermissionError as error:
        todo = "try as root; a guest needs none: pollbench vm matrix"
        raise MissingError("try sockets behind devices", got=str(error.strerror or error), todo=todo) from error


def show(cells: Sequence[Cell], form: str) -> None:
    """Print the cells: as text, csv or json."""
    if form == "json":
        print(json.dumps([asdict(cell) for cell in cells], indent=1))
    elif form == "csv":
        writer = csv.DictWriter(sys.stdout, matrix.COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(cell) for cell in cells)
    else:
        for kernel in dict.fromkeys(cell.kernel for cell in cells):
            print("\n".join(_table([cell for cell in cells if cell.kernel == kernel])))


def _table(cells: Sequence[Cell]) -> list[str]:
    """The lines of one kernel: how many packets were polled, and below why none were."""
    waits: dict[str, list[str]] = {}
    for kind, wait in dict.fromkeys((cell.socket, cell.wait) for cell in cells):
        waits.setdefault(kind, []).append(wait)
    links = list(dict.fromkeys(cell.link for cell in cells))
    marks = {(cell.link, cell.socket, cell.wait): _mark(cell) for cell in cells}
    room = max(map(len, links)) + 2
    counted = max(cell.packets for cell in cells)
    lines = [f"Linux {cells[0].kernel}: of {counted} packets, those that were busy-polled, by socket and its wait"]
    lines.append(" " * room + "".join(f"{kind:<{7 * len(own)}}" for kind, own in waits.items()).rstrip())
    lines.append(
        " " * room + "".join(f"{_HEADS.get(wait, wait):<7}" for own in waits.values() for wait in own).rstrip()
    )
    for link in links:
        entries = (marks.get((link, kind, wait), "") for kind, own in waits.items() for wait in own)
        lines.append(f"{link:<{room}}" + "".join(f"{entry:<7}" for entry in entries).rstrip())
    return [*lines, *_reasons(cells), ""]


def _mark(cell: Cell) -> str:
    beyond = "" if cell.beyond_gate is None else f" ({cell.beyond_gate})"
    return _MARKS.get(cell.outcome, f"{cell.polled}{beyond}")


def _reasons(cells: Sequence[Cell]) -> Iterable[str]:
    """What the marks mean, with every reason once, and the cells it holds for."""
    yield "-: the socket has no NAPI id; x: the kernel refuses it; ?: not tried; (n): with net.core.busy_poll set"
    for gate in dict.fromkeys(cell.gate for cell in cells if cell.gate):
        places: dict[str, list[str]] = {}
        for link in dict.fromkeys(cell.link for cell in cells):
            who = _who([cell for cell in cells if cell.link == link], gate)
            if who:
                places.setdefault(who, []).append(link)
        for who, links in places.items():
            yield f"  {gate}: {who} behind {', '.join(links)}"
    apart = dict.fromkeys(cell.link for cell in cells if cell.polled and cell.polled_beside == 0)
    if apart:
        yield f"  {', '.join(apart)}: counted in the namespace of the device below, and not in the socket's"


def _who(cells: Sequence[Cell], gate: str) -> str:
    """Which sockets of one link a reason holds for: "every socket", or by kind, with their waits where not all."""
    held = [cell for cell in cells if cell.gate == gate]
    if len(held) == len(cells):
        return "every socket"
    parts = []
    for kind in dict.fromkeys(cell.socket for cell in held):
        waits = [cell.wait for cell in held if cell.socket == kind]
        every = len(waits) == sum(cell.socket == kind for cell in cells)
        parts.append(kind if every else f"{kind} by {' and '.join(waits)}")
    return ", ".join(parts)
