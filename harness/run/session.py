"""Plays one workload: its server and client started, led through ready, warm, go and done, and read."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness import loadgen
from harness.errors import PollbenchError
from harness.kernel.facts import online_cpus
from harness.kernel.journals import STATE_DIR
from harness.kernel.memfile import MemoryFile
from harness.kernel.patterns import count, last_match
from harness.kernel.processes import listens
from harness.loadgen.samples import read as read_samples
from harness.run import knobs as apply
from harness.run.context import RunContext
from harness.run.external_process import ExternalProcess, require_program
from harness.run.outcome import Report
from harness.run.process import NativeProcess, Options, launch_options
from harness.run.socket_options import SocketOptions
from harness.run.two_hosts import Message
from harness.run.wire import Records, exchanges
from harness.store.record import KnobRow
from harness.testbed import addressing
from harness.units import format_cpus
from harness.workloads import ProgramOutput, Reading, Role, Scene, Workload

RunProgram = NativeProcess | ExternalProcess
_SLACK_S = 10.0
_LOOK_S = 0.01


class WorkloadSession:
    """One workload. `label` leads the names of its programs and files; "" for the measured one.

    Of a run on two hosts each has a session of the workload, which plays the roles whose nodes are there.
    """

    def __init__(self, context: RunContext, workload: Workload, label: str = "") -> None:
        self.context, self.workload, self.label = context, workload, label
        self.port = workload.fixed_port()
        self.programs: dict[Role, RunProgram] = {}
        self.reports: dict[str, Report] = {}
        self._readbacks: dict[str, Options] = {}
        self._log: MemoryFile | None = None
        self._began_s = 0.0
        self._lasting_ns = 0
        self._far_server_output: str | None = None
        self.passed: Records | None = None
        """The packets at the client's devices, of a workload that is timed on the wire."""
        self.doubts: list[str] = []

    def plays(self, role: Role) -> bool:
        """Is the role's node here?"""
        return self.context.ends.holds(self.workload.node_of(role))

    def name(self, role: str) -> str:
        """What a role's program is called in messages and files."""
        return f"{self.label}{role}"

    def is_native(self, role: str) -> bool:
        """Is the role played by our own generator?"""
        return role in self.workload.native

    def serve(self) -> None:
        """Start the server and wait until it is ready. Raises MissingError (not installed), PollbenchError."""
        workload = self.workload
        if not workload.has_server() or not self.plays("server"):
            return
        child = self._start("server", workload.server(self._scene("server")))
        if isinstance(child, NativeProcess):
            self.port = child.expect("ready", _SLACK_S)["port"]
        else:
            ready, sign = self._readiness(child)
            child.wait_until(ready, sign, _SLACK_S, self.context.others(child))
            self._look_at("server")
        self.sweep()

    def prepare(self, lasting_ns: int = 0) -> None:
        """Bring the client to where the measured window can begin; a measured external one is not even started.

        lasting_ns: how long the measured workload goes on, and with it those in the background, whatever their own
        duration and count.
        """
        self._lasting_ns = lasting_ns if self.label else 0
        if not self.plays("client"):
            return
        if self.is_native("client"):
            self._start_client(self._lasting_ns)
            child = self.programs["client"]
            assert isinstance(child, NativeProcess)
            limit_s = (self.workload.warmup_ns + self.workload.allowance_ns()) / 1e9
            child.expect("warm", limit_s, self.context.others(child))
        elif self.label:
            self._start_external_client(self.context.background_ns(lasting_ns))
        self.sweep()

    def begin(self) -> None:
        """Open the measured window."""
        self._began_s = time.monotonic()
        child = self.programs.get("client")
        if not self.plays("client"):
            return
        if isinstance(child, NativeProcess):
            child.send("go")
        elif child is None:
            self._start_external_client(0)

    def wait_done(self) -> None:
        """Wait until the measured window is over. Raises PollbenchError when any program of the run ends in it."""
        if not self.plays("client"):
            return
        child, limit_s = self.programs["client"], self.window_s()
        if isinstance(child, NativeProcess):
            child.expect("done", limit_s, self.context.others(child))
        elif not self.label:
            child.wait_end(limit_s, self.context.others(child))
            self.context.dismiss(child)

    def window_s(self) -> float:
        """How long the window may take at most."""
        life_ns = self._lasting_ns or self.workload.life_ns()
        return (life_ns + self.workload.allowance_ns()) / 1e9

    def hand_over(self) -> Message:
        """What the workload's session on the other host needs to know: its server's port and output."""
        return {"port": self.port, "said": self._server_output()} if "server" in self.programs else {}

    def take_over(self, message: Message) -> None:
        """Take what the session on the other host handed over; nothing where the server is here."""
        if message:
            self.port, self._far_server_output = int(message["port"]), str(message["said"])

    def finish(self) -> Reading:
        """Let the client report and end, and read what it says. Raises PollbenchError."""
        for role in self._external_roles():
            self._socket_options(role).look_again()
        if not self.plays("client"):
            return Reading({})
        return self._finish_native() if self.is_native("client") else self._finish_external()

    def finish_server(self) -> None:
        """Let the server end, after every client. Raises PollbenchError."""
        child = self.programs.get("server")
        if child is not None:
            self.context.dismiss(child)
        if isinstance(child, NativeProcess):
            self.reports["server"] = child.stop()
        elif child is not None:
            child.stop(getattr(signal, self.workload.stop_name("server")))
        for role in self._external_roles():
            options, name = self._socket_options(role), self.name(role)
            report = self.reports.setdefault(role, {})
            report |= {"napi_ids": options.napi_ids(name), "unreached": not options.has_socket(name)}

    def sweep(self) -> None:
        """Apply the nodes' socket settings to whatever external programs have opened since the last time."""
        for role, child in self.programs.items():
            if isinstance(child, ExternalProcess):
                family = child.family()
                self.context.note(family)
                self._socket_options(role).sweep(self.name(role), family)
                self.context.watch.look(self.name(role), self.workload.node_of(role), family)

    def look(self) -> None:
        """See which NAPIs feed the sockets of its programs; outside of the measured window, which it would disturb."""
        for role, child in self.programs.items():
            self.context.watch.look(self.name(role), self.workload.node_of(role), child.family())

    def pids(self) -> dict[str, list[int]]:
        """The processes of each program by its name."""
        return {self.name(role): child.family() for role, child in self.programs.items()}

    def waits(self, role: Role) -> str:
        """How a role waits: as the workload says, or as could be seen of a program it says nothing of."""
        seen = "epoll" if self._socket_options(role).has_epoll(self.name(role)) else ""
        return self.workload.wait_of(role) or seen

    def rows(self) -> list[KnobRow]:
        """The knob rows of both programs' sockets and processes. Raises PollbenchError where one did not take."""
        rows = []
        for role in sorted(self.programs, reverse=True):  # the server's first
            node = self.workload.node_of(role)
            knobs = self.context.spec.settings.get(node, {})
            if self.is_native(role):
                own = apply.program_rows(node, knobs, self.reports.get(role, {}).get("readback", {}))
                suffix = f" ({self.name(role)})" if self.label else ""
                rows += [replace(row, setting=row.setting + suffix) for row in own]
            else:
                rows += apply.program_rows(node, knobs, self._readbacks.get(role, {}), ("process",))
                rows += self._socket_options(role).rows(self.name(role))
        return rows

    def files(self) -> dict[str, bytes]:
        """The output of its programs, by file name."""
        return {name: data for child in self.programs.values() for name, data in child.files().items()}

    # -- inside -------------------------------------------------------------------------------------------

    def _socket_options(self, role: Role) -> SocketOptions:
        return self.context.socket_options_of(self.workload.node_of(role))

    def _external_roles(self) -> list[Role]:
        return [role for role in self.programs if not self.is_native(role)]

    def _scene(self, role: Role, log: str = "", lasting_ns: int = 0) -> Scene:
        knobs = self.context.spec.settings.get(self.workload.node_of(role), {})
        options = apply.socket_options(knobs, self.workload.wait_of(role)) if self.is_native(role) else []
        address = self.context.testbed.address(self.workload.target, seen_from=self.workload.source)
        timed = self.context.tracer is not None and not self.label
        own = self.context.spec.process_cpus(self.workload.node_of(role))
        cpus = format_cpus(own if own is not None else tuple(sorted(online_cpus())))
        return Scene(address, self.port, tuple(options), log, lasting_ns, timed, cpus)

    def _start(self, role: Role, command: list[str], fds: tuple[int, ...] = ()) -> RunProgram:
        node, name, stopper = self.workload.node_of(role), self.name(role), self.context.stopper
        spec, handle = self.context.spec, self.context.testbed.nodes[node]
        options = apply.process_options(spec.settings.get(node, {}), spec.launch_cpus(node))
        argv = [str(loadgen.path()), *launch_options(handle.netns_path, options, self.context.cgroups.entrance(node))]
        child: RunProgram
        if self.is_native(role):
            child = NativeProcess(name, [*argv, *command], stopper, pass_fds=fds)
        else:
            require_program(command[0], f"the {name}", self.workload.packages.get(role, ""))
            argv.append("exec")
            if self.workload.knows_names:
                names = self._names(node)
                argv += ["--names", names.path(), "--room", str(STATE_DIR)]
                fds = (*fds, names.fd)
            child = ExternalProcess(name, [*argv, "--", *command], stopper, pass_fds=fds)
        self.context.stack.enter_context(child)
        self.context.children.append(child)
        self.programs[role] = child
        if isinstance(child, ExternalProcess):
            self.context.note([child.pid])
        return child

    def _names(self, node: str) -> MemoryFile:
        """Lines of /etc/hosts: the nodes as this one reaches them."""
        file = self.context.stack.enter_context(MemoryFile("pollbench-names"))
        known = addressing.addresses(self.context.testbed.layout)
        os.write(file.fd, addressing.hosts_file(known, node).encode())
        return file

    def _start_client(self, lasting_ns: int) -> None:
        self._log = self.context.stack.enter_context(MemoryFile("pollbench-samples"))
        scene = self._scene("client", self._log.path(), lasting_ns)
        self._start("client", self.workload.client(scene), (self._log.fd,))
        self._began_s = time.monotonic()

    def _readiness(self, child: ExternalProcess) -> tuple[Callable[[], bool], str]:
        """Whether the server is ready, and the sign of that in words."""
        if pattern := self.workload.ready_text():
            return lambda: child.says_in_time(pattern), f"{pattern!r} in its output"
        netns = self.context.testbed.nodes[self.workload.target].fd
        protocol, port = self.workload.control or self.workload.transport(), self.port
        return lambda: listens(netns, child.family(), protocol, port), f"port {port} to listen"

    def _start_external_client(self, lasting_ns: int) -> None:
        """Start it, and wait for its traffic where it says that has begun. Raises PollbenchError.

        While it warms up, each socket it opens is treated; afterwards the machine is left alone. By then its sockets
        have seen packets, and know their NAPI; once it has ended, nobody can ask them.
        """
        self._start_client(lasting_ns)
        child, pattern = self.programs["client"], self.workload.begun_text()
        assert isinstance(child, ExternalProcess)
        others = self.context.others(child)

        def begun() -> bool:
            # Its sockets may be there before: those that are set only now miss their first packets.
            self.sweep()
            return child.says(pattern)

        if pattern:
            child.wait_until(begun, f"{pattern!r} in its output", _SLACK_S, others)
        until = time.monotonic() + self.workload.ramp_ns(measured=not self.label) / 1e9
        while True:
            self.sweep()
            self._look_at("client")
            self._socket_options("client").look_again(only_unknown=True)
            left_s = until - time.monotonic()
            if left_s <= 0 or child.wait(time.monotonic() + min(left_s, _LOOK_S), others):
                return

    def _look_at(self, role: Role) -> None:
        """Read the scheduling of a program back from outside, while it lives."""
        with contextlib.suppress(ProcessLookupError):
            self._readbacks[role] = apply.scheduling_of(self.programs[role].pid)

    def _finish_native(self) -> Reading:
        child = self.programs["client"]
        assert isinstance(child, NativeProcess) and self._log is not None
        child.send("finish")
        result = child.expect("result", _SLACK_S + self.workload.life_ns() / 1e9)
        self.context.dismiss(child)
        self.reports["client"] = result
        measured = not self.label or self.workload.measured
        return Reading(result, {}, read_samples(self._log.fd) if measured else None)

    def _finish_external(self) -> Reading:
        child = self.programs["client"]
        assert isinstance(child, ExternalProcess) and self._log is not None
        if self.label:
            child.stop(getattr(signal, self.workload.stop_name("client")), _SLACK_S)
        self.context.dismiss(child)
        server = self.programs.get("server")
        if self.workload.server_tells() and isinstance(server, ExternalProcess):
            # The window is over: what it says at its end counts.
            self.context.dismiss(server)
            server.stop(getattr(signal, self.workload.stop_name("server")))
        elapsed_ns = round((time.monotonic() - self._began_s) * 1e9)
        printed, served, log = child.output(), self._server_output(), self._log.text()
        try:
            output = ProgramOutput(printed, served, log, elapsed_ns, self._timed(), last_match, count)
            reading = self.workload.read(output)
        except ValueError as error:
            # A background workload without figures casts doubt on the run; a measured one is no measurement.
            what = f"the {child.label} ({self.workload.kind})"
            if not self.label:
                raise PollbenchError("read the output", what, str(error), child.said()) from error
            reading = Reading({"unread": f"{what}: {error}"})
        self.reports["client"] = dict(reading.result)
        return reading

    def _timed(self) -> Any:
        """Its requests, if the packets tell them. ValueError."""
        if self.passed is None or not self.workload.is_timed_on_wire():
            return None
        timed = exchanges(self.passed, self.workload.transport())
        self.doubts += timed.doubts
        return timed.samples

    def _server_output(self) -> str:
        if self._far_server_output is not None:
            return self._far_server_output
        server = self.programs.get("server")
        return server.output() if isinstance(server, ExternalProcess) else ""
