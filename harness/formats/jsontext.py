"""JSON that other programs print: every document in an output, and which of their numbers a format has used."""

from __future__ import annotations

import json
from collections.abc import Iterator

from harness.formats.model import NOT_USED, Note
from harness.formats.text import Line, plain

MAX_CHARACTERS = 256 << 20
# Between the names of a path: names may hold any printable character, a full stop among them.
_SEPARATOR = "\x1f"


class Json:
    """A value of a document at its place, None where there is none; what is read of it is remembered for `unused`."""

    __slots__ = ("path", "seen", "value")

    def __init__(self, value: object, path: str = "", seen: set[str] | None = None) -> None:
        self.value, self.path = value, path
        self.seen: set[str] = set() if seen is None else seen

    def at(self, *names: str) -> Json:
        """The value below these names."""
        here = self
        for name in names:
            value = here.value.get(name) if isinstance(here.value, dict) else None
            here = Json(value, _below(here.path, name), self.seen)
        return here

    def items(self) -> list[Json]:
        """The members of a list; none where it is no list."""
        members = self.value if isinstance(self.value, list) else []
        return [Json(member, f"{self.path}[]", self.seen) for member in members]

    def names(self) -> list[str]:
        """The names below it; none where it is no object."""
        return list(self.value) if isinstance(self.value, dict) else []

    def __bool__(self) -> bool:
        return bool(self.value)

    def number(self, *names: str) -> float | None:
        """The number below these names, finite and not negative; None where there is none."""
        at = self.at(*names)
        value = at.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        self.seen.add(at.path)
        if isinstance(value, int) and value.bit_length() > 200:
            return None
        return float(value) if 0 <= value < float("inf") else None

    def text(self, *names: str) -> str:
        """The text below these names, fit for any table; "" where there is none."""
        at = self.at(*names)
        if not isinstance(at.value, str):
            return ""
        self.seen.add(at.path)
        return plain(at.value)

    def flag(self, *names: str) -> bool | None:
        """The truth value below these names; None where there is none."""
        value = self.at(*names).value
        return value if isinstance(value, bool) else None

    def use(self, *names: str) -> None:
        """All that is below these names has been used."""
        self.seen.add(self.at(*names).path + "*")

    def unused(self, note: Note) -> None:
        """Note every number of the document that was not read: one finding for each object that holds some."""
        left: dict[str, dict[str, None]] = {}
        for path in _numbers(self.value, {name[:-1] for name in self.seen if name.endswith("*")}):
            if path not in self.seen:
                parent, _, name = path.rpartition(_SEPARATOR)
                left.setdefault(parent.replace(_SEPARATOR, "."), {})[name] = None
        for parent, names in left.items():
            note(0, f"{NOT_USED}{parent and parent + ': '}{', '.join(names)}")


def _below(path: str, name: str) -> str:
    return f"{path}{_SEPARATOR}{name}" if path else name


def _numbers(value: object, whole: set[str]) -> Iterator[str]:
    """The places of all numbers, and of texts with a digit in them; members of a list have the same one."""
    left = [(value, "")]
    while left:
        value, path = left.pop()
        if path and path in whole:
            continue
        if isinstance(value, dict):
            left.extend((member, _below(path, name)) for name, member in reversed(value.items()))
        elif isinstance(value, list):
            left.extend((member, f"{path}[]") for member in reversed(value))
        elif isinstance(value, str):
            if any(char.isdigit() for char in value):
                yield path
        elif not isinstance(value, bool) and isinstance(value, int | float):
            yield path


def documents(lines: Iterator[Line], note: Note) -> Iterator[object]:
    """Every JSON value in an output, one after another; what is none is noted, and what came before it counts."""
    text = _text(lines, note)
    decoder = json.JSONDecoder(parse_constant=lambda _: None)
    at = start = _skip_blank(text, 0)
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            if at == start and text[at] not in "{[" and (begins := text.find("\n{", at)) >= 0:
                # Programs print notes before their document.
                note(text.count("\n", 0, at) + 1, "not JSON, up to the first line that begins with a brace: left out")
                at = begins + 1
                continue
            note(text.count("\n", 0, at) + 1, f"not JSON from here on: {error}")
            return
        yield value
        at = _skip_blank(text, at)


def objects(lines: Iterator[Line], note: Note) -> Iterator[Json]:
    """Every JSON object in an output; one finding says how many other values there are."""
    others = 0
    for value in documents(lines, note):
        if isinstance(value, dict):
            yield Json(value)
        else:
            others += 1
    if others:
        note(0, f"{others} JSON values in it are no document of this format; left out")


def _text(lines: Iterator[Line], note: Note) -> str:
    pieces, size = [], 0
    for line in lines:
        line.use()
        pieces.append(line.text)
        size += len(line.text) + 1
        if size > MAX_CHARACTERS:
            note(line.number, "the file is too large; its end is left out")
            break
    return "\n".join(pieces).lstrip("\ufeff")


def _skip_blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n\0":
        at += 1
    return at
