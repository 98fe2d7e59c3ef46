"""Starts the child that reads a topology file, and turns what it tells into a graph or an InputError."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import asdict

from harness.errors import InputError
from harness.mininet.graph import Graph, Refused, TopoRequest
from harness.mininet.interpreter import isolated

_PATIENCE_S = 60.0


def load_graph(request: TopoRequest, where: str, *, rehearsed: bool = True) -> Graph:
    """The graph of the Topo that is asked for, built in a process of its own. Raises InputError.

    A topology file is somebody's program: it may print, exit, hang, or change the interpreter it runs in. where: the
    place of the name in the experiment file, for errors that have no place in the topology file. rehearsed: try host
    classes of the user's own, and tell what they would do.
    """
    action = f"read topology {request.name}"
    question = json.dumps({"topo": asdict(request), "rehearsed": rehearsed}).encode()
    with tempfile.TemporaryFile() as out:
        python = isolated("harness.mininet.child", str(out.fileno()))
        try:
            child = subprocess.run(
                python.argv,
                input=question,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[out.fileno()],
                env=python.environment,
                start_new_session=True,
                timeout=_PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InputError(action, got=f"still building after {_PATIENCE_S:g} s", where=where) from None
        out.seek(0)
        reply = out.read()
    try:
        answer = json.loads(reply)
    except ValueError:
        got = f"its process ended with status {child.returncode} before the topology was built"
        raise InputError(action, got=with_last_line(got, child.stdout), where=where) from None
    if "error" in answer:
        error = Refused(**answer["error"])
        raise InputError(action, got=error.got, todo=error.todo, where=error.where or where)
    return Graph.of_answer(answer)


def with_last_line(got: str, printed: bytes) -> str:
    """What came back, and the last line that a program printed, for a message."""
    return ": ".join([got, *printed.decode(errors="replace").strip().splitlines()[-1:]])[:400]
