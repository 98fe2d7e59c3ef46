"""Dependencies: each is explained in docs/dependencies.md; the locks hold all of them and suit everybody."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.source import load_modules

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
BUILD = [Requirement(text) for text in PROJECT["build-system"]["requires"]]
DEV = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["dev"]]
MUTANTS = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["mutants"]]
PLOT = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["plot"]]
DASK = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["dask"]]
_LINES = (ROOT / "tests" / "campaign" / "requirements.txt").read_text().splitlines()
CAMPAIGN = [Requirement(line.split()[0]) for line in _LINES if line[:1].isalpha()]


def pins(lock: str) -> dict[str, Version]:
    """Every pinned version of a lock file."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in found}


def test_every_dependency_is_explained() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    rows = re.findall(r"^\| \[?`([A-Za-z0-9._-]+)`", page, re.MULTILINE)
    wanted = {canonicalize_name(each.name) for each in [*RUNTIME, *BUILD, *PLOT, *DASK, *DEV, *MUTANTS, *CAMPAIGN]}
    assert {canonicalize_name(name) for name in rows} == wanted


def test_the_tests_are_with_the_dask_that_users_get() -> None:
    assert {str(each) for each in DASK if each.name != "bokeh"} <= {str(each) for each in DEV}


@pytest.mark.parametrize(
    ("top", "allowed"),
    [
        ("harness", [*RUNTIME, *PLOT, *DASK]),
        ("tests", [*RUNTIME, *DEV, *CAMPAIGN]),
        ("tools", [*RUNTIME, *DEV, *MUTANTS]),
    ],
)
def test_every_import_is_a_dependency(top: str, allowed: list[Requirement]) -> None:
    known = {*sys.stdlib_module_names, "harness", "pollbench", "tests", "tools"}
    wanted = {canonicalize_name(each.name) for each in allowed}
    owners = packages_distributions()
    strangers = [
        f"{module.where(line)} imports {name}"
        for module in load_modules(ROOT / top).values()
        for line, name in module.imports()
        if name.split(".")[0] not in known
        and not wanted & {canonicalize_name(owner) for owner in owners.get(name.split(".")[0], (name.split(".")[0],))}
    ]
    assert strangers == []


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", [*RUNTIME, *BUILD]),
        ("requirements-dev.lock", [*RUNTIME, *BUILD, *PLOT, *DEV]),
        ("requirements-mutants.lock", [*RUNTIME, *BUILD, *PLOT, *DEV, *MUTANTS]),
    ],
)
def test_lock_satisfies_the_project(lock: str, wanted: list[Requirement]) -> None:
    pinned = pins(lock)
    stale = [
        str(each)
        for each in wanted
        if canonicalize_name(each.name) not in pinned
        or not each.specifier.contains(pinned[canonicalize_name(each.name)])
    ]
    assert not stale, f"{lock} is older than pyproject.toml: run make lock"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-mutants.lock"])
def test_lock_installs_anywhere(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)
    assert [name for name, version in pins(lock).items() if version.local] == []
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert [block.split("=")[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize(
    ("less", "more"),
    [("requirements.lock", "requirements-dev.lock"), ("requirements-dev.lock", "requirements-mutants.lock")],
)
def test_the_locks_agree(less: str, more: str) -> None:
    few, many = pins(less), pins(more)
    assert {name: many.get(name) for name in few} == few
