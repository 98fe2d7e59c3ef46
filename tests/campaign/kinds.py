"""What is mutated and which commands then read it: all that strangers write, or that lies about from earlier on."""

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
        self.experiments = [_document(path) for path in shipped]
        self.rich: dict[str, Any] = _document(Path(__file__).with_name("rich.yaml"))
        # It has what no shipped file has, which is to be tried often enough.
        self.experiments += [self.rich] * 8
        self.set = made_up_set(scratch / "source")
        self.traced = traced_set(scratch / "traced")
        self.suite = ROOT / "results" / "reference" / "suite"
        self.tables = [(GOLDEN / "set_runs.csv").read_text(), (self.set / "runs.csv").read_text()]
        self.imports = sorted(
            path for path in (GOLDEN / "import").iterdir() if path.suffix != ".json" or "iperf" in path.name
        )


def _document(path: Path) -> Any:
    """What a file says, as pollbench reads it: for PyYAML the key `on` is true."""
    from harness.spec.yaml_tree import read_file

    return read_file(path)[1].plain()


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


def traced_set(base: Path) -> Path:
    """A set with a repetition that was traced."""
    from tests.unit.test_tail import Bed, kept

    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    return kept(base, Bed().meta()).path


def experiments(sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """An experiment file, as a tree or as bytes."""
    document = rng.choice(sources.experiments)
    path = home / "experiment.yaml"
    if rng.random() < 0.75:
        tree = mutated_tree(rng, document, sources.words)
        data = yaml.safe_dump(tree, sort_keys=False, allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    else:
        data = mutated_bytes(rng, yaml.safe_dump(document, sort_keys=False).encode())
    file = str(path)
    commands = [["validate", file], ["plan", file, *rng.choice(([], ["--json"], ["--quick"], ["--repeat", "1"]))]]
    if "tune" in document:
        commands.append(["tune", file, "--plan", *rng.choice(([], ["--pareto", "rtt_p50_us,cpu_us_per_request"]))])
    if rng.random() < 0.1:
        # It reads the file before it finds that there is no tree.
        ends = ["--good", "v1", "--bad", "v2", "--fail-if", "rtt_p99_us > +5%"]
        commands.append(["vm", "bisect", file, "--tree", str(home), *ends])
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


def traces(sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """A file by which a link changes, of mahimahi or as a table."""
    table = "time,rate,delay,loss\n0s,10mbit,1ms,0%\n100ms,5mbit,,1%\n200ms,,2ms,\n# the end\n1s,1mbit,3ms,0.5%\n"
    text = rng.choice((table, "time_s,rate_mbit\n0,5\n0.5,2.5\n1,8\n", "1\n2\n2\n5\n9\n9\n12\n40\n"))
    data = mutated_table(rng, text) if rng.random() < 0.5 else mutated_bytes(rng, text.encode())
    shape = {"rate": "20mbit", "queue": "20ms", "changes": {"trace": "link.trace"}}
    link = {"between": ["client", "server"], "shape": shape}
    file = home / "experiment.yaml"
    file.write_text(yaml.safe_dump(sources.rich | {"topology": sources.rich["topology"] | {"links": [link]}}))
    words = str(file)
    commands = [["validate", words], ["plan", words, *rng.choice(([], ["--json"]))], ["topology", words]]
    return Mutant("traces", 0, home / "link.trace", data, commands, _special(rng, 0.05))


def mappings(_sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """The file beside a table that says what its columns are."""
    rows = [f"{'base' if n % 2 else 'poll'},{n // 8},{n % 3},{90 + n % 7},{40 + n % 5}" for n in range(32)]
    for name in ("runs.csv", "other.csv"):
        (home / name).write_text("\n".join(["who,turn,odd,lat99,other", *rows, ""]))
    tree = {
        "case": "who",
        "repetition": "turn",
        "factors": ["odd"],
        "ignore": ["other"],
        "metrics": {"p99": "lat99"},
        "units": {"lat99": "us"},
        "rename": {"poll": "busy"},
        "unit": "ms",
        "per": "run",
        "decimal": ".",
    }
    (home / "other.csv.yaml").write_text(yaml.safe_dump(tree))
    changed = mutated_tree(rng, tree, [*tree, "block", "time", "lat99", "request"])
    data = yaml.safe_dump(changed, allow_unicode=True).encode("utf-8", "surrogatepass")
    data = mutated_bytes(rng, data) if rng.random() < 0.3 else data
    one, other = str(home / "runs.csv"), str(home / "other.csv")
    commands = [["compare", one, other, *rng.choice(([], ["--json"]))], ["compare", one, "--baseline", "base"]]
    commands += rng.choice(([], [["trend", one]], [["export", "--format", "openmetrics", one]]))
    return Mutant("mappings", 0, home / "runs.csv.yaml", data, commands, _special(rng, 0.05))


def explained(sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """A set with a traced repetition, one file of which is changed: its events, what they are of, its samples."""
    target = home / "small" / sources.traced.name
    shutil.copytree(sources.traced, target)
    files = sorted(path for path in target.rglob("*") if path.is_file() and path.name != "experiment.yaml")
    favoured = [path for path in files if path.name.startswith("trace.")]
    path = rng.choice(favoured if rng.random() < 0.6 else files)
    data = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.8:
        words = ["cpus", "lost", "programs", "client", "names", "irqs", "devices", "shaped", "timed", "version"]
        data = json.dumps(mutated_tree(rng, json.loads(data), words)).encode()
    else:
        data = mutated_bytes(rng, data)
    name = str(target)
    commands = [["explain", name, *rng.choice(([], ["--json"], ["--worst", "2"], ["--above", "50us"]))]]
    commands += rng.choice(([], [["show", name]], [["report", name, "-o", str(home / "page.html")]]))
    return Mutant("explained", 0, path, data, commands, _special(rng, 0.1))


def histories(sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """Sets one after another, a file of one of which is changed: `trend`, `export` and `merge` read all of them."""
    merges = rng.random() < 0.3
    places = [home / "sets" / f"202611{day}T101500Z" for day in (22, 23, 24)]
    for place in places:
        shutil.copytree(sources.traced if merges else sources.set, place)
    target = rng.choice(places)
    runs = sorted(str(path.relative_to(target)) for path in target.glob("runs/*/*"))
    path = target / rng.choice(["plan.json", "manifest.json", "runs.csv", *rng.sample(runs, 3)])
    data = path.read_bytes() if path.exists() else b""
    if path.suffix == ".json" and rng.random() < 0.7:
        words = ["run_id", "case", "metrics", "commit", "kernel", "created", "verdict", "share", "seed", "runs"]
        data = json.dumps(mutated_tree(rng, json.loads(data), words)).encode()
    else:
        data = mutated_bytes(rng, data)
    together, out = str(home / "sets"), str(home / "out")
    if merges:
        commands = [["merge", *map(str, places), "-o", out]]
    elif rng.random() < 0.5:
        commands = [["trend", together, *rng.choice(([], ["--json"], ["--label", "git"], ["-o", f"{home}/page.html"]))]]
    else:
        commands = [["export", "--format", "openmetrics", together]]
        commands.append(["export", "--format", "parquet", together, "-o", out])
    return Mutant("histories", 0, path, data, commands, _special(rng, 0.1))


def suites(sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """The sets of the suite that were kept, a file of which is changed."""
    target = home / "suite"
    shutil.copytree(sources.suite, target)
    path = rng.choice(sorted(file for file in target.rglob("*") if file.parent.parent.parent == target))
    text = path.read_text()
    as_table = path.suffix == ".csv" and rng.random() < 0.7
    data = mutated_table(rng, text) if as_table else mutated_bytes(rng, text.encode())
    more = rng.choice(([], ["--json"], ["--fail-if", "rtt_p99_us > +5%"], ["--ktap", str(home / "ktap")]))
    return Mutant("suites", 0, path, data, [["suite", "--no-run", "-o", str(target), *more]], _special(rng, 0.15))


def fleets(sources: Sources, rng: random.Random, home: Path) -> Mutant:
    """What a set keeps of its fleet, when it is to be resumed."""
    target = home / "quickstart" / sources.set.name
    shutil.copytree(sources.set, target)
    state = {
        "ident": "quickstart-1-abcd",
        "split": "blocks",
        "hosts": ["a", "b"],
        "attempts": 1,
        "allotted": {"0123": "a"},
        "facts": {"a": {"version": "1", "kernel": "6.18", "cpus": 2, "root": True, "free_bytes": 10**9}},
    }
    data = json.dumps(mutated_tree(rng, state, [*state, "cells", "none", "a", "c"])).encode()
    data = mutated_bytes(rng, data) if rng.random() < 0.2 else data
    file = str(ROOT / "experiments" / "quickstart.yaml")
    words = ["fleet", "run", file, "-i", "a,b,", "-o", str(home), "--resume", "--dry-run"]
    return Mutant("fleets", 0, target / "fleet.json", data, [words], _special(rng, 0.05))


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
    "traces": traces,
    "tables": tables,
    "mappings": mappings,
    "sets": sets,
    "histories": histories,
    "explained": explained,
    "suites": suites,
    "imports": imports,
    "journals": journals,
    "inventories": inventories,
    "fleets": fleets,
}


def mutant(sources: Sources, kind: str, seed: int) -> Mutant:
    """The mutant of a kind and a seed: the same whenever and wherever it is made."""
    home = sources.scratch / "mutant"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    made = KINDS[kind](sources, random.Random(f"{kind}/{seed}"), home)
    made.seed = seed
    return made
