"""The YAML file beside a table that says what its columns are."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from harness.columns.names import plain_unit
from harness.errors import InputError
from harness.tables.reading.account import PER, Mapping

if TYPE_CHECKING:
    from harness.spec.yaml_tree import Tree

_ATTEMPT = "read how the columns of a table are to be taken"
_COLUMNS = ("case", "repetition", "block", "time")
_LISTS = ("factors", "ignore")
_PAIRS = ("metrics", "units", "rename")
_KEYS = (*_COLUMNS, *_LISTS, *_PAIRS, "unit", "per", "decimal")
_UNITS = "ns, us, ms, s, % or bytes"


def beside(path: Path) -> Mapping:
    """What FILE.yaml beside a table says (a.csv.yaml; of a.csv.gz also a.csv.yaml); an empty mapping without one.

    Raises InputError with file:line:column for what such a file cannot hold.
    """
    names = [path.name, path.stem] if path.stem.endswith((".csv", ".tsv", ".txt")) else [path.name]
    for name in names:
        if (file := path.with_name(f"{name}.yaml")).is_file():
            return _read(file)
    return Mapping()


def unit_named(text: str, where: str) -> str:
    """A unit as the user wrote it, in the form that columns have. Raises InputError."""
    if unit := plain_unit(text):
        return unit
    raise InputError("read a unit", got=f"{text[:20]!r} is none", todo=f"write {_UNITS}", where=where)


def not_there(noun: str, name: str, names: tuple[str, ...], table: str, where: str) -> InputError:
    """The error for a column (or case) that a mapping names and a table lacks."""
    close = difflib.get_close_matches(name, names, n=1)
    todo = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(names)}"
    return InputError(_ATTEMPT, got=f"{table} has no {noun} {name!r}", todo=todo, where=where)


def _read(file: Path) -> Mapping:
    # Imported here: most tables have no such file.
    from harness.spec.yaml_tree import read_file

    _, tree = read_file(file)
    for key, child in tree.entries.items():
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            todo = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(_KEYS)}"
            raise InputError(_ATTEMPT, got=f"{key!r} is no key", todo=todo, where=child.key_at)
    texts = {key: _text(key, child) for key, child in tree.entries.items() if key not in _LISTS + _PAIRS}
    lists = {key: _list(key, tree.entries[key]) for key in _LISTS if key in tree.entries}
    pairs = {key: _pairs(key, tree.entries[key]) for key in _PAIRS if key in tree.entries}
    units = {column: (unit_named(unit, at), at) for column, (unit, at) in pairs.get("units", {}).items()}
    if "unit" in texts:
        units[""] = (unit_named(*texts["unit"]), "")
    for key, allowed in (("per", PER), ("decimal", (",", "."))):
        if key in texts and texts[key][0] not in allowed:
            raise _bad(texts[key][1], f"{key} is {texts[key][0]!r}", f"expected one of {' '.join(map(repr, allowed))}")
    places = {name: at for key in _COLUMNS if key in texts for name, at in [texts[key]]}
    places |= {name: at for entries in lists.values() for name, at in entries}
    places |= dict(pairs.get("metrics", {}).values())
    places |= {column: at for column, (_, at) in units.items()}
    places |= {f"rename {old}": at for old, (_, at) in pairs.get("rename", {}).items()}

    def text(key: str) -> str:
        return texts[key][0] if key in texts else ""

    return Mapping(
        case=text("case"),
        factors=tuple(name for name, _ in lists.get("factors", ())),
        metrics={name: column for name, (column, _) in pairs.get("metrics", {}).items()},
        units={column: unit for column, (unit, _) in units.items()},
        rename={old: new for old, (new, _) in pairs.get("rename", {}).items()},
        repetition=text("repetition"),
        block=text("block"),
        time=text("time"),
        ignore=tuple(name for name, _ in lists.get("ignore", ())),
        per=text("per"),
        decimal=text("decimal"),
        places=places,
    )


def _text(key: str, tree: Tree) -> tuple[str, str]:
    """A text, or a number as one, and where it stands."""
    if isinstance(tree.value, (dict, tuple, bool)) or tree.value is None:
        raise _bad(tree.at, f"{key} is {_kind(tree)}", "expected a text")
    return str(tree.value), tree.at


def _list(key: str, tree: Tree) -> list[tuple[str, str]]:
    """One text or a list of them."""
    return [_text(key, item) for item in tree.value] if isinstance(tree.value, tuple) else [_text(key, tree)]


def _pairs(key: str, tree: Tree) -> dict[str, tuple[str, str]]:
    """Texts by name; of metrics also a list, whose names are those of the columns."""
    if key == "metrics" and isinstance(tree.value, tuple):
        return {name: (name, at) for name, at in _list(key, tree)}
    if not isinstance(tree.value, dict):
        raise _bad(tree.at, f"{key} is {_kind(tree)}", "expected lines of NAME: TEXT")
    return {name: _text(name, child) for name, child in tree.value.items()}


def _kind(tree: Tree) -> str:
    from harness.spec.yaml_tree import kind_of

    return kind_of(tree.plain())


def _bad(where: str, got: str, todo: str) -> InputError:
    return InputError(_ATTEMPT, got=got, todo=todo, where=where)
