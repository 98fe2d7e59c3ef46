"""The rules of the house, held by reading the code: who imports whom, who touches the machine, who prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import house
from tools.house import arrows_of, floors_of, loose_of, rooms_of
from tools.source import Module, cycles, load_modules

ROOT = Path(__file__).parent.parent

# Lowest first. A room (the first name after `harness`) imports only from lower floors; add a new room here.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("__init__", "columns", "errors", "formats", "stats", "units"),
    ("kernel", "knobs", "loadgen", "mininet", "signals", "store", "workloads"),
    ("spec",),
    ("plan", "tables", "topology", "host"),
    ("analysis", "importers", "testbed"),
    ("report", "run"),
    ("places",),
    ("cli",),
    ("__main__",),
)
MAX_ROOMS, MAX_LOOSE_MODULES, MAX_ARROWS = 27, 6, 110
# What needs the machine. All else must run anywhere, without root, so it may not import these.
MACHINE = {"kernel", "testbed", "run", "host", "places"}
# Parts that may import these of ours and no more, tighter than their row. Knobs and workloads only describe.
ONLY: dict[str, set[str]] = {
    "stats": set(),
    "columns": set(),
    "formats": set(),
    "knobs": {"errors", "units"},
    "workloads": {"errors", "formats", "units"},
}
# The floor: what only harness.kernel may import, call by name, or spell at the start of a string.
FLOOR = "kernel"
FLOOR_MODULES = {"pyroute2", "ctypes", "fcntl"}
FLOOR_NAMES = {"AF_NETLINK", "NETLINK_ROUTE", "NETLINK_GENERIC", "setns", "unshare", "fork", "_exit"}
FLOOR_PATHS = ("/proc/", "/sys/")
# The edge: the only parts that print and end the process. (To end a forked child, os._exit, is the floor's.)
EDGE = {"cli", "__main__"}
EDGE_CALLS = {"print", "exit", "quit", "sys.exit", "SystemExit"}
EDGE_STREAMS = {"sys.stdout", "sys.stderr"}
# What the command must not load before it knows what to do: --help and completion answer at once.
HEAVY = (
    "ansible",
    "ansible_runner",
    "dask",
    "distributed",
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "pyroute2",
    "rich",
    "scipy",
    "yaml",
)
MAX_LINES = 400

MODULES = load_modules(ROOT / "harness")


def for_all_modules(check: Callable[[Module], None]) -> Callable[[], None]:
    """One test of a rule over all modules; its failure lists every offence, not the first alone."""

    def test() -> None:
        offences = []
        for module in MODULES.values():
            try:
                check(module)
            except AssertionError as offence:
                offences.append(str(offence).split("\nassert ")[0])
        assert not offences, "\n".join(offences)

    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test


def rank(part: str) -> int:
    """The floor of a room in FLOORS."""
    for floor, rooms in enumerate(FLOORS):
        if part in rooms:
            return floor
    pytest.fail(f"harness.{part} is on no floor of FLOORS in tests/test_house.py: give it its place")


def test_the_house_keeps_its_measure(record_property: Callable[[str, object], None]) -> None:
    rooms, arrows = rooms_of(MODULES), arrows_of(MODULES)
    floors = floors_of(rooms, arrows)
    # Printed among the tiers.
    record_property(house.FIGURES, house.in_words(rooms, floors, arrows))
    assert sorted(rooms) == sorted(room for row in FLOORS for room in row)
    assert len(rooms) <= MAX_ROOMS
    assert len(loose_of(rooms)) <= MAX_LOOSE_MODULES
    assert max(floors.values()) <= len(FLOORS)
    assert len(arrows) <= MAX_ARROWS


@for_all_modules
def test_imports_point_down(module: Module) -> None:
    for line, name in module.internal_imports():
        target = MODULES[name].part
        where = f"{module.where(line)} imports {name}"
        assert target, f"{where}: the package root is nobody's to import"
        if not module.part or target == module.part:
            continue
        assert rank(target) < rank(module.part), f"{where}: {module.part} lies no higher than {target}"
        if module.part in ONLY:
            assert target in ONLY[module.part], f"{where}: {module.part} may import {ONLY[module.part]}"
        if module.part not in MACHINE | EDGE:
            assert target not in MACHINE, f"{where}: {module.part} must work without the machine half"


def test_no_import_cycles() -> None:
    edges = {name: {target for _, target in module.internal_imports()} for name, module in MODULES.items()}
    assert cycles(edges) == []


@for_all_modules
def test_only_the_floor_touches_the_machine(module: Module) -> None:
    if module.part == FLOOR:
        return
    for line, name in module.imports():
        assert name.split(".")[0] not in FLOOR_MODULES, f"{module.where(line)} imports {name}"
    for line, name in module.names():
        assert name.split(".")[-1] not in FLOOR_NAMES, f"{module.where(line)} uses {name}"
    for line, text in module.strings():
        assert not text.startswith(FLOOR_PATHS), f"{module.where(line)} spells the path {text}"


@for_all_modules
def test_only_the_edge_prints_and_exits(module: Module) -> None:
    if module.part in EDGE:
        return
    for line, name in module.names():
        assert name not in EDGE_STREAMS, f"{module.where(line)} uses {name}"
    for line, name in module.calls():
        assert name not in EDGE_CALLS, f"{module.where(line)} calls {name}"


@for_all_modules
def test_modules_and_public_functions_say_what_they_do(module: Module) -> None:
    first = (ast.get_docstring(module.tree) or "").split("\n\n")[0]
    assert first.endswith((".", "?")), f"{module.path}: open with one sentence that states the module's duty"
    missing = [f"{module.where(line)}: {name} has no docstring" for line, name in module.undocumented()]
    assert not missing, "\n".join(missing)


def test_files_stay_small() -> None:
    files = [path for top in ("harness", "playbooks", "tests", "tools") for path in sorted((ROOT / top).rglob("*.*"))]
    code = [path for path in files if path.suffix in (".py", ".c", ".h", ".sh", ".js", ".css")]
    assert len(code) > len(MODULES)
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in code}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


@pytest.mark.parametrize("words", ["--help", "compare --help", "run --help", "completion bash"])
def test_the_command_starts_light(words: str) -> None:
    """How long it takes is for tests/bench/bench_start.py to say."""
    ask = (
        "import atexit, sys; from harness import cli\n"
        "atexit.register(lambda: print('', *sys.modules))\n"
        f"sys.exit(cli.main({words.split()}))"
    )
    answer = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(HEAVY) & set(answer.stdout.split()) == set()


@pytest.mark.parametrize(
    "script",
    [*sorted((ROOT / "tools").glob("*.sh")), *sorted((ROOT / "findings").glob("*.sh")), ROOT / ".ci" / "run"],
    ids=lambda path: path.name,
)
def test_scripts_parse_and_run(script: Path) -> None:
    shell = "bash" if script.read_text().startswith("#!/usr/bin/env bash") else "sh"
    subprocess.run([shell, "-n", str(script)], check=True)
    assert script.stat().st_mode & 0o111, f"{script} is not executable"
