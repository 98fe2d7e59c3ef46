"""Which knob still acts beside which other: every pair tried on packets, kept as a CSV, written as docs/interplay.md.

python -m tools.interplay veth [DIR]     try all on a pair of namespaces of this host (root, 2 min)
python -m tools.interplay igb [DIR]      try all on a pair of emulated NICs, in guests
python -m tools.interplay                write the page from what is kept
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from harness.store.record import ALREADY_SO

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "results" / "reference" / "interplay.csv"
PAGE = ROOT / "docs" / "interplay.md"
PLACES = ("veth", "igb")
# One setting of each knob that acts on the traffic below when it is alone, where the place has it. "*": of the host.
SAMPLES: dict[str, dict[str, Any]] = {
    "busy_poll": {"usecs": 50},
    "cgroup": {"cpus": "1", "weight": 1000},
    "channels": {"combined": 1},
    "coalesce": {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "20us"},
    "cpu_latency": {"max_us": 0},
    "epoll_busy_poll": {"usecs": 50, "budget": 8},
    "ethtool_coalesce": {"rx-usecs": 40},
    "host_busy_poll": {"busy_read": 50, "busy_poll": 50},
    "host_receive": {"netdev_budget": 100, "rps_sock_flow_entries": 1024},
    "irq_affinity": {"cpus": "0"},
    "offloads": {"gro": "off"},
    "process": {"policy": "fifo", "priority": 1},
    "rfs": {"flow_count": 1024},
    "rings": {"rx": 128},
    "rps": {"cpus": "1"},
    "rss": {"weights": [0, 1]},
    "threaded_napi": {"mode": "on"},
    "tx_queue": {"tx_queue_len": 500},
    "xps": {"queues": ["0", "1"]},
}
# Of which no counter tells whether it acted, so that there is nothing to try.
UNTOLD = {"socket_buffers", "socket_options"}
ON_NICS_ONLY = {"channels", "ethtool_coalesce", "irq_affinity", "rings", "rss", "xps"}
OF_HOST = {"cpu_latency", "host_busy_poll", "host_receive"}
NAMES = {True: "yes", False: "no", None: "unknown"}


class Answer(NamedTuple):
    """Whether `knob` took effect beside `beside` (alone where that is empty): yes, no, unknown, cannot be; and why."""

    place: str
    kernel: str
    knob: str
    beside: str
    answer: str
    evidence: str


def document(place: str) -> dict[str, Any]:
    """The experiment: each knob alone, then each pair, on the server."""
    names = [name for name in SAMPLES if place != "veth" or name not in ON_NICS_ONLY]
    cases = {"-and-".join(pair): _case(pair) for pair in [*((name,) for name in names), *combinations(names, 2)]}
    link: dict[str, Any] = {"between": ["client", "server"]}
    return {
        "name": f"interplay-{place}",
        "topology": {
            "nodes": {"client": {"cpus": "0"}, "server": {"cpus": "1"}},
            # Two queues, without which fewer channels and weights of queues have nothing to change.
            "links": [link if place == "veth" else link | {"nic": place, "queues": 2}],
        },
        "workload": {
            "kind": "ping-pong",
            "from": "client",
            "to": "server",
            "protocol": "udp",
            "warmup": "20ms" if place == "veth" else "5ms",
            "duration": "150ms" if place == "veth" else "40ms",
        },
        "cases": cases,
        "checks": {"max_foreign_share": "100%", "max_steal_share": "100%"},
        "repeat": 1,
    }


def _case(knobs: Iterable[str]) -> dict[str, Any]:
    settings: dict[str, dict[str, Any]] = {}
    for name in knobs:
        settings.setdefault("*" if name in OF_HOST else "server", {})[name] = SAMPLES[name]
    # Only a program that waits so has an epoll instance to set.
    epoll = "epoll_busy_poll" in settings.get("server", {})
    return {"settings": settings} | ({"workload": {"server_wait": "epoll"}} if epoll else {})


def answers(place: str, runs: Iterable[Mapping[str, Any]]) -> list[Answer]:
    """What each run says of each of its knobs."""
    rows = []
    for run in runs:
        knobs = run["case"].split("-and-")
        kernel = str(run["environment"].get("kernel", ""))
        for knob, other in zip(knobs, reversed(knobs) if len(knobs) == 2 else [""], strict=True):
            rows.append(Answer(place, kernel, knob, other, *_answer(run, knob)))
    return sorted(rows)


def _answer(run: Mapping[str, Any], knob: str) -> tuple[str, str]:
    rows = [row for row in run["knobs"] if row["knob"] == knob]
    if not rows:
        return "cannot be", " ".join("; ".join(run["reasons"]).split())
    acted_on = [row for row in rows if row["evidence"] != ALREADY_SO] or rows
    took = {row["took_effect"]: row["evidence"] for row in reversed(acted_on)}
    answer = next(value for value in (True, False, None) if value in took)
    return NAMES[answer], took[answer]


def try_all(place: str, directory: Path) -> list[Answer]:
    """Run them all and read the answers. Raises CalledProcessError when pollbench refuses."""
    file = directory / "interplay.yaml"
    file.write_text(yaml.safe_dump(document(place), sort_keys=False))
    where = ["run"] if place == "veth" else ["vm", "run"]
    command = [sys.executable, "-m", "harness", *where, str(file), "-o", str(directory)]
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode not in (0, 1):
        done.check_returncode()
    sets = sorted(directory.glob(f"interplay-{place}/*"))
    return answers(place, (json.loads(path.read_text()) for path in sets[-1].glob("runs/*/run.json")))


def kept() -> list[Answer]:
    """The answers that are kept."""
    with KEPT.open(newline="") as file:
        return [Answer(**row) for row in csv.DictReader(file)]


def keep(place: str, fresh: list[Answer]) -> None:
    """Replace those of a place."""
    rows = [row for row in (kept() if KEPT.exists() else []) if row.place != place] + fresh
    with KEPT.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Answer._fields)
        writer.writerows(sorted(rows))


def page(rows: Iterable[Answer]) -> str:
    """The page: of each place a table, and in words every pair in which a knob does otherwise than alone."""
    text = [_HEAD]
    for place in PLACES:
        here = [row for row in rows if row.place == place]
        if here:
            text += [_table(place, here), _changes(here)]
    return "\n".join(text)


_HEAD = """# Which knob still acts beside which other

