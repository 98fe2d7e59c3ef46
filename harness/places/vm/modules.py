"""Prunes a kernel's modules to those a guest needs, with what they depend on, decompressed, in load order."""

from __future__ import annotations

import fnmatch
import lzma
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from harness.errors import PollbenchError
from harness.places.vm import apt

_KO = re.compile(r"\.ko(\.xz|\.zst|\.gz)?$")


def canonical(text: str) -> str:
    """A module's name as the kernel compares it."""
    return text.replace("-", "_")


class ModuleTree:
    """A modules directory as a kernel's build or package leaves it, .../lib/modules/RELEASE. Raises PollbenchError."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        table = directory / "modules.dep"
        if not table.exists():
            todo = "name lib/modules/RELEASE as `make modules_install` leaves it"
            raise PollbenchError("read kernel modules", str(directory), "there is no modules.dep", todo)
        self._needs: dict[str, list[str]] = {}
        for line in table.read_text().splitlines():
            path, _, needs = line.partition(":")
            self._needs[path] = needs.split()
        self._paths = {canonical(_KO.sub("", Path(path).name)): path for path in self._needs}
        self._soft = dict(self._soft_needs())
        self._built_in = {canonical(_KO.sub("", Path(line).name)) for line in self._lines("modules.builtin")}

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
        release = self.directory.name
        target = root / "lib/modules" / release
        for path in paths:
            place = target / _KO.sub(".ko", path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(self.content(path))
        target.mkdir(parents=True, exist_ok=True)
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            if (self.directory / name).exists():
                shutil.copyfile(self.directory / name, target / name)
        depmod = next(
            (str(p) for p in map(Path, ("/usr/sbin/depmod", "/sbin/depmod")) if p.exists()), "depmod"
        )
        apt.run([depmod, "-b", str(root), release])

    def content(self, path: str) -> bytes:
        """A module, decompressed."""
        file = self.directory / path
        if file.suffix == ".xz":
            return lzma.decompress(file.read_bytes())
        if file.suffix == ".zst":
            done = subprocess.run(["zstd", "-dcq", str(file)], capture_output=True, check=False)
            if done.returncode:
                raise PollbenchError("decompress a module", str(file), done.stderr.decode(errors="replace"))
            return done.stdout
        return file.read_bytes()

    def _add(self, path: str, order: list[str]) -> None:
        if path in order:
            return
        for need in self._needs[path]:
            self._add(need, order)
        for name in self._soft.get(canonical(_KO.sub("", Path(path).name)), ()):
            if name in self._paths and self._paths[name] != path:
                self._add_soft(self._paths[name], order)
        if path not in order:
            order.append(path)

    def _add_soft(self, path: str, order: list[str]) -> None:
        """What a module only wishes for may wish for it in turn: taken with what it needs, not with what it wishes."""
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
