"""Changes to what strangers write: trees of values (YAML, JSON), tables, raw bytes; the same for the same generator."""

from __future__ import annotations

import copy
import csv
import io
import random
from typing import Any

Tree = Any
"""A document of YAML or JSON."""

SCALARS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    -(2**64),
    10**40,
    10**399,
    0.5,
    -0.0,
    1e308,
    float("inf"),
    float("nan"),
    "",
    " ",
    "0",
    "1.0",
    "on",
    "null",
    "*",
    ".",
    "..",
    "a.b.c",
    "/",
    "-",
    "100%",
    "-5%",
    "1s",
    "999999h",
    "0ns",
    "64B",
    "16GiB",
    "1gbit",
    "0-8191",
    "3-1",
    "x" * 70,
    "y" * 5000,
    "=1+1",
    "{address}",
    "{",
    "(",
    "\x00",
    "a\nb",
    "tab\tbed",
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "CR\rover",
    "\ud800",
    "\N{SNOWMAN}",
    "e\u0301",
    [],
    {},
    [[]],
    [1, "a", None],
    {"": ""},
    {"a": {"b": {"c": []}}},
)
"""Values that some reader somewhere takes for another kind of value."""
BYTES = (
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r",
    b"\t",
    b"\x1b[31m",
    b"\xc2\x9b2J",
    b"\xe2\x80\xae",
    b"---\n",
    b"&a *a",
    b"{",
    b"]",
    b'"',
    b",",
    b"%TAG ! x\n",
    b"!!python/object:os.system x",
    b"<<: *b",
    b"9" * 400,
    b"1e999",
    b"\n",
    b"#",
)


def mutated_tree(rng: random.Random, document: Tree, words: list[str]) -> Tree:
    """The document with one to four changes: values, keys, whole branches. words: keys that a reader knows."""
    tree = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        holders = list(_holders(tree))
        if not holders:
            return rng.choice(SCALARS)
        tree = _changed(rng, tree, rng.choice(holders), holders, words)
    return tree


def _holders(tree: Tree) -> Any:
    """Every mapping and list that is not empty."""
    if isinstance(tree, (dict, list)) and tree:
        yield tree
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from _holders(child)


def _changed(rng: random.Random, tree: Tree, holder: Tree, holders: list[Tree], words: list[str]) -> Tree:
    key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    match rng.randrange(8):
        case 0 | 1 | 2:
            holder[key] = copy.deepcopy(rng.choice(SCALARS))
        case 3:
            del holder[key]
        case 4 if isinstance(holder, dict):
            holder[rng.choice([*words, *(word for word in SCALARS if isinstance(word, str))])] = holder[key]
        case 4:
            holder.insert(key, copy.deepcopy(holder[key]))
        case 5:
            donor = rng.choice(holders)
            other = rng.choice(list(donor)) if isinstance(donor, dict) else rng.randrange(len(donor))
            holder[key] = copy.deepcopy(donor[other])
        case 6 if isinstance(holder[key], str) and holder[key]:
            at = rng.randrange(len(holder[key]) + 1)
            junk = rng.choice([word for word in SCALARS if isinstance(word, str)])
            holder[key] = holder[key][:at] + junk + holder[key][at:]
        case 6:
            holder[key] = [copy.deepcopy(holder[key])] * rng.choice((1, 2, 60))
        case _:
            # One word where a reader expects another of the same file.
            holder[key] = rng.choice(words)
    return tree


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    """The bytes cut, doubled, spliced with what readers stumble over; up to four times."""
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 2, 8, 40, 400)))
        match rng.randrange(5):
            case 0:
                data = data[:at] + rng.choice(BYTES) + data[at:]
            case 1:
                data = data[:at] + data[to:]
            case 2:
                data = data[:at] + data[at:to] + data[at:to] + data[to:]
            case 3 if at < len(data):
                data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
            case _ if rng.random() < 0.3:
                data = data[:at]
    return data


def mutated_table(rng: random.Random, text: str) -> bytes:
    """A CSV file with cells, columns and rows changed, and what separates them."""
    rows = list(csv.reader(io.StringIO(text)))
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        row = rng.randrange(len(rows))
        column = rng.randrange(len(rows[row])) if rows[row] else 0
        match rng.randrange(7):
            case 0 | 1 if rows[row]:
                rows[row][column] = str(rng.choice(SCALARS)).encode("utf-8", "replace").decode()
            case 2 if rows[0]:
                rows[0][rng.randrange(len(rows[0]))] = str(rng.choice(SCALARS)).encode("utf-8", "replace").decode()
            case 3:
                rows = [[*line[:column], *line[column + 1 :]] for line in rows]
            case 4:
                rows = [[*line[: column + 1], *line[column:]] for line in rows]
            case 5 if len(rows) > 2:
                del rows[row]
            case _:
                rows.insert(row, list(rng.choice(rows)))
        rows = rows or [[]]
    out = io.StringIO()
    comma = rng.choice((",",) * 12 + (";", "\t"))
    csv.writer(out, delimiter=comma, lineterminator=rng.choice(("\n", "\n", "\r\n", "\r"))).writerows(rows)
    return out.getvalue().encode(rng.choice(("utf-8",) * 8 + ("utf-8-sig", "utf-16", "latin-1")), "replace")
