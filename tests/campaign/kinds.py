"""What is mutated and which commands then read it: experiments, tables, result sets, imports, journals, inventories."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.campaign.mutate import mutated_bytes, mutated_table, mutated_tree

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
SPECIALS = ("directory", "fifo", "loop", "missing", "empty")
"""What may stand in the place of a file."""


@dataclass
class Mutant:
    """One input and what is done with it. path: the file that was changed; special: what stands in its place.

    commands: words of the command line. All of it lies in a directory of the mutant's own.
    """

    kind: str
    seed: int
    path: Path
    data: bytes
    commands: list[list[str]]
    special: str = ""
    state: Path | None = field(default=None)

    def place(self, data: bytes | None = None) -> None:
        """Put the input where the commands look for it."""
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)
        match self.special:
            case "directory":
                self.path.mkdir()
            case "fifo":
                os.mkfifo(self.path)
            case "loop":
                self.path.symlink_to(self.path.name)
            case "missing":
                pass
            case "empty":
                self.path.write_bytes(b"")
            case _:
                self.path.write_bytes(self.data if data is None else data)


def _words() -> list[str]:
    """Every key that an experiment file knows, and the dotted ones that files sweep."""
    from harness.spec.schema import schema

    def keys(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from node.get("properties", {})
            for child in node.values():
                yield from keys(child)
        elif isinstance(node, list):
            for child in node:
                yield from keys(child)

    dotted = ["contention.load", "workload.rate", "settings.*.busy_poll.usecs", "topology.links.0.mtu", "vm.kernel"]
    return sorted({*keys(schema()), *dotted})


class Sources:
    """What mutants are made of; made once, in the directory `scratch`."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.words = _words()
        shipped = sorted((ROOT / "experiments").rglob("*.yaml"))
        self.experiments = [(path, yaml.safe_load(path.read_text())) for path in shipped]
        self.set = made_up_set(scratch / "source")
        self.tables = [(GOLDEN / "set_runs.csv").read_text(), (self.set / "runs.csv").read_text()]
        self.imports = sorted(
            path for path in (GOLDEN / "import").iterdir() if path.suffix != ".json" or "iperf" in path.name
        )


def made_up_set(base: Path) -> Path:
    """A whole result set of made-up runs, its tables and samples included."""
    import numpy as np

    from harness.store import SAMPLE_DTYPE, ResultSet
    from harness.tables import write_tables
    from tests.unit import synthetic

    shutil.rmtree(base, ignore_errors=True)
    experiment = (ROOT / "experiments" / "quickstart.yaml").read_bytes()
    manifest = {"seed": 1, "kernel": {"release": "6.18.0"}, "command": ["pollbench", "run"]}
    results = ResultSet.create(
        base, "quickstart", "20261122T101500Z", experiment, synthetic.FakePlan(blocks=2), manifest
    )
    raw = np.zeros(50, SAMPLE_DTYPE)
    raw["latency_ns"] = np.arange(50) * 1000
    for record in synthetic.result_set(2):
        results.save_run(record, raw)
    write_tables(results)
    return results.path


