"""What a good measuring host is, how this one is, and the play that changes it."""

from __future__ import annotations

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
