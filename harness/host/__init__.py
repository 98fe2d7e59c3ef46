"""What a good measuring host is, how this one is, and the play that changes it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.host.definition import Definition, Wish, load_definition, wish_of
    from harness.host.prepare import change_host, role_variables
    from harness.host.show import boot_rows, host_rows, package_rows, setting_advice

__all__ = [
    "Definition",
    "Wish",
    "boot_rows",
    "change_host",
    "host_rows",
    "load_definition",
    "package_rows",
    "role_variables",
    "setting_advice",
    "wish_of",
]

_PLACES = {"change_host": "prepare", "role_variables": "prepare"}
_PLACES |= dict.fromkeys(("boot_rows", "host_rows", "package_rows", "setting_advice"), "show")


def __getattr__(name: str) -> object:
    """Each part as it is asked for: a guest's payload has the definition, and nobody plays anything for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'definition')}"), name)
