"""Reads the files that links name into the sections that name them, so that plans and guests have them."""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from dataclasses import replace
from pathlib import Path

from harness.errors import InputError
from harness.spec.delay_table import NAMES as DISTRIBUTIONS
from harness.spec.delay_table import parse_table
from harness.spec.messages import Mistakes
from harness.spec.routing import DAEMONS
from harness.spec.trace_file import MAX_BYTES, TraceError, packed, parse_trace
from harness.spec.yaml_tree import Tree, tree_of
from harness.store.regular import read_input

_DIRECTIONS = ("shape", "forward", "reverse")
# A distribution of one value, and a trace of one opportunity.
_HARMLESS = "1"
_CALLED = {"bird": "a configuration of BIRD", "frr": "a configuration of FRR"}


def with_traces(section: Tree, mistakes: Mistakes) -> Tree:
    """A topology section in which every link that names a file (a trace, a distribution) has what that holds.

    A path leads from the file that names it. mistakes: gets a file that is not there, or is none; something harmless
    stands for it, so that the rest of the section can be checked too.
    """
    nodes, links = section.child("nodes"), section.child("links")
    if nodes is not None and (changed := _nodes(nodes, mistakes)):
        section = section.updated({"nodes": nodes.updated(changed)})
    if links is None or not isinstance(links.value, tuple):
        return section
    made = tuple(_link(link, mistakes) for link in links.value)
    if all(new is old for new, old in zip(made, links.value, strict=True)):
        return section
    return section.updated({"links": replace(links, value=made)})


def _nodes(nodes: Tree, mistakes: Mistakes) -> dict[str, Tree]:
    """The nodes whose routing daemon has its configuration in a file, with what that holds."""
    changed = {}
    for name, node in nodes.entries.items():
        routing = node.child("routing")
        if routing is None:
            continue
        filled = routing
        for daemon in DAEMONS:
            named = routing.child(daemon)
            # A text of several lines is what a file would hold.
            if named is None or not isinstance(named.value, str) or "\n" not in named.value:
                filled = _filled(filled, daemon, _is_text, mistakes)
        if filled is not routing:
            changed[name] = node.updated({"routing": filled})
    return changed


def _is_text(text: str) -> None:
    """Any text may be a configuration: the daemon itself says what is wrong with one."""


def _link(link: Tree, mistakes: Mistakes) -> Tree:
    """The link, itself where it names no file that is still to be read."""
    for direction in _DIRECTIONS:
        shape = link.child(direction)
        if shape is None:
            continue
        changes = shape.child("changes")
        filled = _filled(shape, "distribution", parse_table, mistakes, DISTRIBUTIONS)
        traced = _filled(changes, "trace", parse_trace, mistakes) if changes is not None else changes
        if traced is not None and traced is not changes:
            filled = filled.updated({"changes": traced})
        if filled is not shape:
            link = link.updated({direction: filled})
    return link


def _filled(
    section: Tree, key: str, parse: Callable[[str], object], mistakes: Mistakes, known: Container[str] = ()
) -> Tree:
    """The section with what the file holds that `key` names, itself where that is no file, or has been read."""
    name, data = section.child(key), f"{key}_data"
    if name is None or not isinstance(name.value, str) or name.value in known or section.child(data) is not None:
        return section
    text = packed(_HARMLESS)
    with mistakes.noting():
        text = _read(name.value, name.at, key, parse)
    return section.updated({data: tree_of(text, name.at)})


def _read(name: str, at: str, key: str, parse: Callable[[str], object]) -> str:
    """The packed text of a file. at: where it is named; key: as what; parse: raises TraceError where it is not that."""
    attempted = f"read {_CALLED.get(key, f'a {key}')}"
    todo = "a path leads from the file that names it"
    todo += f"; or one of {', '.join(DISTRIBUTIONS)}" if key == "distribution" else ""
    if not name:
        raise InputError(attempted, got="its name is empty", todo=todo, where=at)
    home = Path(at.rsplit(":", 2)[0]).parent if at.count(":") >= 2 else Path()
    path = os.path.normpath(home / name)
    try:
        data = read_input(path, MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        got = f"{path}: {getattr(error, 'strerror', None) or error}"
        raise InputError(attempted, got=got, todo=todo, where=at) from None
    if len(data) > MAX_BYTES:
        raise InputError(attempted, got=f"{path} has more than {MAX_BYTES >> 20} MiB", where=at)
    try:
        text = data.decode("utf-8-sig")
        parse(text)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(attempted, got="not UTF-8 text", where=f"{path}:{line}:1") from None
    except TraceError as error:
        raise InputError(attempted, got=str(error), where=f"{path}:{error.line}:{error.column}") from None
    return packed(text)
