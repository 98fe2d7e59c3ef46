"""One clear line for what is wrong: the place in the file, the key, what was found and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from pydantic import VERSION, TypeAdapter, ValidationError

from harness.errors import InputError
from harness.spec.yaml_tree import Tree, kind_of
from harness.units import format_duration, format_size, shown

# A file says the alias alone. Debian's pydantic, in a guest of ours, cannot be told so; it reads checked plans.
_OLD_PYDANTIC = tuple(int(part) for part in VERSION.split(".")[:2]) < (2, 11)
_BY_ALIAS: Any = {} if _OLD_PYDANTIC else {"by_alias": True, "by_name": False}

MAX_MISTAKES = 50
"""More mistakes of one file are not gathered: they have a common cause."""
Path = tuple[str | int, ...]
# A JSON schema, or a part of one.
JsonSchema = dict[str, Any]

_BOUNDS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}
_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "dict": "a mapping",
    "model": "a mapping",
    "list": "a list",
    "tuple": "a list",
}


def did_you_mean(word: str, known: Iterable[str], about: str = "known") -> str:
    """What to do about an unknown word: the nearest known one, and all of them if they are few."""
    names = [str(name) for name in known]
    near = difflib.get_close_matches(word, names, 1, 0.6)
    shown = ", ".join(names[:24]) + (", ..." if len(names) > 24 else "")
    return (f'did you mean "{near[0]}"? ' if near else "") + (f"{about}: {shown}" if names else f"{about}: none")


def dotted(path: Iterable[str | int]) -> str:
    """A path as the file's dotted keys write it."""
    return ".".join(f'"{part}"' if "." in str(part) else str(part) for part in path)


def place(tree: Tree) -> str:
    """Where to point for a value: at it, or at its key if it is a mapping or a list.

    In a mapping that layers were laid over, at the last layer's change: without it, there was no mistake.
    """
    if isinstance(tree.value, dict):
        last = max(tree.value.values(), key=lambda child: child.layer, default=tree)
        return place(last) if last.layer > tree.layer else tree.key_at
    return tree.key_at if isinstance(tree.value, tuple) else tree.at


def problem(tree: Tree, path: Path, got: str, todo: str = "", key: bool = False) -> InputError:
    """An error about what stands at `path` below `tree` (or, if nothing does, about the nearest value above).

    key: point at the key, not at its value.
    """
    node, _, _ = _nearest(tree, path)
    return InputError(dotted(path), got=got, todo=todo, where=node.key_at if key else place(node))


class Mistakes:
    """Gathers what is wrong with a file, so that all of it is named at once; in the order in which it is noticed."""

    def __init__(self) -> None:
        self._errors: dict[tuple[str, str, str], InputError] = {}

    def __bool__(self) -> bool:
        return bool(self._errors)

    @property
    def full(self) -> bool:
        """Are there so many that no more are looked for?"""
        return len(self._errors) >= MAX_MISTAKES

    def add(self, *errors: InputError) -> None:
        """Take these in, each once, without the others that may come with them."""
        for error in errors:
            self._errors.setdefault((error.where, error.attempted, error.got), error)

    def add_elsewhere(self, error: InputError) -> None:
        """Take in what is wrong at other places: at these a mistake may have followed from another."""
        known = {where for where, _, _ in self._errors}
        self.add(*(single for single in (error, *error.others) if single.where not in known))

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Take in what the block raises, and go on behind it."""
        try:
            yield
        except InputError as error:
            self.add(error, *error.others)

    def gathered(self) -> list[InputError]:
        """What was taken in, or the first of it."""
        return list(self._errors.values())[:MAX_MISTAKES]

    def raise_any(self) -> None:
        """Raise the first, the others with it, if there is one."""
        if errors := self.gathered():
            errors[0].others = tuple(errors[1:])
            raise errors[0]


def first_of(errors: Iterable[InputError]) -> None:
    """Raise the first of the mistakes, the others with it, if there is one."""
    mistakes = Mistakes()
    mistakes.add(*errors)
    mistakes.raise_any()


def validate(adapter: TypeAdapter[Any], tree: Tree, path: Path = ()) -> Any:
    """The value at `tree`, which stands at `path`, as the adapter's type. InputError: the first mistake, and others."""
    try:
        return adapter.validate_python(tree.plain(), **_BY_ALIAS)
    except ValidationError as error:
        schema = _schema_of(adapter)
        first_of(_translated(detail, schema, tree, path) for detail in _telling(error, tree))
        raise AssertionError("pydantic names what it refuses") from error


@cache
def _schema_of(adapter: TypeAdapter[Any]) -> JsonSchema:
    return adapter.json_schema()


def _telling(error: ValidationError, tree: Tree) -> list[Any]:
    """What pydantic found wrong, unknown keys first: each value once.

    Of alternatives that a value may be, each that it is not has its complaint; the first one tells.
    """
    details = error.errors(include_url=False)[: 4 * MAX_MISTAKES]
    unknown = [detail for detail in details if detail["type"] == "extra_forbidden"]
    telling: dict[tuple[Path, object], Any] = {}
    for detail in [*unknown, *(detail for detail in details if detail["type"] != "extra_forbidden")]:
        _, inside, rest = _nearest(tree, tuple(part for part in detail["loc"] if part != "[key]"))
        missing = rest[-1] if detail["type"] == "missing" and rest else None
        # What is wrong inside a value tells more than that it is not what another alternative would have.
        if missing is None and any(known[: len(inside)] == inside and known != inside for known, _ in telling):
            continue
        telling.setdefault((inside, missing), detail)
    return list(telling.values())


