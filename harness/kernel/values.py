"""Host-wide values that several may hold at a time: the last to let go puts back what the first has found.

The ledger is what all journals say together: a holder is an entry in the journal of an owner who lives, so that whoever
was killed holds nothing, and what it found is still known.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness.kernel import journals
from harness.kernel.hostfiles import HOST
from harness.kernel.journals import Entry

Outcome = tuple[str, str] | None
"""(action, reason); None: there is nothing (left) to do."""


class Hold(NamedTuple):
    """One owner's hold on a value.

    original: what there was before anybody of ours; wants: what the owner needs, at least that with `least`; wrote:
    what the file read from then on; origin: which first hold this one joined.
    """

    token: str
    number: int
    path: str
    original: str
    wants: str
    wrote: str
    least: bool
    origin: str
    at_ns: int
    live: bool

    @classmethod
    def of(cls, token: str, entry: Entry, live: bool) -> Hold:
        """The hold that an entry tells of. Raises KeyError, ValueError."""
        wrote, number = str(entry["wrote"]), int(entry["n"])
        origin = str(entry.get("origin", f"{token}:{number}"))
        wants, least, at_ns = str(entry.get("wants", wrote)), bool(entry.get("least")), int(entry.get("at_ns", 0))
        return cls(token, number, str(entry["path"]), str(entry["found"]), wants, wrote, least, origin, at_ns, live)


def holds(state: Path, path: str) -> list[Hold]:
    """Every hold on a value that has not been let go, the dead ones' too, in the order in which they were taken."""
    on_it = []
    for directory in journals.owners(state):
        entries = journals.unfinished(journals.read(directory)[0])
        notes = [entry for entry in entries if entry["kind"] == "value" and entry.get("path") == path]
        live = bool(notes) and journals.is_live(directory)
        for entry in notes:
            try:
                on_it.append(Hold.of(directory.name, entry, live))
            except (KeyError, ValueError):  # a damaged line; whoever cleans tells of it
                continue
    return sorted(on_it, key=lambda hold: (hold.at_ns, hold.number))


def joined(state: Path, path: str, now: str) -> Hold | None:
    """The hold that a new one joins: the newest, if the value is as one of ours has written it."""
    return next((hold for hold in reversed(holds(state, path)) if now in (hold.wrote, hold.wants)), None)


def let_go(state: Path, mine: Hold, dry_run: bool = False) -> Outcome:
    """Give the value to those who still hold it, or put back what the first of all has found.

    What reads as nobody of ours has written it is somebody else's, and left. Under the journals' mutex. Raises OSError.
    """
    try:
        now = HOST.read(mine.path)
    except FileNotFoundError:
        return None
    same = [hold for hold in holds(state, mine.path) if hold.origin == mine.origin]
    others = [hold for hold in same if hold.live and (hold.token, hold.number) != (mine.token, mine.number)]
    target = _effective(others, mine.original)
    if now == target:
        return None
    if now not in {mine.original, *(value for hold in (mine, *same) for value in (hold.wrote, hold.wants))}:
        return "left", f"it reads {now}, which we did not write (found {mine.original}, wrote {mine.wrote})"
    if not dry_run:
        HOST.write(mine.path, target)
    return "restored", f"from {now} to {target}" + (", which others still hold" if others else "")


def _effective(holders: list[Hold], original: str) -> str:
    """What the file is to read: the newest exact wish, else enough for all, else the original."""
    exact = [hold.wants for hold in holders if not hold.least]
    if exact or not holders:
        return exact[-1] if exact else original
    return str(max(int(original), *(int(hold.wants) for hold in holders)))
