"""Open-loop latency of the load generator against `sockperf under-load`: same namespaces, CPUs and rates, interleaved.

Both send 64-byte UDP messages at a constant rate from CPU 0 to a blocking server on CPU 1, which answers each. Ours
counts latency from the intended send time, sockperf from the actual one, so being late costs only ours. CPU per
request is the whole life of both processes of a pair over all requests that were answered.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.bench.bench_sockperf import BUSY_POLL_US, PORT, SIZE, await_port
from tests.generator import CLIENT_CPU, SERVER_CPU, Argument, Generator, client, measure, read_samples, server
from tests.vethpair import End, missing, veth_pair

ROUNDS = int(os.environ.get("POLLBENCH_BENCH_ROUNDS", "5"))
RATES = (10_000, 50_000, 100_000)
LADDER_STEP = 50_000
LADDER = (LADDER_STEP // 2, *range(LADDER_STEP, 500_001, LADDER_STEP))
TRIES = 4
P99_BOUND_US = 100.0
# A rung that neither program held may have been bad luck; after so many in a row the ladder ends.
RUNGS_WITHOUT = 3
SECONDS = 1
# Both programs run for so long before the part that counts.
WARMUP_NS = 400_000_000

Pair = tuple[End, End]


@dataclass(frozen=True)
class Outcome:
    """What one program made of one rate. Round-trip times, in microseconds."""

    p50_us: float
    p99_us: float
    achieved: float  # share of the offered rate that was sent
    lost: int
    cpu_us: float  # per answered request, both processes

    @property
    def held(self) -> bool:
        """Was the rate held, nothing lost, and the 99 % quantile below the bound?"""
        return self.achieved >= 0.995 and self.lost == 0 and self.p99_us < P99_BOUND_US


def children_cpu_s() -> float:
    """CPU time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ours(pair: Pair, rate: int, busy_poll_us: int, samples: Path) -> Outcome:
    """Our open loop at this rate."""
    options = ("--busy-poll", busy_poll_us) if busy_poll_us else ()
    load = ("--loop", "open", "--rate", rate, "--timeout-ns", 200_000_000)
    times = ("--warmup-ns", WARMUP_NS, "--duration-ns", SECONDS * 1_000_000_000 - WARMUP_NS)
    before = children_cpu_s()
    with server(pair[1], *options, size=SIZE) as (answering, port):
        with client(*pair, port, samples, *load, *times, *options, size=SIZE, wait="spin") as process:
            result = measure(process)
        served = answering.stop()
    latency_us = read_samples(samples)[1]["latency_ns"] / 1e3
    p50, p99 = np.percentile(latency_us[latency_us >= 0], (50, 99))
    cpu_us = 1e6 * (children_cpu_s() - before) / served["requests"]
    return Outcome(float(p50), float(p99), result["achieved_rps"] / rate, result["lost"], cpu_us)


def sockperf(pair: Pair, rate: int, busy_poll_us: int) -> Outcome:
    """sockperf's under-load mode at this rate; it prints half round trips."""
    options = ["--lls", str(busy_poll_us)] if busy_poll_us else []
    where = ["-i", pair[1].ipv4, "-p", str(PORT), *options]
    there: tuple[Argument, ...] = ("--netns", pair[1].path, "--cpus", SERVER_CPU, "exec", "--", "sockperf")
    here: tuple[Argument, ...] = ("--netns", pair[0].path, "--cpus", CLIENT_CPU, "exec", "--", "sockperf")
    load: tuple[Argument, ...] = ("-m", SIZE, "-t", SECONDS, "--mps", rate, "--reply-every", 1)
    before = children_cpu_s()
    with Generator(*there, "server", *where) as answering:
        await_port(pair[1])
        with Generator(*here, "under-load", *where, *load) as asking:
            text = asking.process.communicate(timeout=30)[0].decode()
        answering.process.terminate()
        answering.process.communicate(timeout=30)
    cpu_s = children_cpu_s() - before

    def figure(pattern: str) -> float:
        found = re.search(pattern, text)
        assert found, text
        return float(found[1])

    total = figure(r"\[Total Run\].*SentMessages=(\d+)")
    answered = figure(r"\[Total Run\].*ReceivedMessages=(\d+)")
    return Outcome(
        2 * figure(r"percentile 50\.000 =\s+([0-9.]+)"),
        2 * figure(r"percentile 99\.000 =\s+([0-9.]+)"),
        total / figure(r"\[Total Run\] RunTime=([0-9.]+)") / rate,
        int(figure(r"# dropped messages = (\d+)")),
        1e6 * cpu_s / answered,
    )


def compare(pair: Pair, rate: int, busy_poll_us: int, samples: Path) -> list[tuple[Outcome, Outcome]]:
    """Our outcome and sockperf's in each round; either goes first in every other one."""
    rounds = []
    for i in range(ROUNDS):
        first = ours(pair, rate, busy_poll_us, samples) if i % 2 == 0 else None
        theirs = sockperf(pair, rate, busy_poll_us)
        rounds.append((first or ours(pair, rate, busy_poll_us, samples), theirs))
    return rounds


def rows(rate: int, busy_poll_us: int, rounds: list[tuple[Outcome, Outcome]]) -> list[str]:
    """The comparison as text: medians over rounds, and the median of the rounds' ratios."""
    lines = []
    for name in ("p50_us", "p99_us", "cpu_us"):
        pairs = [(getattr(mine, name), getattr(theirs, name)) for mine, theirs in rounds]
        mine, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        head = f"{busy_poll_us:>6} us  {rate:>7}  {name:>7}"
        lines.append(f"{head}  {mine:8.2f}  {theirs:11.2f}  {ratio:13.3f}")
    return lines


def highest_held(pair: Pair, busy_poll_us: int, samples: Path) -> tuple[int, int]:
    """The highest rates of the ladder that ours and sockperf held; a rate counts if one of TRIES held it."""
    best = [0, 0]
    for rate in LADDER:
        for _ in range(TRIES):
            if best[0] < rate and ours(pair, rate, busy_poll_us, samples).held:
                best[0] = rate
            if best[1] < rate and sockperf(pair, rate, busy_poll_us).held:
                best[1] = rate
        if rate - max(best) >= RUNGS_WITHOUT * LADDER_STEP:
            break
    return best[0], best[1]


@pytest.mark.skipif(bool(missing()), reason=missing())
@pytest.mark.skipif(shutil.which("sockperf") is None, reason="needs sockperf")
def test_load() -> None:
    """Prints the tables; fails only when a program does not run."""
    print("\nbusy poll     rate   figure      ours     sockperf  ours/sockperf")
    with veth_pair() as pair, tempfile.TemporaryDirectory() as directory:
        samples = Path(directory, "samples")
        for busy_poll_us in (0, BUSY_POLL_US):
            for rate in RATES:
                print(*rows(rate, busy_poll_us, compare(pair, rate, busy_poll_us, samples)), sep="\n", flush=True)
        print(f"highest rate held with p99 below {P99_BOUND_US:g} us, requests/s")
        for busy_poll_us in (0, BUSY_POLL_US):
            mine, theirs = highest_held(pair, busy_poll_us, samples)
            ratio = f"{mine / theirs:.2f}" if theirs else "-"
            print(f"{busy_poll_us:>6} us  ours {mine}  sockperf {theirs}  ours/sockperf {ratio}", flush=True)
