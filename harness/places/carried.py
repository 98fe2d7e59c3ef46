"""Files that travel with a plan to guests and other hosts: packed, found wanting before anything starts, unpacked."""

from __future__ import annotations

import base64
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.plan import Plan
from harness.store.regular import read_regular
from harness.workloads.command import Command

Carried = dict[str, dict[str, list[Any]]]
"""By the directory that files are from: name to [mode, content]."""

FILES = "/run/files"
"""Where a guest has them."""

MOST_BYTES = 32 << 20
"""All that one plan may carry, unpacked."""
_GLIBC = re.compile(rb"GLIBC_2\.(\d{1,3})\b")
_X86_64, _INTERP, _DYNAMIC, _NEEDED, _STRTAB = 62, 3, 2, 1, 5


@dataclass(frozen=True)
class Elf:
    """What a program needs of a system. machine: e_machine; glibc: the least 2.x, 0 for none."""

    machine: int
    interpreter: str
    needed: tuple[str, ...]
    glibc: int


def pack(plan: Plan) -> Carried:
    """The files of the plan's workloads. Raises InputError for one that is not there, or is named and not carried."""
    carried: Carried = {}
    size = 0
    for workload in _commands(plan):
        for word in workload.paths():
            if word not in workload.files:
                got = f"the command names {word}, which does not travel"
                raise InputError("carry files", workload.home, got, f"add it: files: [{word}]")
        for word in workload.files:
            path = Path(os.path.normpath(os.path.join(workload.home, word)))
            name = os.path.relpath(path, workload.home)
            if name.startswith(".."):
                todo = "put it beside the experiment file, or below"
                raise InputError("carry files", str(path), "it lies above the experiment file", todo)
            try:
                data, mode = read_regular(path), path.stat().st_mode & 0o777
            except OSError as error:
                raise InputError("carry files", str(path), error.strerror or "", "build it first") from None
            size += len(data)
            if size > MOST_BYTES:
                raise InputError("carry files", str(path), f"together they are over {MOST_BYTES >> 20} MB")
            packed = base64.b64encode(zlib.compress(data, 1)).decode()
            carried.setdefault(workload.home, {})[name] = [mode, packed]
    return carried


def unpack(carried: Carried, into: Path) -> dict[str, str]:
    """Write the files below a directory; from which directory they were to where they are now."""
    moved = {}
    for number, (home, files) in enumerate(sorted(carried.items())):
        target = into / str(number)
        for name, (mode, data) in files.items():
            path = target / name
            if ".." in Path(name).parts or Path(name).is_absolute():
                raise InputError("unpack files", name, "it leads elsewhere")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(zlib.decompress(base64.b64decode(data)))
            path.chmod(mode)
        moved[home] = str(target)
    return moved


def relocated(plan: dict[str, Any], moved: Mapping[str, str]) -> dict[str, Any]:
    """A plan's JSON whose workloads find their files where these are now."""

    def there(value: Any) -> Any:
        if isinstance(value, dict) and value.get("home") in moved:
            return value | {"home": moved[value["home"]]}
        return value

    cells = []
    for cell in plan["cells"]:
        document = dict(cell["document"])
        if "workload" in document:
            document["workload"] = there(document["workload"])
        if isinstance(document.get("workloads"), list):
            document["workloads"] = [there(workload) for workload in document["workloads"]]
        cells.append(cell | {"document": document})
    return plan | {"cells": cells}


def refuse_foreign(plan: Plan, libraries: Callable[[], set[str]] | None, glibc: int) -> None:
    """Raise InputError for files that cannot travel, or programs that no guest could run, by `lacking`."""
    pack(plan)
    if wants := list(lacking(plan, libraries, glibc)):
        raise InputError("run in a guest", got="; ".join(wants), todo="nothing was started")


def lacking(plan: Plan, libraries: Callable[[], set[str]] | None, glibc: int) -> Iterator[str]:
    """What the plan's programs need that an x86-64 Linux with these libraries, and glibc 2.`glibc`, has not; in words.

    libraries: None where nobody can tell yet. Those that are carried beside a program count as there.
    """
    for workload in _commands(plan):
        own = {os.path.basename(word) for word in workload.files}
        for word in workload.files:
            elf = read_elf(read_regular(os.path.join(workload.home, word)))
            if elf is None:
                continue
            if elf.machine != _X86_64:
                yield f"{word} is for another processor (ELF machine {elf.machine}, not x86-64)"
            if elf.glibc > glibc:
                yield f"{word} needs glibc 2.{elf.glibc}, there is 2.{glibc}: link it statically, or to an older"
            wants = [*elf.needed, *([os.path.basename(elf.interpreter)] if elf.interpreter else [])]
            if libraries is None:
                continue
            there = own | libraries() if wants else own
            for library in wants:
                if library not in there:
                    yield f"{word} needs {library}, which is not there: link it statically, or add it to files"


def _commands(plan: Plan) -> Iterator[Command]:
    """Each command workload that has files or names any, once."""
    alike: dict[tuple[object, ...], Command] = {}
    for cell in plan.cells:
        for workload in cell.spec.workloads():
            if isinstance(workload, Command) and (workload.files or workload.paths()):
                alike.setdefault((workload.home, workload.files, *workload.paths()), workload)
    yield from alike.values()


def read_elf(data: bytes) -> Elf | None:
    """What a 64-bit little-endian ELF file needs; None for any other file."""
    if len(data) < 64 or data[:6] != b"\x7fELF\x02\x01":
        return None
    try:
        machine = struct.unpack_from("<H", data, 18)[0]
        start, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
        headers = [struct.unpack_from("<IIQQQQQQ", data, start + place * size) for place in range(count)]
        interpreter, needed = "", list[str]()
        for kind, _, offset, _, _, length, *_ in headers:
            if kind == _INTERP:
                interpreter = _text(data, offset)
            if kind == _DYNAMIC:
                entries = list(struct.iter_unpack("<QQ", data[offset : offset + length - length % 16]))
                table = _place(headers, next(value for tag, value in entries if tag == _STRTAB))
                needed = [_text(data, table + value) for tag, value in entries if tag == _NEEDED]
    except (struct.error, StopIteration, ValueError, OverflowError):
        return None
    versions = [int(version) for version in _GLIBC.findall(data)]
    return Elf(machine, interpreter, tuple(needed), max(versions, default=0) if interpreter or needed else 0)


def _place(headers: list[tuple[int, ...]], address: int) -> int:
    """Where in the file a virtual address is."""
    for kind, _, offset, start, _, length, *_ in headers:
        if kind == 1 and start <= address < start + length:
            return offset + address - start
    raise ValueError("no segment holds the address")


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode(errors="replace")
