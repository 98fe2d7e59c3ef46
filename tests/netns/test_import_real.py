"""The installed tools, run on a real link: what they write today is what the importers read."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from harness.importers import FORMATS, ImportOptions
from harness.importers.files import gather
from tests.vethpair import End, missing, veth_pair

PORT = "11111"


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip without root, the tools of a link, or this tool."""
    reason = missing() or ("" if shutil.which(tool) else f"needs {tool}")
    return pytest.mark.skipif(bool(reason), reason=reason)


@contextmanager
def serving(end: End, *command: str) -> Iterator[None]:
    """A server in a namespace, ended by its own process."""
    process = subprocess.Popen(
        ["ip", "netns", "exec", end.name, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait(10)


def asked(end: End, *command: str) -> bytes:
    """What a client in a namespace prints."""
    done = subprocess.run(["ip", "netns", "exec", end.name, *command], capture_output=True, timeout=60, check=True)
    return done.stdout


@needs("sockperf")
def test_sockperf(tmp_path: Path) -> None:
    with veth_pair() as (client, server), serving(server, "sockperf", "sr", "-i", server.ipv4, "-p", PORT):
        where = ("-i", server.ipv4, "-p", PORT, "-t", "1")
        half = asked(client, "sockperf", "pp", *where, "--full-log", str(tmp_path / "half-1.log"))
        whole = asked(client, "sockperf", "pp", *where, "--full-rtt")
    (tmp_path / "half-1.txt").write_bytes(half)
    (tmp_path / "whole-1.txt").write_bytes(whole)
    reading = FORMATS["sockperf"].read(gather(tmp_path), ImportOptions())
    runs = {run.case: run for run in reading.runs}
    assert set(runs) == {"half", "whole"}
    samples = runs["half"].samples
    assert samples is not None
    assert len(samples) == runs["half"].metrics["requests"]
    # In a closed loop one request follows the other: gaps between sends are hardly longer than round trips.
    assert np.median(samples["latency_ns"]) == pytest.approx(np.median(np.diff(samples["intended_ns"])), rel=0.3)
    assert all(run.verdict == "valid" and run.metrics["rtt_p50_us"] for run in reading.runs)


@needs("iperf3")
def test_iperf3(tmp_path: Path) -> None:
    with veth_pair() as (client, server), serving(server, "iperf3", "-s", "-1"):
        (tmp_path / "x.json").write_bytes(asked(client, "iperf3", "-c", server.ipv4, "-t", "1", "-J"))
    reading = FORMATS["iperf3"].read(gather(tmp_path), ImportOptions())
    assert [run.verdict for run in reading.runs] == ["valid"]
    assert (reading.runs[0].metrics["throughput_bps"] or 0) > 1e6
    assert reading.findings == []
