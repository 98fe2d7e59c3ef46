"""Starts the child that reads a topology file, and turns what it tells into a graph or an InputError."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

from harness.errors import InputError
from harness.mininet.graph import Graph, Refused, TopoRequest
from harness.mininet.interpreter import alone, isolated, needed

_PATIENCE_S = 60.0
_MOST_BYTES = 4 << 30
_ROOT = Path(__file__).parents[1]
_KEEPER = _ROOT / "kernel" / "keeper.py"
_LATE = 124  # the keeper's word for a program whose time was over


def load_graph(request: TopoRequest, where: str, *, rehearsed: bool = True, patience_s: float = _PATIENCE_S) -> Graph:
    """The graph of the Topo that is asked for, built in a process of its own. Raises InputError.

    A topology file is somebody's program: it may print, exit, hang, start others, or change the interpreter it runs in.
    It has `patience_s` and 4 GiB, the rights of nobody and no network, and whatever it started ends with it. where: the
    place of the name in the experiment file, for errors that have no place in the topology file. rehearsed: try host
    classes of the user's own, and tell what they would do.
    """
    action = f"read topology {request.name}"
    question = json.dumps({"topo": asdict(request), "rehearsed": rehearsed}).encode()
    # Files, not pipes: one that it started and that outlives it would hold a pipe open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as printed:
        python = isolated("harness.mininet.child", str(out.fileno()))
        readable = [*needed(), os.path.join(request.directory, request.name.partition(":")[0])]
        limits = [f"{patience_s:g}", str(_MOST_BYTES), "apart", *filter(os.path.exists, readable)]
        with subprocess.Popen(
            [*alone(_KEEPER, *limits, "--"), *python.argv],
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=subprocess.STDOUT,
            pass_fds=[out.fileno()],
            env=python.environment,
            start_new_session=True,
        ) as child:
            try:
                child.communicate(question)
            finally:
                child.terminate()
                child.wait()  # which Popen would not, after a Ctrl-C
        out.seek(0)
        reply = out.read()
        printed.seek(0)
        text = printed.read()
    if child.returncode == _LATE:
        raise InputError(action, got=f"still building after {patience_s:g} s", where=where)
    try:
        answer = json.loads(reply)
    except ValueError:
        got = f"its process ended with status {child.returncode} before the topology was built"
        raise InputError(action, got=with_last_line(got, text), where=where) from None
    if "error" in answer:
        error = Refused(**answer["error"])
        # What a parser of arguments has printed says why it ended the program.
        got = with_last_line(error.got, text) if "sys.exit" in error.got else error.got
        raise InputError(action, got=got, todo=error.todo, where=error.where or where)
    return Graph.of_answer(answer)


def with_last_line(got: str, printed: bytes) -> str:
    """What came back, and the last line that a program printed, for a message."""
    return ": ".join([got, *printed.decode(errors="replace").strip().splitlines()[-1:]])[:400]
