"""Energy that processor packages have used, where RAPL tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from harness.kernel.hostfiles import HOST, HostFiles


class Meter(NamedTuple):
    """The energy counter of a package, in uJ: where it stands, and after what it begins anew."""

    uj: int
    range_uj: int


def meters(files: HostFiles = HOST) -> dict[str, Meter]:
    """The counter of each processor package by its zone's name; none without RAPL, as on most virtual machines.

    Memory, and parts of a package, have zones of their own, which are left out. Source: powercap.rst.
    """
    found: dict[str, Meter] = {}
    for zone in files.find("/sys/class/powercap/intel-rapl:*"):
        name, uj, most = (files.text(f"{zone}/{key}") for key in ("name", "energy_uj", "max_energy_range_uj"))
        if name and name.startswith("package") and uj is not None and most is not None:
            found[name] = Meter(int(uj), int(most))
    return found


def used_uj(after: Mapping[str, Meter], before: Mapping[str, Meter]) -> int | None:
    """What all packages used between two readings; None where none is told. A counter may begin anew once."""
    known = [(now.uj - before[name].uj, now.range_uj) for name, now in after.items() if name in before]
    return sum(used if used >= 0 else used + most for used, most in known) if known else None
