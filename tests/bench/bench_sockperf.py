"""Ping-pong latency of the load generator against sockperf's, on the same namespaces and CPUs, interleaved.

Both send 64-byte UDP messages from CPU 0 to CPU 1 with blocking sockets, with and without busy polling. The
ratio is the median of the rounds' own ratios: what disturbs the host disturbs both halves of a round alike.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tests.generator import CLIENT_CPU, SERVER_CPU, Argument, Generator, client, measure, read_samples, server
from tests.vethpair import End, missing, veth_pair

ROUNDS = int(os.environ.get("POLLBENCH_BENCH_ROUNDS", "9"))
SECONDS = 1
SIZE = 64
BUSY_POLL_US = 50
PORT = 11111
PERCENTILES = (50, 99)

Quantiles = tuple[float, ...]


def ours(source: End, target: End, busy_poll_us: int, samples: Path) -> Quantiles:
    """Our p50 and p99 round trips, in microseconds."""
    options = ("--busy-poll", busy_poll_us) if busy_poll_us else ()
    times = ("--warmup-ns", 400_000_000, "--duration-ns", SECONDS * 1_000_000_000)
    with (
        server(target, *options, size=SIZE) as (_, port),
        client(source, target, port, samples, *times, *options, size=SIZE) as process,
    ):
        measure(process)
    rtt_us = read_samples(samples)[1]["latency_ns"] / 1e3
    return tuple(float(value) for value in np.percentile(rtt_us, PERCENTILES))


def sockperf(source: End, target: End, busy_poll_us: int) -> Quantiles:
    """sockperf's p50 and p99 in microseconds, doubled: it prints half round trips."""
    options = ["--lls", str(busy_poll_us)] if busy_poll_us else []
    where = ["-i", target.ipv4, "-p", str(PORT), *options]
    # Started by our launcher, so that both programs begin life alike: same pinning, same process group rules.
    there: tuple[Argument, ...] = ("--netns", target.path, "--cpus", SERVER_CPU, "exec", "--", "sockperf")
    here: tuple[Argument, ...] = ("--netns", source.path, "--cpus", CLIENT_CPU, "exec", "--", "sockperf")
    with Generator(*there, "server", *where) as answering:
        await_port(target)
        with Generator(*here, "ping-pong", *where, "-m", SIZE, "-t", SECONDS) as asking:
            text = asking.process.communicate(timeout=30)[0].decode()
        answering.process.terminate()
        answering.process.communicate(timeout=30)
    found = [re.search(rf"percentile {percentile}\.000 =\s+([0-9.]+)", text) for percentile in PERCENTILES]
    assert all(found), text
    return tuple(2 * float(match[1]) for match in found if match)


def await_port(target: End) -> None:
    """Wait until sockperf has bound its port."""
    for _ in range(200):
        command = ["ip", "netns", "exec", target.name, "cat", "/proc/net/udp"]
        if f":{PORT:04X} " in subprocess.run(command, check=True, capture_output=True, text=True).stdout:
            return
    raise AssertionError("sockperf did not bind its port")


def compare(busy_poll_us: tuple[int, ...] = (0, BUSY_POLL_US)) -> dict[int, list[tuple[Quantiles, Quantiles]]]:
    """For each busy-poll setting and round, our quantiles and sockperf's."""
    rounds: dict[int, list[tuple[Quantiles, Quantiles]]] = {us: [] for us in busy_poll_us}
    with veth_pair() as (source, target), tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "samples")
        for i in range(ROUNDS):
            for us in busy_poll_us:
                # Each goes first in every other round, so that what one leaves behind favours neither.
                first = ours(source, target, us, path) if i % 2 == 0 else None
                theirs = sockperf(source, target, us)
                rounds[us].append((first or ours(source, target, us, path), theirs))
    return rounds


def table(rounds: dict[int, list[tuple[Quantiles, Quantiles]]]) -> str:
    """The comparison as text: medians over rounds, and the median of the rounds' ratios."""
    lines = ["busy poll  quantile   ours us  sockperf us  ours/sockperf  rounds"]
    for us, pairs in rounds.items():
        for i, percentile in enumerate(PERCENTILES):
            mine = statistics.median(a[i] for a, _ in pairs)
            theirs = statistics.median(b[i] for _, b in pairs)
            ratio = statistics.median(a[i] / b[i] for a, b in pairs)
            head = f"{us:>6} us  {f'p{percentile}':>8}  {mine:8.2f}  {theirs:11.2f}"
            lines.append(f"{head}  {ratio:13.3f}  {len(pairs):>6}")
    return "\n".join(lines)


@pytest.mark.skipif(bool(missing()), reason=missing())
@pytest.mark.skipif(shutil.which("sockperf") is None, reason="needs sockperf")
def test_sockperf() -> None:
    """Prints the table; fails only when a program does not run."""
    print("\n" + table(compare()))
