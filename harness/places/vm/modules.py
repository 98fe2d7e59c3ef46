"""Prunes a kernel's modules to those a guest needs, with what they depend on, decompressed, in load order."""

from __future__ import annotations

import fnmatch
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness.errors import PollbenchError
from harness.places.vm import programs
from harness.places.vm.compression import decompressed

_KO = re.compile(r"\.ko(\.xz|\.zst|\.gz)?$")


def canonical(text: str) -> str:
    """A module's name as the kernel compares it."""
    return text.replace("-", "_")


def index_modules(directory: Path) -> None:
    """Make the tables (modules.dep and others) of .../lib/modules/RELEASE. Raises MissingError, PollbenchError."""
    programs.run(["depmod", "-b", str(directory.parents[2]), directory.name])


class ModuleTree:
    """A modules directory as a kernel's build or package leaves it, .../lib/modules/RELEASE. Raises PollbenchError."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if not (directory / "modules.dep").exists():
            todo = "name lib/modules/RELEASE as `make modules_install` leaves it"
            raise PollbenchError("read kernel modules", str(directory), "there is no modules.dep", todo)
        table = (line.partition(":") for line in self._lines("modules.dep"))
        self._needs = {path: needs.split() for path, _, needs in table}
        self._paths = {_name(path): path for path in self._needs}
        self._soft = dict(self._soft_needs())
        self._built_in = [_name(line) for line in self._lines("modules.builtin")]

    def chosen(self, patterns: Iterable[str]) -> tuple[list[str], list[str]]:
        """(paths of the matching modules after what they need, patterns that match none, built in or not)."""
        order: list[str] = []
        absent = []
        for pattern in map(canonical, patterns):
            hits = fnmatch.filter(sorted(self._paths), pattern)
            if not hits and not fnmatch.filter(self._built_in, pattern):
                absent.append(pattern)
            for name in hits:
                self._add(self._paths[name], order)
        return order, absent

    def install(self, paths: Iterable[str], root: Path) -> None:
        """Copy modules, decompressed, to root/lib/modules/RELEASE, and index them there."""
        target = root / "lib/modules" / self.directory.name
        target.mkdir(parents=True, exist_ok=True)
        for path in paths:
            copy = target / _KO.sub(".ko", path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(self.content(path))
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            if (self.directory / name).exists():
                shutil.copyfile(self.directory / name, target / name)
        index_modules(target)

    def content(self, path: str) -> bytes:
        """A module, decompressed."""
        file = self.directory / path
        return decompressed(file.read_bytes(), file)

    def _add(self, path: str, order: list[str]) -> None:
        if path in order:
            return
        for need in self._needs[path]:
            self._add(need, order)
        for name in self._soft.get(_name(path), ()):
            if name in self._paths and self._paths[name] != path:
                self._add_soft(self._paths[name], order)
        if path not in order:
            order.append(path)

    def _add_soft(self, path: str, order: list[str]) -> None:
        """A module that another only wishes for is taken with what it needs, not with what it wishes for in turn."""
        for need in [*self._needs[path], path]:
            if need not in order:
                order.append(need)

    def _soft_needs(self) -> Iterable[tuple[str, list[str]]]:
        for line in self._lines("modules.softdep"):
            words = line.split()
            if len(words) > 2 and words[0] == "softdep":
                yield canonical(words[1]), [canonical(word) for word in words[2:] if not word.endswith(":")]

    def _lines(self, name: str) -> list[str]:
        file = self.directory / name
        return file.read_text().splitlines() if file.exists() else []


def _name(path: str) -> str:
    """The canonical name of the module in a file."""
    return canonical(_KO.sub("", Path(path).name))
