"""`pollbench up`, `down` and `enter`: a testbed held open by a process of its own, to look around in."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.cli.plan import overrides_of
from harness.cli.terminal import need_root, say
from harness.errors import EXIT_NOT_VALID, EXIT_OK, InputError, Interrupted, MissingError, PollbenchError
from harness.kernel import hostnames, journal
from harness.kernel.journals import STATE_DIR
from harness.kernel.netns import in_netns
from harness.mininet.interpreter import isolated
from harness.signals import stop_on_signals
from harness.spec.messages import did_you_mean
from harness.spec.toponame import load_topology
from harness.testbed import Testbed, addressing, detached, open_testbed
from harness.testbed.openvswitch import variables_of
from harness.testbed.reach import Reach, ping_all

_LOOK_S = 0.2


@dataclass(frozen=True)
class TestbedReport:
    """What the process that holds a testbed says of it, as one JSON line.

    first: a node to enter; reach: who answered whose ping, with --pingall; complete: whether everybody did.
    error, code: why there is no testbed, in words and as an exit code.
    """

    nodes: int = 0
    links: int = 0
    first: str = ""
    reach: str = ""
    complete: bool = True
    error: str = ""
    code: int = EXIT_OK


def up(arguments: argparse.Namespace) -> int:
    """Build a testbed in a process that stays, and say how to get in."""
    if arguments.hold is not None:
        return _hold(arguments)
    need_root("hold a testbed open")
    name = arguments.name or _name_of(arguments.file)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise InputError("hold a testbed open", got=f'"{name}" cannot be its name', todo="give a --name")
    begun = time.monotonic()
    with _holder(arguments, name) as built:
        if built.error:
            say(f"pollbench: {built.error}")
            return built.code
        took_s = time.monotonic() - begun
        print(f"{name}: {built.nodes} nodes, {built.links} links, up after {took_s:.2f} s")
        print(f"enter a node: sudo pollbench enter {built.first}    take it down: sudo pollbench down {name}")
        if built.reach:
            print("\n" + built.reach)
        return EXIT_OK if built.complete else EXIT_NOT_VALID


def _name_of(file: str) -> str:
    source, _, rest = file.partition(":")
    return Path(source).stem if source.endswith((".py", ".yaml", ".yml")) else source.split(",")[0] or rest


@contextlib.contextmanager
def _holder(arguments: argparse.Namespace, name: str) -> Iterator[TestbedReport]:
    """The process that holds the testbed, started: what it says once that is built. It ends where the block breaks."""
    reader, writer = os.pipe()
    words = ["up", arguments.file, "--name", name, "--hold", str(writer)]
    words += [f"--set={override}" for override in arguments.set]
    words += [f"--case={arguments.case}"] if arguments.case else []
    words += ["--napi"] if arguments.napi else []
    words += ["--pingall"] if arguments.pingall else []
    words += ["--", *arguments.words] if arguments.words else []
    python = isolated("harness", *words)
    null = subprocess.DEVNULL
    with open(reader, "rb") as pipe:
        try:
            holder = subprocess.Popen(
                python.argv,
                stdin=null,
                stdout=null,
                stderr=null,
                pass_fds=[writer],
                start_new_session=True,
                env=python.environment,
            )
        finally:
            os.close(writer)
        try:
            line = pipe.readline()
            if not line:
                todo = "see: pollbench doctor"
                raise PollbenchError("hold a testbed open", got="its process ended at once", todo=todo)
            yield TestbedReport(**json.loads(line))
        except BaseException:
            # It has a session of its own, which the signal has not reached; it takes down what it has built so far.
            holder.terminate()
            raise


def _hold(arguments: argparse.Namespace) -> int:
    """In the process that stays: build, report on the descriptor, wait to be told to stop."""
    with open(arguments.hold, "w", encoding="utf-8") as pipe:
        try:
            # Nothing is held yet: until then a signal simply ends us.
            topology = load_topology(arguments.file, overrides_of(arguments.set), arguments.case, arguments.words)
            with (
                stop_on_signals() as stopper,
                journal.open_journal() as notes,
                open_testbed(topology, napi=arguments.napi, journal=notes) as testbed,
                detached.announced(testbed, arguments.name, arguments.file, notes),
            ):
                pipe.write(json.dumps(asdict(_report(testbed, arguments.pingall))) + "\n")
                pipe.close()
                while True:
                    stopper.pause(_LOOK_S)
        except Interrupted:
            return EXIT_OK
        except PollbenchError as error:
            if pipe.closed:
                return error.exit_code
            pipe.write(json.dumps(asdict(TestbedReport(error=error.line(), code=error.exit_code))) + "\n")
            return error.exit_code


def _report(testbed: Testbed, pingall: bool) -> TestbedReport:
    topology = testbed.layout.topology
    first = next(iter(topology.hosts()), next(iter(topology.nodes)))
    reach = ping_all(testbed) if pingall else None
    words, complete = (reach_words(reach), not reach.unreached) if reach else ("", True)
    return TestbedReport(len(topology.nodes), len(topology.links), first, words, complete)


def reach_words(reach: Reach) -> str:
    """As Mininet prints it: a line per host, X for who did not answer."""
    missing = set(reach.unreached)
    lines = [
        f"{host} -> " + " ".join("X" if (host, other) in missing else other for other in reach.hosts if other != host)
        for host in reach.hosts
    ]
    got, asked = reach.asked - len(missing), reach.asked
    share = 100 * len(missing) / asked if asked else 0
    return "\n".join([*lines, f"*** Results: {share:.0f}% dropped ({got}/{asked} received)"])


def down(arguments: argparse.Namespace) -> int:
    """Take a held testbed down."""
    need_root("take down a testbed")
    if arguments.name and arguments.called:
        raise InputError("take down a testbed", got="it is named twice", todo="leave --name out", where="--name")
    testbed = detached.chosen(arguments.name or arguments.called)
    detached.end(testbed)
    print(f"{testbed.name}: down")
    return EXIT_OK


def enter(arguments: argparse.Namespace) -> int:
    """Become a shell, or another program, in a node's namespace."""
    need_root("enter a node")
    testbed = detached.chosen(arguments.name)
    if arguments.node not in testbed.nodes:
        todo = did_you_mean(arguments.node, testbed.nodes, "nodes")
        raise InputError("enter a node", on=testbed.name, got=f'there is no node "{arguments.node}"', todo=todo)
    program = arguments.program[1:] if arguments.program[:1] == ["--"] else arguments.program
    if not program:
        shell = os.environ.get("SHELL") or "/bin/sh"
        program = [shell, *(["--norc"] if os.path.basename(shell) == "bash" else [])]
    environment = os.environ | {"PS1": f"{arguments.node}# ", "POLLBENCH_NODE": arguments.node}
    environment |= variables_of(testbed.token)
    try:
        hostnames.know(addressing.hosts_file(testbed.addresses, arguments.node), STATE_DIR)
    except OSError as error:
        say(f"pollbench: the names of the nodes are not known in there: {error}")
    with in_netns(testbed.nodes[arguments.node]):
        try:
            os.execvpe(program[0], program, environment)
        except FileNotFoundError:
            raise MissingError("start", on=arguments.node, got=f"there is no program {program[0]}") from None
