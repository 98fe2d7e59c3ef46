"""Starts the child that reads a topology file, and turns what it tells into a graph or an InputError."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness.errors import InputError

Graph = dict[str, Any]

_PATIENCE_S = 60.0


def load_graph(name: str, directory: str, args: Any, where: str, *, rehearsed: bool = True) -> Graph:
    """The graph that `name` means (see find.make_topo), built in a process of its own. Raises InputError.

    A topology file is somebody's program: it may print, exit, hang, or change the interpreter it runs in. directory:
    what a file's name is relative to. args: keyword arguments (a mapping) or positional ones (a list). where: the place
    of the name in the experiment file, for errors that have no place in the topology file. rehearsed: try host classes
    of the user's own, and tell what they would do.
    """
    keywords, positional = (args, []) if isinstance(args, dict) else ({}, list(args or []))
    request: Graph = {"name": name, "directory": directory, "args": positional, "keywords": keywords}
    request["rehearsed"] = rehearsed
    with tempfile.TemporaryFile() as out:
        command = [sys.executable, "-P", "-m", "harness.mininet.child", str(out.fileno())]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[out.fileno()],
            env=child_environment(),
            start_new_session=True,
        ) as child:
            told = _told(child, json.dumps(request).encode(), name, where)
        out.seek(0)
        reply = out.read()
    try:
        graph: Graph = json.loads(reply)
    except ValueError:
        last = told.decode(errors="replace").strip().splitlines()[-1:]
        got = f"its process ended with status {child.returncode} before the topology was built"
        raise InputError(f"read topology {name}", got=": ".join([got, *last])[:400], where=where) from None
    if "error" in graph:
        said = graph["error"]
        raise InputError(
            f"read topology {name}", got=said["got"], todo=said["todo"], where=said["where"] or where
        )
    return graph


def child_environment() -> dict[str, str]:
    """This process's environment, with our package on the path wherever it was found."""
    root = str(Path(__file__).resolve().parents[2])
    others = os.environ.get("PYTHONPATH", "")
    return os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{others}" if others else root}


def _told(child: subprocess.Popen[bytes], request: bytes, name: str, where: str) -> bytes:
    """What the file printed; the child is over, or ended, after this."""
    try:
        told, _ = child.communicate(request, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        got = f"still building after {_PATIENCE_S:g} s"
        raise InputError(f"read topology {name}", got=got, where=where) from None
    return told
