"""Plays one workload: its server and client started, led through ready, warm, go and done, and read."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness import loadgen
from harness.errors import MissingError, PollbenchError
from harness.kernel.memfile import MemoryFile
from harness.kernel.processes import listens
from harness.loadgen.samples import read as read_samples
from harness.run import knobs as apply
from harness.run.context import Stage
from harness.run.external_process import Foreign
from harness.run.knobs import Row
from harness.run.process import Child, Program, launch_options
from harness.run.socket_options import Injector
from harness.workloads import ProgramOutput, Reading, Role, Scene, Workload

_SLACK_S = 10.0
_LOOK_S = 0.01


class Player:
    """One workload. `label` leads the names of its programs and files; "" for the measured one.

    Of a run on two hosts each has a player of the workload, which plays the roles whose nodes are there.
    """

    def __init__(self, stage: Stage, workload: Workload, label: str = "") -> None:
        self.stage, self.workload, self.label = stage, workload, label
        self.port = workload.fixed_port()
        self.programs: dict[Role, Child] = {}
        self.reports: dict[str, dict[str, Any]] = {}
        self._readbacks: dict[str, dict[str, Any]] = {}
        self._log: MemoryFile | None = None
        self._began_s = 0.0
        self._lasting_ns = 0
        self._server_said_there: str | None = None

    def plays(self, role: Role) -> bool:
        """Is the role's node here?"""
        return self.stage.holds(self.workload.node_of(role))

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
        if isinstance(child, Program):
            self.port = child.expect("ready", _SLACK_S)["port"]
        elif isinstance(child, Foreign):
            child.wait_until(self._is_ready(child), self._what(), _SLACK_S, self.stage.others(child))
            self._look_at("server")
        self.sweep()

    def prepare(self, lasting_ns: int = 0) -> None:
        """Bring the client to where the measured window can begin; a measured foreign one is not even started.

        lasting_ns: how long the measured workload goes on, and with it those in the background, whatever their own
        duration and count.
        """
        self._lasting_ns = lasting_ns if self.label else 0
        if not self.plays("client"):
            return
        if self.is_native("client"):
            self._start_client(self._lasting_ns)
            child = self.programs["client"]
            assert isinstance(child, Program)
            limit_s = (self.workload.warmup_ns + self.workload.allowance_ns()) / 1e9
            child.expect("warm", limit_s, self.stage.others(child))
        elif self.label:
            self._start_client(self.stage.background_ns(lasting_ns))
            self._await_traffic()
            self._ramp()
        self.sweep()

    def begin(self) -> None:
        """Open the measured window."""
        self._began_s = time.monotonic()
        child = self.programs.get("client")
        if not self.plays("client"):
            return
        if isinstance(child, Program):
            child.send("go")
        elif child is None:
            self._start_client(0)
            self._await_traffic()
            self._ramp()

    def wait_done(self) -> None:
        """Wait until the measured window is over. Raises PollbenchError when any program of the run ends in it."""
        if not self.plays("client"):
            return
        child, limit_s = self.programs["client"], self.window_s()
        if isinstance(child, Program):
            child.expect("done", limit_s, self.stage.others(child))
        elif isinstance(child, Foreign) and not self.label:
            child.wait_end(limit_s, self.stage.others(child))
            self.stage.dismiss(child)

    def window_s(self) -> float:
        """How long the window may take at most."""
        life_ns = self._lasting_ns or self.workload.life_ns()
        return (life_ns + self.workload.allowance_ns()) / 1e9

    def hand_over(self) -> dict[str, Any]:
        """What the workload's player on the other host needs to know."""
        return {"port": self.port, "said": self._server_output()} if "server" in self.programs else {}

    def take_over(self, told: Mapping[str, Any]) -> None:
        """What it needs to know, from there."""
        if told:
            self.port, self._server_said_there = int(told["port"]), str(told["said"])

    def finish(self) -> Reading:
        """Let the client report and end, and read what it says. Raises PollbenchError."""
        for injector in self._injectors():
            injector.look_again()
        if not self.plays("client"):
            return Reading({})
        return self._finish_native() if self.is_native("client") else self._finish_foreign()

    def finish_server(self) -> None:
        """Then the server. Raises PollbenchError."""
        self._finish_server()
        for role in self.programs:
            if not self.is_native(role):
                self.reports.setdefault(role, {})
                self.reports[role]["napi_ids"] = self._injector(role).napi_ids(self.name(role))
                self.reports[role]["unreached"] = not self._injector(role).has_socket(self.name(role))

    def sweep(self) -> None:
        """Apply the nodes' socket settings to whatever foreign programs have opened since the last time."""
        for role, child in self.programs.items():
            if isinstance(child, Foreign):
                family = child.family()
                self.stage.note(family)
                self._injector(role).sweep(self.name(role), family)

    def pids(self) -> dict[str, list[int]]:
        """The processes of each program by its name."""
        return {
            self.name(role): child.family() if isinstance(child, Foreign) else [child.pid]
            for role, child in self.programs.items()
        }

    def waits(self, role: Role) -> str:
        """How a role waits: as the workload says, or as could be seen of a program it says nothing of."""
        seen = "epoll" if self._injector(role).has_epoll(self.name(role)) else ""
        return self.workload.wait_of(role) or seen

    def rows(self) -> list[Row]:
        """The knob rows of both programs' sockets and processes. Raises PollbenchError where one did not take."""
        rows = []
        roles: tuple[Role, ...] = ("server", "client")
        for role in roles:
            if role not in self.programs:
                continue
            node = self.workload.node_of(role)
            knobs = self.stage.spec.settings.get(node, {})
            if self.is_native(role):
                found = apply.program_rows(node, knobs, self.reports.get(role, {}).get("readback", {}))
            else:
                found = apply.program_rows(node, knobs, self._readbacks.get(role, {}), ("process",))
                found += self._injector(role).rows(self.name(role))
            for each in found:
                if self.label and self.is_native(role):
                    each["setting"] += f" ({self.name(role)})"
            rows += found
        return rows

    def files(self) -> dict[str, bytes]:
        """What its programs said."""
        found: dict[str, bytes] = {}
        for child in self.programs.values():
            if isinstance(child, Program | Foreign):
                found |= child.files()
        return found

    # -- inside -------------------------------------------------------------------------------------------

    def _injector(self, role: Role) -> Injector:
        return self.stage.injector(self.workload.node_of(role))

    def _injectors(self) -> list[Injector]:
        return [self._injector(role) for role in self.programs if not self.is_native(role)]

    def _scene(self, role: Role, log: str = "", lasting_ns: int = 0) -> Scene:
        knobs = self.stage.spec.settings.get(self.workload.node_of(role), {})
        options = apply.socket_options(knobs, self.workload.wait_of(role)) if self.is_native(role) else []
        address = self.stage.testbed.address(self.workload.target, seen_from=self.workload.source)
        return Scene(address, self.port, tuple(options), log, lasting_ns)

    def _start(self, role: Role, command: list[str], fds: tuple[int, ...] = ()) -> Child:
        node = self.workload.node_of(role)
        spec, handle = self.stage.spec, self.stage.testbed.nodes[node]
        options = apply.process_options(spec.settings.get(node, {}), spec.launch_cpus(node))
        argv = [str(loadgen.path()), *launch_options(handle.netns_path, options)]
        child: Child
        if self.is_native(role):
            child = Program(self.name(role), [*argv, *command], self.stage.stopper, pass_fds=fds)
        else:
            self._must_exist(role, command[0])
            argv += ["exec", "--", *command]
            child = Foreign(self.name(role), argv, self.stage.stopper, pass_fds=fds)
        self.stage.stack.enter_context(child)
        self.stage.children.append(child)
        self.programs[role] = child
        self.stage.cells.join(node, child.pid)
        if isinstance(child, Foreign):
            self.stage.note([child.pid])
        return child

    def _start_client(self, lasting_ns: int) -> None:
        self._log = self.stage.stack.enter_context(MemoryFile("pollbench-samples"))
        scene = self._scene("client", self._log.path(), lasting_ns)
        self._start("client", self.workload.client(scene), (self._log.fd,))
        self._began_s = time.monotonic()

    def _must_exist(self, role: Role, program: str) -> None:
        if shutil.which(program) is None:
            package = self.workload.packages.get(role, "")
            todo = f"install it: apt install {package}" if package else "install it, or name its path"
            raise MissingError("start", f"the {self.name(role)}", f"there is no program {program}", todo)

    def _is_ready(self, child: Foreign) -> Callable[[], bool]:
        pattern = self.workload.ready_text()
        if pattern:
            return lambda: child.says(pattern)
        netns = self.stage.testbed.nodes[self.workload.target].fd
        protocol, port = self.workload.readiness_protocol(), self.port
        return lambda: listens(netns, child.family(), protocol, port)

    def _what(self) -> str:
        pattern = self.workload.ready_text()
        return f"{pattern!r} in its output" if pattern else f"port {self.port} to listen"

    def _await_traffic(self) -> None:
        """Wait until a foreign client says that its traffic has begun, where it says so. Raises PollbenchError."""
        child, pattern = self.programs["client"], self.workload.begun_text()
        if not pattern or not isinstance(child, Foreign):
            return

        def begun() -> bool:
            # Its sockets may be there before: those that are set only now miss their first packets.
            self.sweep()
            return child.says(pattern)

        child.wait_until(begun, f"{pattern!r} in its output", _SLACK_S, self.stage.others(child))

    def _ramp(self) -> None:
        """While a foreign client warms up, treat each socket it opens; afterwards leave the machine alone.

        By then its sockets have seen packets, and know their NAPI; once it has ended, nobody can ask them.
        """
        child = self.programs["client"]
        until = time.monotonic() + self.workload.ramp_ns(measured=not self.label) / 1e9
        others = self.stage.others(child)
        while True:
            self.sweep()
            self._look_at("client")
            self._injector("client").look_again(only_unknown=True)
            left_s = until - time.monotonic()
            if left_s <= 0 or child.wait(time.monotonic() + min(left_s, _LOOK_S), others):
                return

    def _look_at(self, role: Role) -> None:
        """Read the scheduling of a program back from outside, while it lives."""
        try:
            self._readbacks[role] = apply.scheduling_of(self.programs[role].pid)
        except ProcessLookupError:
            return

    def _finish_native(self) -> Reading:
        child = self.programs["client"]
        assert isinstance(child, Program) and self._log is not None
        child.send("finish")
        result = child.expect("result", _SLACK_S + self.workload.life_ns() / 1e9)
        self.stage.dismiss(child)
        self.reports["client"] = result
        return Reading(result, {}, None if self.label else read_samples(self._log.fd))

    def _finish_foreign(self) -> Reading:
        child = self.programs["client"]
        assert isinstance(child, Foreign) and self._log is not None
        if self.label:
            child.stop(getattr(signal, self.workload.stop_name("client")), _SLACK_S)
        self.stage.dismiss(child)
        elapsed_ns = round((time.monotonic() - self._began_s) * 1e9)
        output = ProgramOutput(child.output(), self._server_output(), self._log.text(), elapsed_ns)
        try:
            reading = self.workload.read(output)
        except ValueError as error:
            reading = self._unreadable(child, error)
        self.reports["client"] = dict(reading.result)
        return reading

    def _unreadable(self, child: Foreign, error: ValueError) -> Reading:
        """A background workload without figures casts doubt on the run; a measured one is no measurement."""
        if self.label:
            return Reading({"unread": f"the {child.label} ({self.workload.kind}): {error}"})
        raise PollbenchError(
            "read the output", f"the {child.label} ({self.workload.kind})", str(error), child.said()
        ) from error

    def _server_output(self) -> str:
        if self._server_said_there is not None:
            return self._server_said_there
        server = self.programs.get("server")
        return server.output() if isinstance(server, Foreign) else ""

    def _finish_server(self) -> None:
        child = self.programs.get("server")
        if child is None:
            return
        self.stage.dismiss(child)
        if isinstance(child, Program):
            self.reports["server"] = child.stop()
        elif isinstance(child, Foreign):
            child.stop(getattr(signal, self.workload.stop_name("server")))


def usage_of(child: Child) -> dict[str, int]:
    """What a program that has ended used in its whole life, in the members of our generator's `usage`."""
    used = child.usage
    if used is None:
        return {"cpu_ns": 0, "user_ns": 0, "system_ns": 0, "voluntary": 0, "involuntary": 0}
    user_ns, system_ns = round(used.ru_utime * 1e9), round(used.ru_stime * 1e9)
    return {
        "cpu_ns": user_ns + system_ns,
        "user_ns": user_ns,
        "system_ns": system_ns,
        "voluntary": used.ru_nvcsw,
        "involuntary": used.ru_nivcsw,
    }


def own_pids(players: Sequence[Player], extra: Sequence[int] = ()) -> set[int]:
    """Every process that is the run's own."""
    return {pid for player in players for family in player.pids().values() for pid in family} | {
        *extra,
        os.getpid(),
    }
