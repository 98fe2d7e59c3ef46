"""How long a guest in model time takes to begin: ours resumed, its first run; virtme-ng's, its first command.

Each way from the command on, in turn, round by round, under the provided QEMU; a guest is ended as soon as it begins.
Of every way the seconds that passed and the CPU seconds of all its processes, which a busy machine changes less.

POLLBENCH_BENCH_ROUNDS chooses more than the default. POLLBENCH_BENCH_BEFORE is another checkout, with its .venv, to be
measured too. POLLBENCH_BENCH_VNG names the directories, as PATH does, of virtme-ng's programs and of a static busybox
(pip install virtme-ng; busybox-static), POLLBENCH_BENCH_VNG_KERNEL the kernel of the image for it: vmlinuz, with
../lib/modules beside it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.kernel.proc import stat_fields
from harness.kernel.processes import tree
from harness.places.vm.emulator import Qemu, find_emulator
from harness.places.vm.home import Home
from tests import experiment

ROUNDS = int(os.environ.get("POLLBENCH_BENCH_ROUNDS", "5"))
NOW = Path(__file__).parents[2]
BEFORE = os.environ.get("POLLBENCH_BENCH_BEFORE", "")
VNG, KERNEL = os.environ.get("POLLBENCH_BENCH_VNG", ""), os.environ.get("POLLBENCH_BENCH_VNG_KERNEL", "")
COUNTED = "-accel tcg,thread=single -icount shift=0,align=off,sleep=off"
_EVENTS = re.compile(rb"id=events,path=([^\0]+)")
_PATIENCE_S, _LOOK_S = 300, 0.02
Took = tuple[float, float]


def begun(argv: list[str], directory: Path, has_begun: Callable[[list[int], bytes], bool]) -> Took:
    """(seconds, CPU seconds of all its processes) of a command until `has_begun`, of those and what it printed."""
    printed = directory / "printed"
    start = time.monotonic()
    with open(printed, "wb") as out:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        while child.poll() is None and time.monotonic() - start < _PATIENCE_S:
            family = tree(child.pid)
            if has_begun(family, printed.read_bytes()):
                return time.monotonic() - start, sum(map(cpu_s, family))
            time.sleep(_LOOK_S)
        raise SystemExit(f"{shlex.join(argv)} did not begin: {printed.read_text(errors='replace')[-400:]}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        child.wait()


def cpu_s(pid: int) -> float:
    """What a process and those that it waited for have used; 0 where it is gone."""
    with contextlib.suppress(OSError):
        return sum(map(int, stat_fields(pid)[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def run_begun(family: list[int], _printed: bytes) -> bool:
    """Has a guest of ours said that it begins a run? By the file that its QEMU writes its events to."""
    for path in filter(None, map(events_of, family)):
        with contextlib.suppress(OSError):
            if b'"ev": "begin"' in Path(path).read_bytes():
                return True
    return False


def events_of(pid: int) -> str:
    """The file of events that a QEMU's command line names; "" of another process."""
    with contextlib.suppress(OSError):
        if match := _EVENTS.search(Path(f"/proc/{pid}/cmdline").read_bytes()):
            return os.fsdecode(match[1])
    return ""


def command_begun(_family: list[int], printed: bytes) -> bool:
    """Does virtme-ng's guest execute what it was given?"""
    return b"starting script" in printed


def ways(directory: Path, emulator: Qemu) -> Iterator[tuple[str, Callable[[], Took]]]:
    """Each way's name, and what measures it once."""
    file = experiment.write(directory)
    options = [str(file), "--accel", "tcg-virtual", "--snapshots", "yes", "-o", str(directory / "results")]
    for name, checkout in {"now": str(NOW), "before": BEFORE}.items():
        if checkout:
            argv = [f"{checkout}/.venv/bin/pollbench", "vm", "run", *options]
            # The first saves the guest, and warms the caches.
            begun(argv, directory, run_begun)
            yield name, lambda argv=argv: begun(argv, directory, run_begun)
    if not (VNG and KERNEL):
        print("virtme-ng: not measured (see POLLBENCH_BENCH_VNG, POLLBENCH_BENCH_VNG_KERNEL)")
        return
    os.environ["PATH"] = f"{VNG}:{os.environ['PATH']}"
    program = directory / "qemu-system-x86_64"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(emulator.argv)} "$@"\n')
    program.chmod(0o755)
    argv = ["vng", "--run", KERNEL, "--disable-kvm", "--disable-microvm", "--force-9p", "--verbose"]
    argv += ["--busybox", shutil.which("busybox") or "busybox", "--cpus", "2", "--memory", "1G"]
    argv += ["--qemu", str(program), f"--qemu-opts={COUNTED}", "--", "true"]
    yield "virtme-ng", lambda: begun(argv, directory, command_begun)


def spread(values: list[float]) -> str:
    """The median, the lowest and the highest."""
    return f"{statistics.median(values):6.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Print the medians of every way, and ratios of the first to each other."""
    emulator = find_emulator(Home(), "provided")
    with tempfile.TemporaryDirectory(prefix="bench-first-") as scratch:
        measured = dict(ways(Path(scratch), emulator))
        took: dict[str, list[Took]] = {name: [] for name in measured}
        for _ in range(ROUNDS):
            for name, measure in measured.items():
                took[name].append(measure())
    print(f"{emulator.label()}, {ROUNDS} rounds, load {os.getloadavg()[0]:.1f}")
    for part, unit in enumerate(("wall", "CPU")):
        for name, pairs in took.items():
            values = [pair[part] for pair in pairs]
            ratios = [one[part] / other for one, other in zip(took["now"], values, strict=True)]
            print(f"{unit:<4} {name:<10} {spread(values)} s   now / this {spread(ratios)}")


if __name__ == "__main__":
    main()