Every pair of knobs was set on the server of a UDP ping-pong (blocking; beside epoll_busy_poll in epoll), and the run
asked of each whether it was seen to act ([what counts](experiment-file.md)). *yes*: a counter that only this knob moves
showed it; *no*: it did nothing; *?*: no counter tells; *-*: this place cannot have both. Read a row as "does this knob
act" beside the knob of the column; the first column is the knob alone. On a quiet machine; where polling takes fewer
packets than here, more is left for what works on the rest. socket_buffers and socket_options, of which no counter
tells, were not tried. Made by `python -m tools.interplay` with these settings:

| knob | setting |
|---|---|
""" + "".join(f"| {name} | `{json.dumps(value)}` |\n" for name, value in SAMPLES.items())
_SIGNS = {"yes": "yes", "no": "no", "unknown": "?", "cannot be": "-"}


def _table(place: str, rows: list[Answer]) -> str:
    names = sorted({row.knob for row in rows})
    by_pair = {(row.knob, row.beside): row for row in rows}
    head = f"## {place}, kernel {rows[0].kernel}\n\n| knob | alone | {' | '.join(names)} |\n" + "|---" * (
        len(names) + 2
    )
    lines = []
    for name in names:
        fields = [by_pair.get((name, beside)) for beside in ("", *names)]
        lines.append(f"| {name} | {' | '.join(_SIGNS[one.answer] if one else '' for one in fields)} |")
    return "\n".join([head + "|", *lines, ""])


def _changes(rows: list[Answer]) -> str:
    alone = {row.knob: row.answer for row in rows if not row.beside}
    lacking = {knob for knob, answer in alone.items() if answer == "cannot be"}
    changed = [row for row in rows if row.beside and row.answer != alone[row.knob] and row.beside not in lacking]
    lines = [
        f"- {row.knob} beside {row.beside}: {row.answer} (alone: {alone[row.knob]}). {row.evidence}" for row in changed
    ]
    return "\n".join(["What acts otherwise than alone:\n", *(lines or ["- nothing"]), ""])


def main(arguments: list[str]) -> int:
    """Try a place, or write the page."""
    if arguments:
        with tempfile.TemporaryDirectory() as scratch:
            keep(arguments[0], try_all(arguments[0], Path(arguments[1] if len(arguments) > 1 else scratch)))
    PAGE.write_text(page(kept()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
