"""The hog: each kind keeps its duty cycle, reports the CPU time it got, and stops at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.generator import Generator

PERIOD_NS = 10_000_000
MEASURED_S = 0.5


def hog(kind: str, load: float, threads: int = 1, period_ns: int = PERIOD_NS) -> Generator:
    """A hog with a small working set."""
    return Generator(
        *("hog", "--kind", kind, "--threads", threads, "--load", str(load)),
        *("--period-ns", period_ns, "--working-set", 1 << 20),
    )


@pytest.mark.parametrize("kind", ["spin", "syscall", "cache"])
@pytest.mark.parametrize("load", [0, 25, 100])
def test_duty_cycle(kind: str, load: float) -> None:
    with hog(kind, load) as process:
        (tid,) = process.event("ready")["tids"]
        assert Path(f"/proc/{process.process.pid}/task/{tid}").exists()
        time.sleep(MEASURED_S)
        result = process.stop()
    (cpu_ns,) = result["cpu_ns"]
    achieved = 100 * cpu_ns / result["wall_ns"]
    # It may get less than it asks for, because others use the CPU too, but never more.
    assert load * 0.3 - 0.1 <= achieved <= load + 5
    assert result["wall_ns"] >= MEASURED_S * 1e9
    assert result["usage"]["cpu_ns"] >= cpu_ns


def test_a_syscall_hog_spends_its_time_in_the_kernel() -> None:
    shares = {}
    for kind in ("spin", "syscall"):
        with hog(kind, 100) as process:
            process.event("ready")
            time.sleep(MEASURED_S)
            usage = process.stop()["usage"]
        shares[kind] = usage["system_ns"] / usage["cpu_ns"]
    assert shares["syscall"] > shares["spin"]


def test_every_thread_is_told_and_loads() -> None:
    with hog("spin", 20, threads=4) as process:
        tids = process.event("ready")["tids"]
        assert len(set(tids)) == 4
        assert process.process.pid not in tids
        time.sleep(MEASURED_S)
        cpu_ns = process.stop()["cpu_ns"]
    assert len(cpu_ns) == 4
    assert min(cpu_ns) > 0


@pytest.mark.parametrize("load", [0, 0.01, 100])
def test_a_long_period_does_not_delay_the_end(load: float) -> None:
    with hog("spin", load, threads=3, period_ns=60_000_000_000) as process:
        process.event("ready")
        time.sleep(0.05)
        process.stop()  # which waits a third of a period at most
