"""YAML bytes to data in which every value knows its file:line:column; nothing in a file is ever executed.

YAML 1.2 core scalars only, so that `on`, `off`, `yes` and `1:30` stay text. Read event by event,
under limits of size, depth and number of values, so that no file can hang or crash the reader.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from harness.errors import InputError
from harness.store.regular import read_input
from harness.units import INT64_MAX

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_VALUES = 50_000

Scalar = str | int | float | bool | None
# A mapping as YAML and JSON have it, of whatever depth its file gives it.
Document = dict[str, Any]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = "tag:yaml.org,2002:"
_TAGS: dict[str, tuple[type, ...]] = {
    _CORE + name: types
    for name, types in (("int", (int,)), ("float", (int, float)), ("bool", (bool,)), ("null", (type(None),)))
}
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, Scalar] = {
    form: value
    for word, value in (("", None), ("~", None), ("null", None), ("true", True), ("false", False))
    for form in (word, word.title(), word.upper())
}


@dataclass(frozen=True, slots=True)
class Tree:
    """One value of a YAML document and where it stands.

    at: place of the value, "file:line:column" or the command-line option it came by; key_at: place of its key
    (of the value itself, where it has no key). whole: laid over another value, it takes that one's place
    entirely. layer: 0 for the file, more for what is laid over it. size: how many values it holds; depth: how
    many levels; both count the value itself.
    """

    value: Scalar | dict[str, Tree] | tuple[Tree, ...]
    at: str
    key_at: str
    whole: bool = False
    layer: int = 0
    size: int = 1
    depth: int = 1

    def plain(self) -> Any:
        """The value as plain dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, tuple):
            return [child.plain() for child in self.value]
        return self.value

    @property
    def entries(self) -> dict[str, Tree]:
        """The entries of a mapping; none of anything else."""
        return self.value if isinstance(self.value, dict) else {}

    def updated(self, entries: dict[str, Tree]) -> Tree:
        """A mapping with these entries added, or in the place of those it has."""
        return replace(self, value=self.entries | entries)

    def child(self, key: str | int) -> Tree | None:
        """The entry of a mapping, or of a list by its number; None where there is none."""
        if isinstance(self.value, dict):
            return self.value.get(str(key))
        if isinstance(self.value, tuple) and str(key).isdecimal() and int(key) < len(self.value):
            return self.value[int(key)]
        return None


def tree_of(data: Any, at: str) -> Tree:
    """Plain data as a Tree whose every value stands at `at`."""
    value: Any = data
    if isinstance(data, dict):
        value = {str(key): tree_of(child, at) for key, child in data.items()}
    elif isinstance(data, (list, tuple)):
        value = tuple(tree_of(child, at) for child in data)
    return Tree(value, at, at)


def read_file(path: str | Path) -> tuple[bytes, Tree]:
    """(the file's bytes, its one document, a mapping). InputError on anything else."""
    data = _read_bytes(Path(path))
    tree = parse(data, str(path))
    if not isinstance(tree.value, dict):
        raise _bad(tree.at, f"the file is {kind_of(tree.value)}", 'expected "key: value" lines')
    return data, tree


def parse(data: bytes, name: str) -> Tree:
    """The one document in `data`; `name` is what errors call the file. InputError if it is not clean YAML."""
    text = _decode(data, name)
    events = yaml.parse(text, Loader=_LOADER)
    reader, tree = _Reader(name, events), None
    try:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and tree is not None:
                at = _place(name, event.start_mark)
                raise _bad(at, "a second document starts here", 'expected one document, no "---" after it')
            if isinstance(event, yaml.NodeEvent):
                tree = reader.value(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _bad(_place(name, mark) if mark else name, *_syntax(error, mark, text)) from None
    except yaml.YAMLError as error:
        raise _bad(f"{name}:1:1", str(error).splitlines()[0]) from None
    if tree is None:
        raise _empty(name)
    return tree


def parse_setting(key: str, text: str) -> Tree:
    """The value of `--set KEY=TEXT` by the same rules; every part of it stands at this option."""
    option = f"--set {key}={text}"[:120]
    try:
        tree = parse(text.encode("utf-8", "surrogatepass"), option) if text.strip() else tree_of(None, option)
    except InputError as error:
        raise InputError(error.attempted, error.on, error.got, error.todo, where=option) from None
    return tree_of(tree.plain(), option)


def kind_of(value: object) -> str:
    """What a value is, in words for an error message."""
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, (list, tuple)) else "a single value"


