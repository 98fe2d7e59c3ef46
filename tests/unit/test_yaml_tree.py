"""YAML in: YAML 1.2 scalars with their places, and for anything else one clean refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.spec.yaml_tree import MAX_BYTES, Tree, parse, parse_setting, read_file, tree_of

YAML_LIKE = st.text(alphabet="ab1 :-[]{},&*!?|>'\"%@`#\n\t~.<=", max_size=80)


def places(tree: Tree, key: str = "") -> dict[str, str]:
    """Dotted path to place, of every value."""
    out = {key: tree.at}
    children: list[tuple[object, Tree]] = []
    if isinstance(tree.value, dict):
        children = list(tree.value.items())
    elif isinstance(tree.value, tuple):
        children = list(enumerate(tree.value))
    for name, child in children:
        out |= places(child, f"{key}.{name}".lstrip("."))
    return out


@given(st.one_of(st.binary(max_size=200), YAML_LIKE.map(str.encode)))
def test_arbitrary_bytes_are_data_or_an_input_error(data: bytes) -> None:
    try:
        tree = parse(data, "any.yaml")
    except InputError as error:
        assert error.where.startswith("any.yaml")
        assert "\n" not in error.line()
    else:
        tree.plain()


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=60))
def test_arbitrary_options_are_data_or_an_input_error(text: str) -> None:
    option = f"--set a.b={text}"[:120]
    try:
        assert set(places(parse_setting("a.b", text)).values()) == {option}
    except InputError as error:
        assert error.where == option


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = b"{on: off, no: yes, a: 1:30, b: 0x10, c: 1_0, d: 7, e: 1.5, f: ~, g: true, h: '1', i: !!str 2}"
    assert parse(text, "f").plain() == {
        "on": "off",
        "no": "yes",
        "a": "1:30",
        "b": "0x10",
        "c": "1_0",
        "d": 7,
        "e": 1.5,
        "f": None,
        "g": True,
        "h": "1",
        "i": "2",
    }


def test_every_value_knows_its_place() -> None:
    tree = parse(b"\xef\xbb\xbfa: 1\nb:\n  - x\n  - {c: 2}\n", "f")
    assert places(tree) == {"": "f:1:1", "a": "f:1:4", "b": "f:3:3", "b.0": "f:3:5", "b.1": "f:4:5", "b.1.c": "f:4:9"}
    entry = tree.child("b")
    assert entry is not None
    assert entry.key_at == "f:2:1"


def test_aliases_are_expanded_within_limits() -> None:
    assert parse(b"a: &x {k: 1}\nb: *x\n", "f").plain() == {"a": {"k": 1}, "b": {"k": 1}}
    levels = "".join(f"l{i}: &l{i} {'[' * 38}{f'*l{i - 1} ' if i else ''}{']' * 38}\n" for i in range(60))
    with pytest.raises(InputError, match="nested deeper"):
        parse(levels.encode(), "f")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (MAX_BYTES + 1))
    for path, why in (
        (tmp_path, "a directory"),
        (tmp_path / "absent.yaml", "no such file"),
        (big / "below", "Not a directory"),
        (Path("a\0b"), "null"),
        (big, "over 1 MiB"),
        (Path("/dev/zero"), "over 1 MiB"),
    ):
        with pytest.raises(InputError, match=why) as caught:
            read_file(path)
        assert caught.value.where == str(path)


def test_plain_data_as_a_tree() -> None:
    data = {"a": [1, {"b": None}]}
    assert tree_of(data, "x").plain() == data
