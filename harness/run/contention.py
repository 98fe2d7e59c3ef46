"""Starts the contention of a run: our own hogs, with a flow of their own where they need one, or stress-ng's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from harness import loadgen
from harness.kernel import facts
from harness.kernel.journal import open_journal
from harness.run.counters import HOGS
from harness.run.external_process import ExternalProcess, require_program
from harness.run.outcome import Outcome, Report
from harness.run.process import ChildProcess, NativeProcess, Options, launch_options
from harness.signals import Stopper
from harness.spec.cells import CellSpec
from harness.spec.topology import Topology
from harness.testbed import open_testbed
from harness.workloads import Contention
from harness.workloads.contention import overlapping

_SLACK_S = 10.0
_ALL = 100.0
_NAMED_PERCENT = 0.5
_AWAKE_PERCENT = 5.0
_PAUSING = ("hog", "--kind", "pause", "--threads", "1", "--load", "100")
_FLOW = {"nodes": {"hog": {}, "sink": {}}, "links": [{"between": ["hog", "sink"]}]}


@dataclass
class Hogs:
    """The hogs of one run, as threads or processes of one program, if there are any. result: our own ones' report.

    spinners: what keeps the CPUs awake, a process a CPU.
    """

    threads: int = 0
    child: NativeProcess | ExternalProcess | None = None
    result: Report | None = None
    spinners: list[NativeProcess] = field(default_factory=list)

    def children(self) -> list[ChildProcess]:
        """All processes that were started, descendants apart."""
        return [*([self.child] if self.child else []), *self.spinners]

    def families(self) -> dict[str, list[int]]:
        """All their processes, hogs and spinners apart, by the labels of counters.HOGS."""
        hog, awake, *_ = HOGS
        spinners = {awake: [spinner.pid for spinner in self.spinners]} if self.spinners else {}
        return spinners | ({hog: self.pids()} if self.child else {})

    def pids(self) -> list[int]:
        """The processes of all hogs."""
        return self.child.family() if self.child else []

    def stop(self) -> None:
        """End them, and keep the report of our own ones."""
        if isinstance(self.child, NativeProcess):
            self.result = self.child.stop()
        elif self.child:
            self.child.stop()
        for spinner in self.spinners:
            spinner.stop()

    def files(self) -> dict[str, bytes]:
        """The hogs' output, by file name."""
        return self.child.files() if self.child else {}


def hog_cpus(spec: CellSpec) -> list[int]:
    """The CPUs the hogs run on: those declared, or all where a node that may use any CPU was named."""
    online = facts.online_cpus()
    declared = sorted(spec.contention_cpus() or online)
    if spec.contention is not None and spec.contention.overlap is not None:
        return overlapping(declared, spec.contention.overlap, online)
    return declared


def duty_doubts(
    spec: CellSpec,
    achieved_percent: float | None,
    idle: Mapping[int, float],
    elapsed_s: float,
    takers: Mapping[str, float] | None = None,
) -> list[str]:
    """A reason not to believe that the contention was the declared one; none without contention.

    achieved_percent: CPU time of the hogs as a share of their threads' time; idle: CPU -> the share of the time it was
    idle. takers: what else ran where the hogs do -> its time, % of a CPU. Hogs that are to take all there is (100 %)
    are as declared when others leave them less; those with a duty below that are not, whoever took it from them.
    """
    contention = spec.contention
    if contention is None or contention.idle() or achieved_percent is None:
        return []
    # A window that is no multiple of the period has the work of one period more or less in it.
    cut_off = contention.period_ns / 1e9 / elapsed_s if contention.native() and elapsed_s else 0.0
    tolerance = contention.load_percent * (spec.checks.max_hog_error + cut_off)
    cpus = hog_cpus(spec)
    possible = min(contention.load_percent, 100.0 * len(cpus) / contention.threads)
    spare = 100 * sum(idle.get(cpu, 0.0) for cpu in cpus) / contention.threads
    short = achieved_percent < possible - tolerance
    if achieved_percent > contention.load_percent + tolerance:
        how = ""
    elif short and spare > tolerance:
        how = f", though their CPUs were idle for {spare:.0f} % of a CPU each"
    elif short and contention.load_percent < _ALL:
        shares = sorted((takers or {}).items(), key=lambda item: -item[1])
        names = ", ".join(f"{name} {share:.0f} %" for name, share in shares if share >= _NAMED_PERCENT)
        how = f"; on their CPUs ran meanwhile: {names}" if names else "; what took it is not known"
    else:
        return []
    return [
        f"the hogs ({contention.label()}) had {achieved_percent:.0f} % of a CPU each, "
        f"{contention.load_percent:g} % were declared{how}; limit {spec.checks.max_hog_error:.0%} of what is declared"
    ]


