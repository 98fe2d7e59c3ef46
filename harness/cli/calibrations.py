"""Calibrations that pollbench keeps between commands, in a file of the user; any OS."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.terminal import say

if TYPE_CHECKING:
    from harness.analysis.calibration import known
    from harness.tables.columnar import Table


def calibration_of(tables: Sequence[Table]) -> tuple[str, ...]:
    """Sentences on what a calibration of these runs' host found; empty where there is no calibration."""
    if not _path().exists():
        return ()
    from harness.analysis.calibration import known

    return known.sentences(known.matching(_entries(), tables))


def keep(entry: known.Calibration, owner: tuple[int, int] | None) -> None:
    """Keep a calibration, in place of an older one for the same host and way of working; files are `owner`'s."""
    from harness.analysis.calibration import known
    from harness.store import atomic

    path = _path()
    if not entry.facts:
        say("pollbench: not stored: the runs were not all made alike, or failed")
        return
    with atomic.explained("keep the calibration", path):
        # Under sudo it is written by root into somebody's home directory.
        below = path.parents[1] if os.environ.get("XDG_STATE_HOME") else path.parents[3]
        atomic.make_directories(path.parent, owner, below)
        atomic.write_file(path, known.to_bytes(known.with_entry(_entries(), entry)), owner, below)
    say(f"stored: {path}; compare and show quote it for runs of this host")


def _entries() -> list[known.Calibration]:
    """The calibrations that are kept; a file that cannot be read is reported, and counts as empty."""
    from harness.analysis.calibration import known

    path = _path()
    try:
        return known.read_entries(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        say(f"pollbench: {path} is left out: {error}")
        return []


def _path() -> Path:
    """Where calibrations are kept: with who typed the command, also under sudo."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    home = os.path.expanduser(f"~{os.environ.get('SUDO_USER', '') if root else ''}")
    if home.startswith("~"):  # a user that this host does not know
        home = os.path.expanduser("~")
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")
    return Path(state) / "pollbench" / "calibration.json"
