"""Reads the trace files that links name into the sections that name them, so that plans and guests have them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from harness.errors import InputError
from harness.spec.trace_file import MAX_BYTES, TraceError, packed, parse_trace
from harness.spec.yaml_tree import Tree, tree_of
from harness.store.regular import read_input

_DIRECTIONS = ("shape", "forward", "reverse")
_DATA = "trace_data"


def with_traces(section: Tree) -> Tree:
    """A topology section in which every link that names a trace file has what it holds.

    A path leads from the file that names it. InputError for a file that is not there, or is no trace.
    """
    links = section.child("links")
    if links is None or not isinstance(links.value, tuple):
        return section
    made = tuple(map(_link, links.value))
    if all(new is old for new, old in zip(made, links.value, strict=True)):
        return section
    return section.updated({"links": replace(links, value=made)})


def _link(link: Tree) -> Tree:
    """The link, itself where it names no trace that is still to be read."""
    for direction in _DIRECTIONS:
        shape = link.child(direction)
        changes = shape.child("changes") if shape is not None else None
        trace = changes.child("trace") if changes is not None else None
        if shape is None or changes is None or trace is None or not isinstance(trace.value, str):
            continue
        if changes.child(_DATA) is None:
            filled = changes.updated({_DATA: tree_of(_read(trace.value, trace.at), trace.at)})
            link = link.updated({direction: shape.updated({"changes": filled})})
    return link


def _read(name: str, at: str) -> str:
    """The packed text of a trace file. at: where it is named."""
    home = Path(at.rsplit(":", 2)[0]).parent if at.count(":") >= 2 else Path()
    path = os.path.normpath(home / name)
    try:
        data = read_input(path, MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        got = f"{path}: {getattr(error, 'strerror', None) or error}"
        raise InputError("read a trace", got=got, todo="a path leads from the file that names it", where=at) from None
    if len(data) > MAX_BYTES:
        raise InputError("read a trace", got=f"{path} has more than {MAX_BYTES >> 20} MiB", where=at)
    try:
        text = data.decode("utf-8-sig")
        parse_trace(text)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError("read a trace", got="not UTF-8 text", where=f"{path}:{line}:1") from None
    except TraceError as error:
        raise InputError("read a trace", got=str(error), where=f"{path}:{error.line}:{error.column}") from None
    return packed(text)