def _translated(detail: Any, schema: JsonSchema, tree: Tree, prefix: Path) -> InputError:
    loc = tuple(part for part in detail["loc"] if part != "[key]")
    node, inside, rest = _nearest(tree, loc)
    kind, path = detail["type"], prefix + inside
    tags = frozenset(str(part) for part in loc)
    if kind == "extra_forbidden":
        known = sorted({key for part in _schemas(schema, inside[:-1], tags) for key in part.get("properties", {})})
        attempted = f'unknown key "{str(path[-1])[:40]}" in {dotted(path[:-1]) or "the file"}'
        return InputError(attempted, todo=did_you_mean(str(path[-1]), known), where=node.key_at)
    if kind == "union_tag_not_found":
        return InputError(dotted(path), got=f"the key {detail['ctx']['discriminator']} is missing", where=node.key_at)
    if kind == "missing":
        missing = rest[-1] if rest else ""
        got = f'the key "{missing}" is missing' if isinstance(missing, str) else "too few entries"
        return InputError(dotted(path) or "the file", got=got, where=node.key_at)
    if kind == "union_tag_invalid":  # said of the section; what is wrong is the value that tells its kind
        tag = detail["ctx"]["discriminator"].strip("'")
        node, path = _nearest(node, (tag,))[0], (*path, tag)
    got, todo = _explained(detail, node, _schemas(schema, inside, tags))
    is_key = "[key]" in detail["loc"]
    return InputError(dotted(path) or "the file", got=got, todo=todo, where=node.key_at if is_key else place(node))


def _explained(detail: Any, node: Tree, schemas: list[JsonSchema]) -> tuple[str, str]:
    """(what was found, what to do) for an error about one value."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        got, _, todo = str(context["error"]).partition("; ")
        return got, todo
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        allowed = re.findall(r"'([^']*)'", str(context.get("expected") or context.get("expected_tags")))
        return f"{shown(node.value)} is not allowed", did_you_mean(str(node.value), allowed, "allowed")
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{shown(node.value)} is out of range", f"it {words} {_bound(context[bound], schemas)}"
    if kind == "multiple_of":
        return f"{shown(node.value)} is out of range", f"it must be a multiple of {context['multiple_of']}"
    if kind == "too_short" and not context["actual_length"]:
        return "it is empty", f"expected at least {context['min_length']}"
    if kind in ("too_short", "too_long"):
        bound = f"least {context['min_length']}" if kind == "too_short" else f"most {context['max_length']}"
        return f"{kind_of(node.value)} of {context['actual_length']}", f"expected at {bound}"
    if kind == "string_too_short" and not node.value:
        return "it is empty", f"expected at least {context['min_length']} character"
    if kind == "string_pattern_mismatch":
        return f"{shown(node.value)} is not allowed", f"it must match {context['pattern']}"
    expected = _EXPECTED.get(kind.split("_")[0])
    if expected:
        number = isinstance(node.value, int | float)
        quote = f': quote it, "{node.value}"' if expected == "text" and number else ""
        return f"{shown(node.value)} is not {expected}{quote}", ""
    return str(detail["msg"]).lower(), ""


def _nearest(tree: Tree, path: Path) -> tuple[Tree, Path, Path]:
    """(value, its path, what was left of `path`); a union's tag, no key of the file, is stepped over."""
    inside: list[str | int] = []
    rest: list[str | int] = []
    for part in path:
        child = tree.child(part)
        if child is None:
            rest.append(part)
        else:
            tree, rest = child, []
            inside.append(part)
    return tree, tuple(inside), tuple(rest)


def _schemas(root: JsonSchema, path: Path, tags: frozenset[str]) -> list[JsonSchema]:
    """Every JSON schema that a value at `path` may have to meet; `tags` choose where a key says which."""
    current = _unfolded(root, root, tags)
    for part in path:
        following: list[JsonSchema] = []
        for schema in current:
            child = schema.get("properties", {}).get(part) if isinstance(part, str) else schema.get("items")
            if child is None and isinstance(part, str):
                child = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties"))
            if isinstance(child, dict):
                following += _unfolded(root, child, tags)
        current = following
    return current


def _unfolded(root: JsonSchema, schema: JsonSchema, tags: frozenset[str]) -> list[JsonSchema]:
    """A schema and, through references and alternatives, all it stands for."""
    out = [schema]
    if "$ref" in schema:
        out += _unfolded(root, root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], tags)
    mapping = schema.get("discriminator", {}).get("mapping", {})
    chosen = [{"$ref": reference} for tag, reference in mapping.items() if tag in tags]
    for option in [*schema.get("anyOf", ()), *(chosen or schema.get("oneOf", ()))]:
        out += _unfolded(root, option, tags)
    return out


def _bound(number: Any, schemas: list[JsonSchema]) -> str:
    quantities = {schema.get("x-quantity") for schema in schemas}
    if "duration" in quantities:
        return format_duration(int(number))
    return format_size(int(number)) if "size" in quantities else str(number)
