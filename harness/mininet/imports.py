"""Lets Mininet be imported where Python has no distutils any more (3.12 and later)."""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from functools import total_ordering


@total_ordering
class StrictVersion:
    """The one class of distutils that Mininet uses: it compares versions of Open vSwitch."""

    def __init__(self, text: str = "0") -> None:
        self.version = tuple(int(part) for part in re.findall(r"\d+", text)[:3])

    def __eq__(self, other: object) -> bool:
        return self.version == _version(other)

    def __lt__(self, other: object) -> bool:
        return self.version < _version(other)

    def __hash__(self) -> int:
        return hash(self.version)


def _version(other: object) -> tuple[int, ...]:
    return other.version if isinstance(other, StrictVersion) else StrictVersion(str(other)).version


def prepare() -> None:
    """Put a stand-in for distutils.version in place where there is none. Call before the first import of mininet."""
    if importlib.util.find_spec("distutils") is not None:
        return
    package, version = types.ModuleType("distutils"), types.ModuleType("distutils.version")
    version.StrictVersion = StrictVersion  # type: ignore[attr-defined]  # a module made at run time
    package.version = version  # type: ignore[attr-defined]  # likewise
    sys.modules |= {"distutils": package, "distutils.version": version}