def _read_bytes(path: Path) -> bytes:
    try:
        data = read_input(path, MAX_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable(path, "no such file") from None
    except IsADirectoryError:
        raise _unreadable(path, "a directory", "name a YAML file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unreadable(path, getattr(error, "strerror", None) or str(error)) from None
    if len(data) > MAX_BYTES:
        raise _unreadable(path, f"over {MAX_BYTES >> 20} MiB", "an experiment file is a few kB")
    return data


def _decode(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad_byte(data, error.start, "not UTF-8 text", name) from None
    control = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]", text)
    if control:
        raise _bad_byte(data, len(text[: control.start()].encode()), "not text (a control character)", name)
    if not text.strip():
        raise _empty(name)
    return text


def _bad_byte(data: bytes, offset: int, problem: str, name: str) -> InputError:
    before = data[:offset].split(b"\n")
    return _bad(f"{name}:{len(before)}:{len(before[-1]) + 1}", problem, "expected a YAML file in UTF-8")


class _Reader:
    """Makes Trees of the parser's events, of which it takes as many as a value has."""

    def __init__(self, name: str, events: Iterator[Any]) -> None:
        self._name = name
        self._events = events
        self._anchors: dict[str, Tree] = {}
        self._values = 0

    def value(self, event: Any, depth: int = 0) -> Tree:
        """The value that begins with `event`, in `depth` collections. InputError, with its place, for anything else."""
        at = _place(self._name, event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            known = self._anchors.get(str(event.anchor))
            if known is None:
                raise _bad(at, f'alias "*{event.anchor}" names no anchor above it', 'quote "*" if it is text')
            tree = replace(known, at=at, key_at=at)
            self._values += tree.size
        else:
            self._values += 1
            scalar = isinstance(event, yaml.ScalarEvent)
            tree = Tree(_scalar(event, at), at, at) if scalar else self._collection(event, at, depth)
            if event.anchor:
                self._anchors[event.anchor] = tree
        if depth + tree.depth > MAX_DEPTH:
            raise _bad(tree.at, f"nested deeper than {MAX_DEPTH} levels, aliases expanded")
        if self._values > MAX_VALUES:
            raise _bad(tree.at, f"more than {MAX_VALUES} values, aliases expanded")
        return tree

    def _collection(self, start: Any, at: str, depth: int) -> Tree:
        mapping = isinstance(start, yaml.MappingStartEvent)
        if (start.tag or "!") not in ("!", _CORE + ("map" if mapping else "seq")):
            raise _bad(at, f'tag "{_tag_name(start.tag)}" is not allowed', "files are data: remove the tag")
        if depth >= MAX_DEPTH:
            raise _bad(at, f"nested deeper than {MAX_DEPTH} levels")
        entries: dict[str, Tree] = {}
        items: list[Tree] = []
        while not isinstance(event := next(self._events), yaml.CollectionEndEvent):
            if mapping:
                key_at = _place(self._name, event.start_mark)
                key = _key(event, key_at, entries)
                entries[key] = replace(self.value(next(self._events), depth + 1), key_at=key_at)
            else:
                items.append(self.value(event, depth + 1))
        children = [*items, *entries.values()]
        size = 1 + sum(child.size for child in children)
        levels = 1 + max((child.depth for child in children), default=0)
        return Tree(entries if mapping else tuple(items), at, at, size=size, depth=levels)


def _key(event: Any, at: str, entries: dict[str, Tree]) -> str:
    if isinstance(event, yaml.AliasEvent):
        raise _bad(at, "an alias cannot be a key", "keys are plain text")
    if not isinstance(event, yaml.ScalarEvent):
        raise _bad(at, "a key must be text", "not a list or mapping")
    key: str = event.value
    if event.anchor or (event.tag or "!") not in ("!", _CORE + "str"):
        raise _bad(at, f'key "{key[:40]}" has an anchor or a tag', "keys are plain text")
    if not key.strip():
        raise _bad(at, "a key is empty")
    if key in entries:
        raise _bad(at, f'key "{key[:40]}" stands here twice', f"first at {entries[key].key_at}")
    return key


def _scalar(event: Any, at: str) -> Scalar:
    tag = event.tag or ""
    if tag not in ("", "!", _CORE + "str"):
        return _tagged(event.value, tag, at)
    text: str = event.value
    return _resolve(text, at) if tag == "" and event.implicit[0] else text


def _resolve(text: str, at: str) -> Scalar:
    """A plain scalar by the YAML 1.2 core schema, decimal numbers only."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        number = int(text) if len(text) <= 40 else INT64_MAX + 1
        if not -INT64_MAX <= number <= INT64_MAX:
            raise _bad(at, f"{text[:40]} does not fit in 64 bits", "quote it if it is text")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise _bad(at, f"{text} is not a finite number", "quote it if it is text")
    if _FLOAT.fullmatch(text):
        value = float(text)
        if not math.isfinite(value):
            raise _bad(at, f"{text[:40]} does not fit in 64 bits", "quote it if it is text")
        return value
    return text


def _tagged(text: str, tag: str, at: str) -> Scalar:
    if tag not in _TAGS:
        raise _bad(at, f'tag "{_tag_name(tag)}" is not allowed', "files are data: remove the tag")
    value = _resolve(text, at)
    if type(value) not in _TAGS[tag]:
        raise _bad(at, f'"{text[:40]}" does not fit its tag "{_tag_name(tag)}"')
    return value


def _tag_name(tag: str) -> str:
    return ("!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag)[:60]


def _syntax(error: yaml.MarkedYAMLError, mark: Any, text: str) -> tuple[str, str]:
    """(what is wrong, what to do) of a file that is no YAML."""
    problem = ", ".join(filter(None, (error.context, error.problem)))
    if mark is None or "cannot start any token" not in problem:
        return f"not YAML: {problem}", ""
    character = text[mark.index : mark.index + 1]
    if character == "\t":
        return "not YAML: a tab", "indent with spaces"
    return f'not YAML: nothing can start with "{character}"', "quote it if it is text"


def _place(name: str, mark: Any) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}"


def _bad(where: str, problem: str, todo: str = "") -> InputError:
    return InputError(problem, todo=todo, where=where)


def _empty(name: str) -> InputError:
    return _bad(f"{name}:1:1", "the file is empty", 'expected "key: value" lines')


def _unreadable(path: Path, why: str, todo: str = "") -> InputError:
    return InputError("cannot read it", got=why, todo=todo, where=str(path))
