"""Lets Mininet be imported where Python has no distutils any more (3.12 and later)."""

from __future__ import annotations

import importlib.util
import re
import sys
import types


def version_of(text: str) -> tuple[int, ...]:
    """A version's first three numbers: what Mininet, which compares versions of Open vSwitch, needs of distutils."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def prepare() -> None:
    """Put a stand-in for distutils.version in place where there is none. Call before the first import of mininet."""
    if importlib.util.find_spec("distutils") is not None:
        return
    package, version = types.ModuleType("distutils"), types.ModuleType("distutils.version")
    version.StrictVersion = version_of  # type: ignore[attr-defined]  # a module made at run time
    package.version = version  # type: ignore[attr-defined]  # likewise
    sys.modules |= {"distutils": package, "distutils.version": version}