def experiments(sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """An experiment file, as a tree or as bytes."""
    _, document = rng.choice(sources.experiments)
    path = home / "experiment.yaml"
    if rng.random() < 0.75:
        tree = mutated_tree(rng, document, sources.words)
        data = yaml.safe_dump(tree, sort_keys=False, allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    else:
        data = mutated_bytes(rng, yaml.safe_dump(document, sort_keys=False).encode())
    file = str(path)
    commands = [["validate", file], ["plan", file, *rng.choice(([], ["--json"], ["--quick"], ["--repeat", "1"]))]]
    return Mutant("experiments", 0, path, data, commands, _special(rng, 0.02))


def tables(sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """A table of runs, compared with a sound one, or its cases with each other."""
    text = rng.choice(sources.tables)
    data = mutated_table(rng, text) if rng.random() < 0.7 else mutated_bytes(rng, text.encode())
    path, sound = home / "runs.csv", str(sources.set / "runs.csv")
    how = rng.choice(([], ["--format", "json"], ["--format", "csv"], ["--format", "markdown"], ["--format", "kernel"]))
    commands = [["compare", sound, str(path), *how], ["compare", str(path), "--baseline", "base", *how]]
    if rng.random() < 0.3:
        commands.append(["compare", str(path), sound, "--fail-if", "rtt_p99_us > +5%"])
    return Mutant("tables", 0, path, data, commands, _special(rng, 0.02))


def sets(sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """A result set with one file of it changed, or something else in its place."""
    target = home / "quickstart" / sources.set.name
    shutil.copytree(sources.set, target)
    runs = sorted(str(path.relative_to(target)) for path in target.glob("runs/*/*"))
    names = ["plan.json", "manifest.json", "experiment.yaml", "runs.csv", "runs", *rng.sample(runs, 6)]
    path = target / rng.choice(names)
    special = _special(rng, 0.12) or (rng.choice(SPECIALS) if path.is_dir() else "")
    data = b"" if path.is_dir() else path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.7:
        tree = mutated_tree(rng, json.loads(data), ["run_id", "case", "metrics", "knobs", "verdict", "cells", "runs"])
        data = json.dumps(tree).encode()
    else:
        data = mutated_bytes(rng, data)
    name = str(target)
    formats = rng.choice(("text", "markdown", "csv", "json"))
    commands = [["show", name, "--format", formats], ["compare", name, str(sources.set)]]
    if rng.random() < 0.4:
        commands.append(["report", name, "-o", str(home / "page.html")])
    return Mutant("sets", 0, path, data, commands, special)


def imports(sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """Another program's output."""
    source = rng.choice(sources.imports)
    data = source.read_bytes()
    if source.suffix == ".json" and rng.random() < 0.6:
        data = json.dumps(mutated_tree(rng, json.loads(data), ["end", "sum", "intervals", "start"])).encode()
    else:
        data = mutated_bytes(rng, data)
    (home / "raw").mkdir()
    path = home / "raw" / source.name
    chosen = rng.choice(("auto", source.name.partition("_")[0].partition(".")[0]))
    words = ["import", chosen, str(home / "raw"), "-o", str(home / "out"), "--unit", "us", "--name", "mutant"]
    return Mutant("imports", 0, path, data, [words, ["show", str(home / "out" / "mutant")]], _special(rng, 0.03))


def journals(_sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """The journal of a killed run, beside a sound one that has to be cleaned all the same."""
    state = home / "state"
    for token in ("aaaaaa", "bbbbbb"):
        (state / token).mkdir(parents=True)
    setting = home / "setting"
    setting.write_text("2")
    entries: list[Any] = [
        {"n": 1, "kind": "owner", "pid": 1, "start_ticks": 1, "what": "killed", "format": 1},
        {"n": 2, "kind": "value", "path": str(setting), "found": "1", "wrote": "2"},
        {"n": 3, "kind": "netns", "name": "pb-none-node"},
        {"n": 4, "kind": "process", "pid": 999999999, "start_ticks": 1},
        {"n": 5, "kind": "directory", "path": str(home / "pollbench-none")},
        {"n": 6, "kind": "interface", "netns": "pb-none-node", "state": {"device": "none"}},
        {"kind": "done", "of": 3},
    ]
    sound = "".join(json.dumps(entry) + "\n" for entry in entries[:2])
    (state / "bbbbbb" / "journal").write_text(sound)
    # Paths are the only words of a journal that lead anywhere: they are kept, or become none of this host's.
    words = ["kind", "done", "value", "netns", "process", "owner", "file", "cgroup", "interface", "subtree"]
    lines = mutated_tree(rng, entries, words) if rng.random() < 0.8 else entries
    data = b"".join(json.dumps(line).encode() + b"\n" for line in (lines if isinstance(lines, list) else [lines]))
    if rng.random() < 0.4:
        data = mutated_bytes(rng, data)
    path = state / "aaaaaa" / "journal"
    commands = [["clean", "--dry-run"], ["clean"], ["clean", "--json"]]
    return Mutant("journals", 0, path, data, commands, _special(rng, 0.1), state)


def inventories(_sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """An inventory as Ansible reads it, INI or YAML."""
    ini = b"[all]\nhost[01:20] ansible_host=10.0.0.1\nother\n[group:children]\nall\n[all:vars]\nx=1\n"
    tree = {"all": {"hosts": {"a": {"ansible_host": "10.0.0.1"}, "b": None}, "children": {"g": {"hosts": {"c": {}}}}}}
    path = home / rng.choice(("hosts.ini", "hosts.yml"))
    if path.suffix == ".ini":
        data = mutated_bytes(rng, ini)
    else:
        data = yaml.safe_dump(mutated_tree(rng, tree, ["hosts", "children", "vars", "all"])).encode("utf-8", "replace")
    words = ["fleet", "run", str(ROOT / "experiments" / "quickstart.yaml"), "-i", str(path), "--dry-run"]
    return Mutant("inventories", 0, path, data, [words], _special(rng, 0.05))


def _special(rng: random.Random, chance: float) -> str:
    return rng.choice(SPECIALS) if rng.random() < chance else ""


KINDS: dict[str, Callable[[Sources, random.Random, Path], Mutant]] = {
    "experiments": experiments,
    "tables": tables,
    "sets": sets,
    "imports": imports,
    "journals": journals,
    "inventories": inventories,
}


def mutant(sources: Sources, kind: str, seed: int) -> Mutant:
    """The mutant of a kind and a seed: the same whenever and wherever it is made."""
    home = sources.scratch / "mutant"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    made = KINDS[kind](sources, random.Random(f"{kind}/{seed}"), home)
    made.seed = seed
    return made