def takers(spec: CellSpec, outcome: Outcome) -> dict[str, float]:
    """What ran on the hogs' CPUs beside them, with its time in % of a CPU: our programs by label, others by name.

    A program that may use other CPUs too is counted whole: where its time went is not kept.
    """
    elapsed_ns, cpus = outcome.delta.elapsed_ns, set(hog_cpus(spec))
    times = {
        program.label: outcome.delta.programs[program.label].cpu_ns
        for program in outcome.programs
        if program.label in outcome.delta.programs
        and outcome.delta.host_of(program.node) is outcome.delta.host_of(spec.contention_node())
        and cpus & set(spec.process_cpus(program.node) or cpus)
    }
    foreign = outcome.delta.host_of(spec.contention_node()).interference
    for cpu, ns in foreign.by_cpu.items():
        if cpu in cpus:
            times[f"other programs, most of it {foreign.worst_on.get(cpu, 'of unknown name')}, on CPU {cpu}"] = ns
    return {name: 100 * ns / elapsed_ns for name, ns in times.items()} if elapsed_ns else {}


def start_hogs(spec: CellSpec, stopper: Stopper, stack: ExitStack, group: str = "") -> Hogs:
    """Start the contention, if there is any, and wait until it runs. Raises MissingError, PollbenchError.

    group: the entrance of the hogs' control group, if they have one.
    """
    contention = spec.contention
    if contention is None or contention.idle():
        return Hogs()
    process: Options = {
        "cpus": hog_cpus(spec),
        "policy": contention.policy,
        "priority": contention.priority or None,
        "nice": contention.nice or None,
    }
    if not contention.native():
        launch = launch_options(None, process, group)
        return Hogs(contention.threads, _stress_ng(contention, launch, stopper, stack))
    netns, more = _flow(contention, stopper, stack, group) if contention.needs_flow() else (None, [])
    argv = [str(loadgen.path()), *launch_options(netns, process, group), *contention.command(), *more]
    hog = stack.enter_context(NativeProcess("hog", argv, stopper))
    hog.expect("ready", _SLACK_S)
    return Hogs(contention.threads, hog)


def keep_awake(cpus: Collection[int], stopper: Stopper, stack: ExitStack, group: str = "") -> list[NativeProcess]:
    """Start what keeps each of the CPUs from going idle, and wait until it runs. Raises PollbenchError.

    SCHED_IDLE gives way to whatever else wants the CPU, so it takes only what would have been idle; the scheduler would
    leave several of them on one CPU, so each is bound to its own. group: the entrance of their control group.
    """
    spinners = []
    for cpu in sorted(cpus):
        argv = [str(loadgen.path()), *launch_options(None, {"cpus": [cpu], "policy": "idle"}, group), *_PAUSING]
        spinners.append(stack.enter_context(NativeProcess(f"spinner of CPU {cpu}", argv, stopper)))
    for spinner in spinners:
        spinner.expect("ready", _SLACK_S)
    return spinners


def awake_doubts(spec: CellSpec, idle_percent: float | None) -> list[str]:
    """A reason not to believe that the CPUs were kept awake. idle_percent: idle time of the run's CPU set."""
    if spec.contention is None or not spec.contention.awake or (idle_percent or 0.0) <= _AWAKE_PERCENT:
        return []
    idled = f"were idle for {idle_percent:.1f} % of the time"
    return [f"the CPUs were to be kept awake, and {idled}; limit {_AWAKE_PERCENT:g} %"]


def _stress_ng(contention: Contention, launch: list[str], stopper: Stopper, stack: ExitStack) -> ExternalProcess:
    require_program("stress-ng", "the hogs", "stress-ng")
    argv = [str(loadgen.path()), *launch, "exec", "--", *contention.command()]
    hog = stack.enter_context(ExternalProcess("hog", argv, stopper))
    sign = f"{contention.threads} {contention.stressor} workers"
    # Each worker is a process of its own: they are there when the family is as large as was asked.
    hog.wait_until(lambda: len(hog.family()) > contention.threads, sign, _SLACK_S)
    return hog


def _flow(contention: Contention, stopper: Stopper, stack: ExitStack, group: str) -> tuple[str, list[str]]:
    """Make a link for the hogs alone, with NAPI at both ends; the namespace to run in, and the hog's further options.

    A veth's receive softirq runs on the CPU of the sender, so that sending there loads the hogs' CPU with both.
    """
    journal = stack.enter_context(open_journal())
    testbed = stack.enter_context(open_testbed(Topology.model_validate(_FLOW), napi=True, journal=journal))
    address = testbed.address("sink", seen_from="hog")
    argv = [str(loadgen.path()), *launch_options(testbed.nodes["sink"].netns_path, {}, group), "server"]
    argv += ["--protocol", "udp", "--wait", "blocking", "--size", "64", "--listen", address, "--port", "0"]
    sink = stack.enter_context(NativeProcess("sink", argv, stopper))
    port = sink.expect("ready", _SLACK_S)["port"]
    if contention.kind == "network":
        # The packets need no answer, and nobody's CPU to give one: they are dropped at a port without a socket.
        sink.stop()
    return testbed.nodes["hog"].netns_path, ["--connect", address, "--port", str(port)]
