"""How a file is packed changes no figure: compression, line ends, colour, marks."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from harness.importers import FORMATS, ImportOptions
from harness.importers.files import gather
from tests.command import run as command
from tests.unit import foreign
from tests.unit.real_outputs import REAL
from tests.unit.test_import_kinds import WRK2, findings, one

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
    assert "damaged or cut short" in findings(reading)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\x1b[2;35m" + text.replace("\n", "\x1b[0m\n\x1b(B\x1b[m"),
        lambda text: "\x1b]0;title\x07" + text,
        lambda text: "\ufeff" + text,
    ],
    ids=["no line end", "CR LF", "colour", "title", "mark"],
)
@pytest.mark.parametrize("name", ["sockperf", "netperf", "neper", "wrk", "iperf3"])
def test_how_lines_end_and_are_coloured_changes_no_figure(tmp_path: Path, name: str, change: Any) -> None:
    texts = {"netperf": foreign.NETPERF_RR, "neper": foreign.NEPER, "wrk": WRK2}
    texts |= {"sockperf": (REAL / "sockperf.txt").read_text(), "iperf3": (REAL / "iperf3_tcp.json").read_text()}
    before, after = one(name, tmp_path, texts[name]), one(name, tmp_path, change(texts[name]))
    assert (after.metrics, after.workload, after.verdict) == (before.metrics, before.workload, "valid")


def test_a_campaign_may_be_compressed(tmp_path: Path) -> None:
    where = foreign.irqsuspend(tmp_path / "raw", runs=1)
    for path in list(where.iterdir()):
        (where / f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes()))
        path.unlink()
    runs = FORMATS["irqsuspend"].read(gather(where), ImportOptions()).runs
    assert len(runs) == 4 and all(run.verdict == "valid" for run in runs)
