"""CPU time on the CPU set by whose it was: all tasks together, and those of programs that are no part of the run."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.kernel.proc import Tasks, described, task_place

ENDED = "programs that have ended"
# They do the workload's own packet processing.
_OURS_TOO = ("ksoftirqd/", "napi/")
_KTHREADD = 2


@dataclass
class CpuInterference:
    """Run time between two readings, ns, exact to the scheduler where the task still lived at the second.

    busy_ns: of all tasks on the set. by_cpu, by_name: of other programs' tasks. Of programs that began or ended in
    between only the sum is known, to 10 ms, and not the CPU: ended_ns, the set's share of it by its share of the ticks.
    worst_on: by CPU, the process of others with most time there, in words. worst_process: pid, owner and command line
    of the process with most time of the name with most time, in words. kernel_ns: of kernel threads on the set,
    ksoftirqd and NAPI threads among them; others_ns: of other programs, what has ended included.
    """

    busy_ns: int = 0
    ended_ns: int = 0
    by_cpu: dict[int, int] = field(default_factory=dict)
    by_name: dict[str, int] = field(default_factory=dict)
    worst_process: str = ""
    kernel_ns: int = 0
    others_ns: int = 0
    worst_on: dict[int, str] = field(default_factory=dict)

    def worst_cpu_ns(self) -> int:
        """Other programs' time on the CPU that had most of it; what has ended is taken to have run there."""
        return max(self.by_cpu.values(), default=0) + self.ended_ns

    def worst_name(self) -> str:
        """The name of the other program that had most time, and of its process with most: pid, owner, command."""
        named = self.by_name | {ENDED: self.ended_ns}
        name = max(named, key=named.__getitem__)
        if name == ENDED or not self.worst_process:
            return name
        return f"{name} ({self.worst_process})"


def compare(after: Tasks, before: Tasks, cpus: set[int], ours: set[int], set_share: float) -> CpuInterference:
    """The run time of tasks on `cpus` between two readings.

    ours: the run's own processes; set_share: the set's part of the host's busy ticks, 0..1.
    """
    loads = CpuInterference()
    by_pid: dict[tuple[str, int], int] = {}
    on_cpu: dict[int, dict[tuple[str, int], int]] = {}
    for tid, run_ns in after.run_ns.items():
        used = run_ns - before.run_ns.get(tid, 0)
        place = task_place(tid) if used > 0 else None
        if place is None or place[2] not in cpus:
            continue
        pid, name, cpu = place
        loads.busy_ns += used
        if _KTHREADD in (pid, after.parent.get(pid)):
            loads.kernel_ns += used
        elif pid not in ours:
            loads.others_ns += used
        if pid not in ours and not name.startswith(_OURS_TOO):
            loads.by_cpu[cpu] = loads.by_cpu.get(cpu, 0) + used
            loads.by_name[name] = loads.by_name.get(name, 0) + used
            by_pid[name, pid] = by_pid.get((name, pid), 0) + used
            here = on_cpu.setdefault(cpu, {})
            here[name, pid] = here.get((name, pid), 0) + used
    if by_pid:
        _, worst = max(by_pid, key=lambda task: (loads.by_name[task[0]], by_pid[task]))
        loads.worst_process = described(worst)
    for cpu, here in on_cpu.items():
        name, pid = max(here, key=here.__getitem__)
        loads.worst_on[cpu] = f"{name} ({described(pid)})"
    loads.ended_ns = round(set_share * _ended_ns(after, before, ours))
    loads.busy_ns += loads.ended_ns
    loads.others_ns += loads.ended_ns
    return loads


def _ended_ns(after: Tasks, before: Tasks, ours: set[int]) -> int:
    """Time of processes that ended in between: their parents' account of reaped children grew by their whole life.

    What they had used before is taken off again, from the account of the ancestor that outlived them. What ended
    without being accounted to anybody (kernel threads, single threads, children nobody waits for) hides nothing of the
    others.
    """
    growth = {pid: max(0, ns - before.reaped_ns.get(pid, 0)) for pid, ns in after.reaped_ns.items()}
    grown = {pid: ns for pid, ns in growth.items() if pid not in ours}
    ended = before.reaped_ns.keys() - after.reaped_ns.keys()
    earlier = [(pid, before.reaped_ns[pid]) for pid in ended]
    earlier += [(before.process.get(tid, tid), ns) for tid, ns in before.run_ns.items()]
    for pid, ns in earlier:
        if pid in ended:
            ancestor = pid
            while ancestor in ended:
                ancestor = before.parent.get(ancestor, 0)
            grown[ancestor] = grown.get(ancestor, 0) - ns
    return sum(max(0, ns) for ns in grown.values())
