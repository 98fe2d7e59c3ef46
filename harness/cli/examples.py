"""`pollbench examples`: shipped experiments, claims and topologies, listed or copied; nothing is overwritten."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.cli.terminal import owner_of_results
from harness.errors import EXIT_OK, InputError
from harness.spec.messages import did_you_mean
from harness.spec.shipped import shipped
from harness.spec.yaml_tree import read_file
from harness.store.atomic import explained, make_directories, write_file

_KINDS = {"experiment": "experiments", "claim": "experiments/claims", "topology": "topologies"}
_MOST_LETTERS = 90


@dataclass(frozen=True)
class Example:
    """Something shipped: its name, what it is, where, and what it is about; a directory holds a program with it."""

    name: str
    kind: str
    path: str
    about: str


def examples(arguments: argparse.Namespace) -> int:
    """List what is shipped, or copy what is named into a directory. InputError before anything is half copied."""
    known = list(_shipped())
    if not arguments.name:
        return _listed(known, as_json=arguments.json)
    chosen = [example for name in arguments.name for example in _named(name, known)]
    target = Path(arguments.output)
    pairs = [pair for example in chosen for pair in _files(example, target)]
    taken = [str(path) for _, path in pairs if path.exists() or path.is_symlink()]
    if taken:
        got = f"{taken[0]} is there already" + (f", and {len(taken) - 1} more" if len(taken) > 1 else "")
        raise InputError("copy examples", got=got, todo="nothing was copied; name another directory with -o")
    for source, path in pairs:
        with explained("copy an example", path):
            make_directories(path.parent, owner_of_results())
            write_file(path, source.read_bytes(), owner_of_results())
            path.chmod(source.stat().st_mode & 0o777)
        print(path)
    return EXIT_OK


def _shipped() -> Iterator[Example]:
    for kind, where in _KINDS.items():
        home = shipped(where)
        for path in sorted(home.glob("*.yaml")):
            yield Example(path.stem, kind, str(path), _about(path))
        for path in sorted(home.glob("*.py")):
            yield Example(path.name, kind, str(path), _opening(path))
        for path in sorted(home.iterdir()):
            if path.is_dir() and (inner := sorted(path.glob("*.yaml"))) and path.name != "claims":
                yield Example(path.name, kind, str(path), _about(inner[0]))


def _about(path: Path) -> str:
    _, tree = read_file(path)
    description = tree.child("description")
    if description is not None:
        return " ".join(str(description.value).split())
    return _opening(path)


def _opening(path: Path) -> str:
    """The first line of a file that is a remark, or its docstring."""
    first = next(iter(path.read_text().splitlines()), "")
    return first.lstrip('#"! ').rstrip('"') if first.startswith(("#", '"')) else ""


def _named(name: str, known: list[Example]) -> list[Example]:
    """The examples of that name; "claims" is all claim files."""
    if name == "claims":
        return [example for example in known if example.kind == "claim"]
    matching = [example for example in known if name in (example.name, Path(example.path).name)]
    if not matching:
        todo = did_you_mean(name, [example.name for example in known], "examples")
        raise InputError(f'there is no example "{name}"', todo=todo, where="NAME")
    # A topology that an experiment is named after is copied only where no experiment is.
    return matching[:1]


def _files(example: Example, target: Path) -> Iterator[tuple[Path, Path]]:
    """What is copied where: a directory with all that it holds, but for what was built in it."""
    source = Path(example.path)
    if source.is_file():
        yield source, target / source.name
        return
    ignored = shutil.ignore_patterns("__pycache__", "build")
    for path in sorted(source.rglob("*")):
        parts = path.relative_to(source).parts
        if path.is_file() and not any(ignored(str(source), [part]) for part in parts):
            yield path, target / source.name / Path(*parts)


def _listed(known: list[Example], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([asdict(example) for example in known], indent=1))
        return EXIT_OK
    width = max(len(example.name) for example in known)
    for kind in _KINDS:
        print(f"{kind}s:" if kind != "topology" else "topologies:")
        for example in known:
            if example.kind == kind:
                about = example.about
                short = about if len(about) <= _MOST_LETTERS else about[: _MOST_LETTERS - 3].rsplit(" ", 1)[0] + " ..."
                print(f"  {example.name:<{width}}  {short}".rstrip())
    print("\ncopy with: pollbench examples NAME [-o DIR]")
    return EXIT_OK
