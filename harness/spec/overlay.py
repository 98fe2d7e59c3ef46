"""Laying one part of an experiment over another: deep merge, dotted keys, and "*" in settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from harness.errors import InputError
from harness.spec.messages import did_you_mean
from harness.spec.yaml_tree import Tree, kind_of

MAX_PARTS = 12  # no key of an experiment lies deeper
_KEY_PART = re.compile(r'"([^"]*)"|([^."]+)')


def merge(base: Tree | None, over: Tree) -> Tree:
    """`over` laid over `base`: mappings key by key, anything else replaced; unchanged parts are shared.

    A mapping whose keys are all numbers, laid over a list, changes the entries of those numbers.
    """
    if base is None or over.whole or not isinstance(over.value, dict):
        return over
    if isinstance(base.value, tuple) and over.value and all(key.isdecimal() for key in over.value):
        return replace(base, value=_merge_entries(base, over.value))
    if not isinstance(base.value, dict):
        return over
    merged = dict(base.value)
    for key, child in over.value.items():
        merged[key] = merge(merged.get(key), child)
    return replace(base, value=merged)


def merge_cell(base: Tree, over: Tree) -> Tree:
    """merge() for a whole cell: `settings."*"` of a later layer reaches nodes that an earlier one names."""
    star, nodes = find(over, ["settings", "*"]), base.child("settings")
    if star is not None and star.entries and nodes is not None and nodes.entries:
        reached = {
            name: replace(star, value={knob: star.entries[knob] for knob in node.entries if knob in star.entries})
            for name, node in nodes.entries.items()
            if name != "*" and isinstance(node.value, dict)
        }
        layer = replace(nodes, value=reached)
        base = merge(base, Tree({"settings": layer}, over.at, over.key_at))
    return merge(base, over)


def split_key(key: str, at: str) -> list[str]:
    """The parts of a dotted key; a part with a dot in it stands in double quotes."""
    parts = [match[1] if match[1] is not None else match[2] for match in _KEY_PART.finditer(key)]
    spelled = ".".join(match[0] for match in _KEY_PART.finditer(key))
    if not 0 < len(parts) <= MAX_PARTS or spelled != key or not all(parts):
        raise InputError(f'"{key[:80]}" is not a dotted key', todo='expected e.g. "contention.load"', where=at)
    return parts


def known_key(key: str, at: str, sections: Sequence[str]) -> list[str]:
    """The parts of a dotted key that begins with one of `sections`. InputError if it does not."""
    parts = split_key(key, at)
    if parts[0] not in sections:
        todo = did_you_mean(parts[0], sections, "keys start with")
        raise InputError(f'there is no key "{key[:80]}" to set', todo=todo, where=at)
    return parts


def overlay_of(key: str, value: Tree, key_at: str) -> Tree:
    """The overlay that sets one dotted key: a.b = v becomes {a: {b: v}}; new levels stand at `key_at`."""
    tree = replace(value, key_at=key_at)
    for part in reversed(split_key(key, key_at)):
        tree = Tree({part: tree}, key_at, key_at)
    return tree


def at_layer(tree: Tree, layer: int) -> Tree:
    """The same tree, every value marked as coming from `layer`."""
    value = tree.value
    if isinstance(value, dict):
        value = {key: at_layer(child, layer) for key, child in value.items()}
    elif isinstance(value, tuple):
        value = tuple(at_layer(child, layer) for child in value)
    return replace(tree, value=value, layer=layer)


def find(tree: Tree, parts: list[str]) -> Tree | None:
    """What stands at a dotted key, list entries by number; None if there is nothing."""
    current: Tree | None = tree
    for part in parts:
        current = current.child(part) if current is not None else None
    return current


def _merge_entries(base: Tree, changes: dict[str, Tree]) -> tuple[Tree, ...]:
    entries = list(base.value) if isinstance(base.value, tuple) else []
    for number, change in changes.items():
        index = int(number) if len(number) < 6 else len(entries)
        if index >= len(entries):
            got = f"{kind_of(base.value)} of {len(entries)}, numbered from 0"
            raise InputError(f"there is no entry {number[:20]}", got=got, where=change.key_at)
        entries[index] = merge(entries[index], change)
    return tuple(entries)
