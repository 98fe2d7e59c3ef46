"""Builds the native load generator, a C program, into the package; everything else is in pyproject.toml."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

SOURCE_DIR = Path("harness/loadgen")
# The file is not Python's to import, so it has a plain name instead of a module's.
EXECUTABLE = Extension(
    "harness.loadgen.pollbench-loadgen",
    sources=sorted(str(path) for path in SOURCE_DIR.glob("*.c")),
    depends=sorted(str(path) for path in SOURCE_DIR.glob("*.h")),
    define_macros=[("_GNU_SOURCE", "1")],
    extra_compile_args=["-std=gnu11", "-O2", "-pthread", "-Wall", "-Wextra", "-Wshadow", "-Wconversion"],
    extra_link_args=["-pthread", "-lm"],
)


class BuildExecutable(build_ext):
    """Links a program where setuptools would link a Python module."""

    def get_ext_filename(self, fullname: str) -> str:
        """The program's path below the build directory: no suffix, no Python version."""
        return str(Path(*fullname.split(".")))

    def build_extension(self, ext: Extension) -> None:
        """Compile all sources and link them into one executable, unless the one that is there was made of the same."""
        target = Path(self.get_ext_fullpath(ext.name))
        mark, made_of = Path(self.build_temp) / f"{target.name}.sha256", self._made_of(ext)
        # Another architecture's, or Python's, build of the same directory may have put its own there.
        if mark.is_file() and target.is_file() and mark.read_text() == made_of + _sum(target) and not self.force:
            target.touch()  # sources that were checked out anew are not newer than what is made of the same
            return
        mark.unlink(missing_ok=True)
        objects = self.compiler.compile(
            ext.sources,
            output_dir=self.build_temp,
            macros=ext.define_macros,
            debug=self.debug,
            extra_postargs=ext.extra_compile_args,
            depends=ext.depends,
        )
        self.compiler.link_executable(
            objects,
            target.name,
            output_dir=str(target.parent),
            debug=self.debug,
            # Python's compiler settings honour LDFLAGS for modules only.
            extra_postargs=[*ext.extra_link_args, *shlex.split(os.environ.get("LDFLAGS", ""))],
        )
        mark.write_text(made_of + _sum(target))

    def _made_of(self, ext: Extension) -> str:
        """Names the program by what it is made of: files, compiler, options; not by the system's headers.

        What those may lack, the sources define.
        """
        words = [*self.compiler.compiler_so, *self.compiler.linker_exe, os.environ.get("LDFLAGS", ""), str(self.debug)]
        # Another version of the compiler has the same name.
        for program in (self.compiler.compiler_so[0], self.compiler.linker_exe[0]):
            path = shutil.which(program)
            words += [str(os.stat(path).st_mtime_ns), str(os.stat(path).st_size)] if path else []
        files = [Path(path).read_bytes() for path in (*ext.sources, *ext.depends, __file__)]
        return hashlib.sha256(b"\0".join([*map(str.encode, words), *files])).hexdigest()


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class PackagePlaybooks(build_py):
    """Puts what lies beside the package in a checkout (playbooks, experiments, topologies), into the installed one."""

    def run(self) -> None:
        """Build as ever, then copy; what is a link in the checkout is a file there."""
        super().run()
        if not self.editable_mode:
            package = Path(self.build_lib) / "harness"
            homes = {"playbooks": "playbooks", "experiments": "shipped/experiments", "topologies": "shipped/topologies"}
            for source, home in homes.items():
                shutil.rmtree(package / home, ignore_errors=True)
                ignored = shutil.ignore_patterns("__pycache__", ".ansible", "build")
                shutil.copytree(source, package / home, ignore=ignored)


class PlatformWheel(bdist_wheel):
    """A wheel that holds a program for this platform but fits every Python 3."""

    def get_tag(self) -> tuple[str, str, str]:
        """py3-none-PLATFORM; PLATFORM is "any" where the program is not built."""
        return "py3", "none", super().get_tag()[2]


setup(
    # The analysis half of pollbench works on any system; measuring needs Linux.
    ext_modules=[EXECUTABLE] if sys.platform == "linux" else [],
    cmdclass={"build_py": PackagePlaybooks, "build_ext": BuildExecutable, "bdist_wheel": PlatformWheel},
)
