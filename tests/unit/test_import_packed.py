"""Outputs that are packed: read as if they were not, and told where they are damaged."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from harness.importers import FORMATS, ImportOptions
from harness.importers.files import gather
from tests.command import run as command
from tests.unit import foreign
from tests.unit.real_outputs import REAL

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}


@pytest.mark.parametrize("ending", sorted(PACKERS))
def test_compressed_files_are_read_as_if_they_were_not(tmp_path: Path, ending: str) -> None:
    plain = (REAL / "sockperf.txt").read_bytes()
    (tmp_path / f"busy-3.txt{ending}").write_bytes(PACKERS[ending](plain))
    files = gather(tmp_path)
    assert FORMATS["sockperf"].read(files, ImportOptions()).runs[0].case == "busy"
    done = command("import", "auto", tmp_path, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "auto: sockperf, for the file looks like it" in done.stdout
    (run,) = FORMATS["sockperf"].read(files, ImportOptions()).runs
    (other,) = FORMATS["sockperf"].read(gather(REAL / "sockperf.txt"), ImportOptions()).runs
    assert (run.metrics, run.block) == (other.metrics, 3)


@pytest.mark.parametrize("ending", sorted(PACKERS))
def test_damaged_compressed_files_are_told(tmp_path: Path, ending: str) -> None:
    packed = PACKERS[ending]((REAL / "sockperf.txt").read_bytes())
    (tmp_path / f"a.txt{ending}").write_bytes(packed[: len(packed) // 2])
    reading = FORMATS["sockperf"].read(gather(tmp_path), ImportOptions())
    assert reading.runs[0].verdict in ("failed", "suspect")
    assert "damaged or cut short" in " ".join(finding.text for finding in reading.findings)


def test_a_campaign_may_be_compressed(tmp_path: Path) -> None:
    where = foreign.irqsuspend(tmp_path / "raw", runs=1)
    for path in list(where.iterdir()):
        (where / f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes()))
        path.unlink()
    runs = FORMATS["irqsuspend"].read(gather(where), ImportOptions()).runs
    assert len(runs) == 4 and all(run.verdict == "valid" for run in runs)
