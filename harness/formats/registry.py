"""Finds what the modules of a package define, so that a new kind is one new file and is listed nowhere."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import TypeVar

Kind = TypeVar("Kind")


def classes_in(package: str, base: type[Kind]) -> list[type[Kind]]:
    """The subclasses of `base` that the package's own modules define, in the order of modules and definitions."""
    path = importlib.import_module(package).__path__
    names = sorted(f"{package}.{info.name}" for info in pkgutil.iter_modules(path))
    return [
        cls
        for name in names
        for cls in vars(importlib.import_module(name)).values()
        if isinstance(cls, type) and issubclass(cls, base) and cls is not base and cls.__module__ == name
    ]


def by_name(classes: Iterable[type[Kind]], name_of: Callable[[type[Kind]], str]) -> dict[str, type[Kind]]:
    """The classes by name, sorted; those without a name are left out. ValueError where two have the same name."""
    named: dict[str, type[Kind]] = {}
    for cls in classes:
        name = name_of(cls)
        if name and (other := named.setdefault(name, cls)) is not cls:
            places = " and ".join(f"{either.__module__}.{either.__name__}" for either in (other, cls))
            raise ValueError(f"two are called {name!r}: {places}; rename one")
    return dict(sorted(named.items()))
