#!/usr/bin/env bash
# EXPECTED: reading a counter of a CPU from another one disturbs nobody, the less so if it is a software event (cpu-clock, context
#   switches, page faults): the kernel keeps it in memory, and has no hardware to ask.
# REALITY: every read(2) of a running event that is bound to another CPU is an interrupt there, sent and waited for, software
#   events included: 1,000 reads are 1,000 function-call interrupts (CAL) on a busy CPU, isolated or not. (An idle one leaves its idle
#   state for each; if it polls there, some come without an interrupt.)
# WHERE: monitoring that reads per-CPU events now and then (`perf stat -a -I`, exporters, schedulers' dashboards) breaks into
#   busy-polling threads on CPUs that were isolated for them, and wakes idle ones. On a virtual machine each such interrupt also
#   leaves and enters the guest, which takes the interrupted thread several times what its handler takes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
echo "Linux $(uname -r), $(python3 --version), $(uname -m)"
cat >"$place/reads.py" <<'PY'
import ctypes, os, platform, struct, subprocess, sys

CALL = {"x86_64": 298, "aarch64": 241}[platform.machine()]
READS, SOFTWARE, EVENTS = 1000, 1, {"cpu-clock": 0, "page-faults": 2, "context-switches": 3}
libc = ctypes.CDLL(None, use_errno=True)
here, there = sorted(os.sched_getaffinity(0))[:2]  # two CPUs are needed
os.sched_setaffinity(0, {there})  # also of whoever is started now
spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
os.sched_setaffinity(0, {here})


def calls(cpu):
    """Function-call interrupts that a CPU has had."""
    head, *rows = open("/proc/interrupts").read().splitlines()
    column = head.split().index(f"CPU{cpu}")
    row = next(row for row in rows if "unction call interrupts" in row)
    return int(row.split()[1 + column])


try:
    for name, config in EVENTS.items():
        attributes = struct.pack("IIQ", SOFTWARE, 112, config).ljust(112, b"\0")
        for cpu, what in ((here, "of its own CPU"), (there, "of another CPU")):
            fd = libc.syscall(CALL, attributes, -1, cpu, -1, 0)
            if fd < 0:
                sys.exit(f"perf_event_open: {os.strerror(ctypes.get_errno())} (root, and a kernel with perf events, are needed)")
            os.read(fd, 8)
            before = calls(there)
            for _ in range(READS):
                os.read(fd, 8)
            came = calls(there) - before
            os.close(fd)
            print(f"{name}: {READS} reads {what}: {came} interrupts on the other CPU")
            if (cpu == there) != (came >= 0.95 * READS) or (cpu == here and came > READS / 2):
                sys.exit("behaviour changed: reads of another CPU's event are no interrupts there")
finally:
    spinner.kill()
PY
python3 "$place/reads.py"
