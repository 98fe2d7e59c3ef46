"""One run from testbed to outcome: the only place that orders the steps of a measurement."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import apply, loadgen, probes
from harness.errors import PollbenchError
from harness.evidence import Outcome
from harness.kernel import facts
from harness.kernel.journal import open_journal
from harness.kernel.netns import in_netns
from harness.programs import Program, launch_options
from harness.spec.cells import CellSpec
from harness.stopping import Stopper
from harness.testbed import NodeHandle, Testbed, open_testbed

SAMPLE = np.dtype([("send_ns", "<i8"), ("rtt_ns", "<i8")])
_HEADER_BYTES = 64
_MAGIC = b"PBSAMP01"
_SLACK_S = 10.0


@dataclass
class Measured:
    """What one run yields: figures, proof and everything its programs said."""

    outcome: Outcome
    samples: npt.NDArray[Any]
    knobs: list[dict[str, Any]] = field(default_factory=list)
    qdiscs: list[dict[str, Any]] = field(default_factory=list)
    features: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def measure(spec: CellSpec, stopper: Stopper) -> Measured:
    """Build the testbed, apply the knobs, run the workload under contention, take everything down again.

    Raises MissingError when the host lacks something, PollbenchError when anything goes wrong, Interrupted.
    """
    with ExitStack() as stack:
        journal = stack.enter_context(open_journal())
        testbed = stack.enter_context(open_testbed(spec.topology, napi=spec.napi, journal=journal))
        rows = []
        for name, node in testbed.nodes.items():
            rows += apply.NodeApplier(node).apply(spec.settings.get(name, {}))
        rows += stack.enter_context(apply.host_settings(spec.settings.get("*", {}), journal))
        stopper.check()
        return _with_programs(spec, testbed, rows, stopper, stack)


def _with_programs(
    spec: CellSpec, testbed: Testbed, rows: list[dict[str, Any]], stopper: Stopper, stack: ExitStack
) -> Measured:
    workload = spec.workload
    server = stack.enter_context(Program("server", _argv(spec, testbed, "server"), stopper))
    port = server.expect("ready", _SLACK_S)["port"]
    hog = _start_hog(spec, stopper, stack)
    with _sample_file() as fd:
        client_argv = [*_argv(spec, testbed, "client"), "--port", str(port), "--samples", f"/dev/fd/{fd}"]
        client = stack.enter_context(Program("client", client_argv, stopper, pass_fds=(fd,)))
        programs = {"client": client, "server": server} | ({"hog": hog} if hog else {})
        slack_s = _SLACK_S + 2 * workload.timeout_ns / 1e9
        client.expect("warm", workload.warmup_ns / 1e9 + slack_s)
        difference, napis = _window(spec, testbed, programs, slack_s)
        client.send("finish")
        client_result = client.expect("result", _SLACK_S)
        server_result = server.stop()
        hog_result = hog.stop() if hog else None
        samples = _read_samples(fd)
    features = _features(testbed)
    results = {"client": client_result, "server": server_result}
    for role, node in (("server", workload.target), ("client", workload.source)):
        rows += apply.program_rows(node, spec.settings.get(node, {}), results[role].get("readback", {}))
    outcome = Outcome(
        difference=difference,
        client=client_result,
        server=server_result,
        hog=hog_result,
        hog_threads=spec.contention.threads if spec.contention else 0,
        protocol=workload.protocol,
        roles={"client": workload.source, "server": workload.target},
        waits={workload.source: workload.wait_of("client"), workload.target: workload.wait_of("server")},
        cpus=cpu_set(spec),
        napis=napis,
    )
    files = {name: data for program in programs.values() for name, data in program.files().items()}
    return Measured(outcome, samples, rows, testbed.qdiscs, features, files)


def _window(
    spec: CellSpec, testbed: Testbed, programs: dict[str, Program], slack_s: float
) -> tuple[probes.Difference, dict[str, list[dict[str, int | None]]]]:
    """The measured window: counters, go, silence until the client is done, counters."""
    pids = {label: program.pid for label, program in programs.items()}
    threads = _napi_threads(testbed, spec)
    shaped = bool(testbed.qdiscs)
    before = probes.take(testbed.nodes, pids, threads, shaped)
    programs["client"].send("go")
    programs["client"].expect("done", spec.workload.duration_ns / 1e9 + slack_s)
    after = probes.take(testbed.nodes, pids, threads, shaped)
    ours = {*pids.values(), os.getpid()}
    return probes.subtract(after, before, cpu_set(spec), ours), _napis(testbed) if spec.napi else {}


def _argv(spec: CellSpec, testbed: Testbed, role: str) -> list[str]:
    """Command line of the client or the server: launch options, mode, workload, socket options."""
    workload = spec.workload
    name = workload.source if role == "client" else workload.target
    node, knobs, wait = testbed.nodes[name], spec.settings.get(name, {}), workload.wait_of(role)
    process = apply.process_options(knobs, spec.process_cpus(name))
    argv = [str(loadgen.path()), *launch_options(node.netns_path, process), role]
    argv += ["--protocol", workload.protocol, "--wait", wait, "--size", str(workload.size_bytes)]
    address = testbed.address(workload.target, seen_from=workload.source)
    if role == "server":
        argv += ["--listen", address, "--port", "0"]
    else:
        argv += ["--connect", address, "--warmup-ns", str(workload.warmup_ns)]
        argv += ["--duration-ns", str(workload.duration_ns), "--timeout-ns", str(workload.timeout_ns)]
    return argv + apply.socket_options(knobs, wait)


def _start_hog(spec: CellSpec, stopper: Stopper, stack: ExitStack) -> Program | None:
    """Start the contention, if there is any, and wait until all its threads run."""
    contention = spec.contention
    if contention is None or contention.idle():
        return None
    process = {
        "cpus": hog_cpus(spec),
        "policy": contention.policy,
        "priority": contention.priority or None,
        "nice": contention.nice or None,
    }
    argv = [str(loadgen.path()), *launch_options(None, process), "hog", "--kind", contention.kind]
    argv += ["--threads", str(contention.threads), "--load", f"{contention.load_percent:g}"]
    argv += ["--period-ns", str(contention.period_ns), "--working-set", str(contention.working_set_bytes)]
    hog = stack.enter_context(Program("hog", argv, stopper))
    hog.expect("ready", _SLACK_S)
    return hog


def hog_cpus(spec: CellSpec) -> list[int]:
    """The CPUs the hogs run on: those declared, or all where a node that may use any CPU was named."""
    return sorted(spec.contention_cpus() or facts.online_cpus())


def cpu_set(spec: CellSpec) -> set[int]:
    """The run's CPU set: every CPU that the workload's processes or the hogs may use."""
    cpus: set[int] = set()
    for name in spec.workload.nodes():
        cpus |= set(spec.process_cpus(name) or facts.online_cpus())
    if spec.contention is not None and not spec.contention.idle():
        cpus |= set(hog_cpus(spec))
    return cpus


def _napis(testbed: Testbed) -> dict[str, list[dict[str, int | None]]]:
    return {
        name: [napi._asdict() for napi in _of_ports(node, apply.device_napis)]
        for name, node in testbed.nodes.items()
    }


def _features(testbed: Testbed) -> dict[str, dict[str, list[str]]]:
    """The features (offloads) that are on, by node and device, as the run ended with them."""
    out: dict[str, dict[str, list[str]]] = {}
    for name, node in testbed.nodes.items():
        with in_netns(node.fd):
            out[name] = {port.device: apply.active_features(port.device) for port in node.ports}
    return out


def _napi_threads(testbed: Testbed, spec: CellSpec) -> dict[str, list[int]]:
    """NAPI threads by node; asked for only where a case has them, since it is a netlink dump per device."""
    return {
        name: _of_ports(node, apply.napi_threads)
        for name, node in testbed.nodes.items()
        if "threaded_napi" in spec.settings.get(name, {})
    }


def _of_ports(node: NodeHandle, ask: Callable[[str], list[Any]]) -> list[Any]:
    with in_netns(node.fd):
        return [item for port in node.ports for item in ask(port.device)]


@contextmanager
def _sample_file() -> Iterator[int]:
    """A file without a name for the client's samples: nothing to clean up, whatever happens."""
    fd = os.memfd_create("pollbench-samples", 0)
    try:
        yield fd
    finally:
        os.close(fd)


def _read_samples(fd: int) -> npt.NDArray[Any]:
    """The samples the client wrote. Raises PollbenchError when they are not whole."""
    size = os.fstat(fd).st_size
    data = os.pread(fd, size, 0)
    while len(data) < size:  # one read(2) moves at most 2 GiB
        data += os.pread(fd, size - len(data), len(data))
    count = int.from_bytes(data[16:24], "little")
    if data[:8] != _MAGIC or size != _HEADER_BYTES + count * SAMPLE.itemsize:
        raise PollbenchError(
            "read the samples", "the client's sample file", f"{size} bytes, {count} records announced"
        )
    return np.frombuffer(data, SAMPLE, count, _HEADER_BYTES)
