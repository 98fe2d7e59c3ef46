"""What a guest costs: boot to the first event, boot and poweroff, and a run beyond what it declares to take.

Ways, interleaved round by round, under the same QEMU and the same emulation (one thread, no KVM): `ours`, the pinned
image, whose agent starts and gets nothing to do; `virtme-ng`, which boots the same kernel with this host's root file
system (no output disk, no events, its own init) and executes `true`. Both power off. Then one guest makes runs of a
known length.

POLLBENCH_BENCH_ROUNDS chooses more than the default, POLLBENCH_BENCH_QEMU another QEMU (as --qemu does),
POLLBENCH_BENCH_ACCEL tcg-virtual. POLLBENCH_BENCH_VNG names the directories, as PATH does, of virtme-ng's programs and
of a static busybox, which it wants, if they are not on the path (pip install virtme-ng; busybox-static). It also wants
the kernel in /boot and /lib/modules.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from harness.places.vm import qemu
from harness.places.vm.boot import Boot, Event
from harness.places.vm.emulator import Qemu, find_emulator
from harness.places.vm.home import Home
from harness.places.vm.image import Image, open_image
from harness.places.vm.job import job_image
from harness.plan import Plan, load_experiment, make_plan
from harness.signals import Stopper
from harness.spec.machine import Machine
from tests import experiment

ROUNDS = int(os.environ.get("POLLBENCH_BENCH_ROUNDS", "5"))
VNG = os.environ.get("POLLBENCH_BENCH_VNG", "")
QEMU = os.environ.get("POLLBENCH_BENCH_QEMU", "")
ACCELERATOR = os.environ.get("POLLBENCH_BENCH_ACCEL", "tcg-smoke")
COUNTED = " -icount shift=0,align=off,sleep=off"
PATIENCE_S = 300


def plan(directory: Path) -> Plan:
    """Three runs of a known length: 50 ms before, 500 ms measured."""
    document = experiment.document(repeat=3)
    document["workload"] |= {"warmup": "50ms", "duration": "500ms"}
    path = directory / "bench.json"
    path.write_text(json.dumps(document))
    return make_plan(load_experiment(path))


def ours(emulator: Qemu, image: Image, workshop: Path) -> tuple[float, float]:
    """Seconds until the guest's first event, and until QEMU is gone, of a guest that has nothing to do."""
    from dataclasses import replace

    nothing = replace(plan(workshop), runs=())
    job = job_image({"plan": nothing.to_json(), "nics": {}, "output_bytes": 1 << 20})
    files = qemu.GuestFiles.of(image, workshop, job, 1 << 20)
    begun, first = time.monotonic(), 0.0
    with subprocess.Popen(qemu.command(emulator, Machine(), ACCELERATOR, files, {})) as process:
        while process.poll() is None:
            if not first and files.events.stat().st_size:
                first = time.monotonic() - begun
            time.sleep(0.01)
    assert b'"code":0' in files.events.read_bytes(), files.console.read_text()[-500:]
    return first, time.monotonic() - begun


def virtme(emulator: Qemu, release: str, root: Path) -> float:
    """Seconds of virtme-ng for the same kernel, from start to end."""
    program = root / "qemu-system-x86_64"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(emulator.argv)} "$@"\n')
    program.chmod(0o755)
    argv = [
        shutil.which("vng") or "vng",
        "--run",
        release,
        "--disable-kvm",
        "--force-9p",
        "--verbose",
        "--busybox",
        shutil.which("busybox") or "busybox",
    ]
    argv += ["--cpus", "2", "--memory", "1G", "--qemu", str(program)]
    counted = COUNTED if ACCELERATOR == "tcg-virtual" else ""
    argv += [f"--qemu-opts=-accel tcg,thread=single{counted}", "--", "true"]
    begun = time.monotonic()
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    took, told = time.monotonic() - begun, done.stdout + done.stderr
    # Where this host has no udev, virtme-ng loses the exit code on its way and ends with 255; its console tells it.
    if done.returncode and "script exited with code 0" not in told:
        raise SystemExit(f"virtme-ng ended with {done.returncode}: {told[-400:]}")
    return took


def runs(home: Home, emulator: Qemu, image: Image, directory: Path) -> list[float]:
    """Per run, the seconds of real time beyond the warm-up and the duration that it declares."""
    made, seen, costs = plan(directory), {}, []

    def tell(event: Event) -> None:
        seen[event.get("ev"), event.get("run_id")] = time.monotonic()

    boot = Boot(home, emulator, image, Machine(), ACCELERATOR, made, made.runs, {}, Stopper())
    for answer in boot.answers(tell):
        took = seen["run", answer.run_id] - seen["begin", answer.run_id]
        costs.append(took - 0.55)
    return costs


def main() -> None:
    """Print the medians of every way, and the ratio of the two."""
    home = Home()
    emulator, image = find_emulator(home, QEMU), open_image(home, "")
    os.environ["PATH"] = f"{VNG}:{os.environ['PATH']}" if VNG else os.environ["PATH"]
    compared = shutil.which("vng") is not None and Path(f"/lib/modules/{image.release}").is_dir()
    first, whole, other = [], [], []
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-vm-")))
        for _ in range(ROUNDS):
            up, end = ours(emulator, image, scratch)
            first.append(up)
            whole.append(end)
            if compared:
                other.append(virtme(emulator, image.release, scratch))
        costs = runs(home, emulator, image, scratch)
    print(f"{emulator.label()}, {ACCELERATOR}, kernel {image.release}, {ROUNDS} rounds, load {os.getloadavg()[0]:.1f}")
    for name, values in (("first event", first), ("boot, agent, poweroff", whole), ("virtme-ng, the same", other)):
        if values:
            print(f"{name:<24} median {statistics.median(values):6.2f} s  ({min(values):.2f} to {max(values):.2f})")
    if other:
        ratio = statistics.median(mine / theirs for mine, theirs in zip(whole, other, strict=True))
        print(f"ours / virtme-ng         {ratio:.2f} (median over rounds)")
    else:
        print("virtme-ng: not compared (no vng, or /lib/modules lacks the kernel)", file=sys.stderr)
    print(f"a run beyond its 550 ms  median {statistics.median(costs):6.2f} s  ({min(costs):.2f} to {max(costs):.2f})")


if __name__ == "__main__":
    main()
