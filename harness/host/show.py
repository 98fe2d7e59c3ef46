"""How this host is, beside what a good measuring host is: rows for `host show`, advice for `doctor`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TypedDict

from harness.host.definition import Wish, load_definition
from harness.kernel.advice import Advice
from harness.kernel.cpufacts import command_line
from harness.kernel.cpulists import format_cpu_list
from harness.kernel.host_settings import Host, SettingRow, look
from harness.kernel.hostfiles import HostFiles


class BootRow(TypedDict):
    """A parameter of the kernel's command line: the words to add, and the value that is there (found) or None."""

    parameter: str
    line: str
    found: str | None
    why: str
    there: bool


class PackageRow(TypedDict):
    """A program, the package that has it, and whether it is here."""

    program: str
    package: str
    there: bool


def host_rows(wish: Wish, root: Path | str = "/") -> list[SettingRow]:
    """A row for every target of every setting that is wanted; nothing is changed and no root is needed."""
    host = Host(str(root), wish.cpus, wish.devices)
    return look(host, load_definition().settings, wish.values)


def boot_rows(wish: Wish, root: Path | str = "/") -> list[BootRow]:
    """What only a boot can change: the words to add to the kernel's command line, which nobody edits for the user."""
    host, given = Host(str(root), wish.cpus), command_line(HostFiles(root))
    cpus = format_cpu_list(wish.cpus) or "CPUS"
    others = format_cpu_list(host.housekeeping()) if wish.cpus else "OTHERS"
    return [
        {
            "parameter": boot["parameter"],
            "line": boot["line"].format(cpus=cpus, others=others or "OTHERS"),
            "found": given.get(boot["parameter"]),
            "why": boot["why"],
            "there": boot["parameter"] in given,
        }
        for boot in load_definition().boot
    ]


def package_rows() -> list[PackageRow]:
    """The programs that optional parts start: is each here, and which package has it."""
    # Administrators' tools are not on every user's path.
    path = ":".join(filter(None, [os.environ.get("PATH"), "/usr/sbin", "/sbin"]))
    return [
        {"program": program, "package": package, "there": shutil.which(program, path=path) is not None}
        for program, package in load_definition().packages.items()
    ]


def setting_advice(wish: Wish, root: Path | str = "/") -> list[Advice]:
    """The same checks as doctor words them: one for each setting that this host has."""
    rows = host_rows(wish, root)
    advice = []
    for setting in load_definition().settings:
        mine = [row for row in rows if row["name"] == setting["name"] and row["state"] != "not applicable"]
        if not mine:
            continue
        wrong = [row for row in mine if row["state"] == "differs"]
        values = " ".join(dict.fromkeys(row["found"] for row in mine))
        state = values if not wrong else f"{values} (wanted: {wrong[0]['wanted']})"
        advice.append(Advice(setting["what"], state, not wrong, setting["why"], setting["todo"]))
    return advice
