"""setup.py compiles the load generator only when it must, and then does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_compiles_anew_what_is_not_what_it_made(tmp_path: Path) -> None:
    sources = tmp_path / "harness" / "loadgen"
    sources.mkdir(parents=True)
    shutil.copy(ROOT / "setup.py", tmp_path)
    (sources / "main.c").write_text('#include "code.h"\nint main(void) { return CODE; }\n')

    def built(code: int) -> Path:
        """The program; code: what it is to end with."""
        words = [sys.executable, "setup.py", "-q", "build_ext"]
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
        (program,) = tmp_path.glob("build/lib.*/harness/loadgen/pollbench-loadgen")
        assert subprocess.run([program], check=False).returncode == code
        return program

    (sources / "code.h").write_text("#define CODE 2\n")
    first = built(2).stat()
    again = built(2).stat()
    # It is the same file, and no older than sources that were checked out meanwhile.
    assert (again.st_ino, again.st_size) == (first.st_ino, first.st_size) and again.st_mtime_ns > first.st_mtime_ns
    (sources / "code.h").write_text("#define CODE 3\n")
    # As by a build of the same checkout for something else.
    shutil.copy("/bin/false", built(3))
    built(3)
