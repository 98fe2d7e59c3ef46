"""Which of Mininet's own topologies and examples come up and ping all, by either engine: a table of docs/topologies.md.

`sudo .venv/bin/python -m tools.mininet_table [NAME...]` builds them, one after another, with the Mininet that is
installed, and writes the table between the marks; with names, it prints the rows of these alone.
"""

from __future__ import annotations

import json
import pkgutil
import re
import sys
from pathlib import Path

import mininet.examples

from harness.errors import PollbenchError
from harness.kernel.journal import open_journal
from harness.spec.toponame import load_topology
from harness.testbed import open_testbed
from harness.testbed.reach import ping_all

PAGE = Path(__file__).parent.parent / "docs" / "topologies.md"
BEGIN, END = "<!-- mininet's own -->", "<!-- end of mininet's own -->"
BUILT_IN = ("minimal", "single,4", "reversed,4", "linear,4", "linear,2,2", "tree,2,3", "torus,3,3")
# Examples by what of them is a topology, where that is not what the program makes; and those that are no network.
CHOSEN = {
    "linearbandwidth": "LinearTestTopo,4",
    "linuxrouter": "NetworkTopo",
    "multilink": "simpleMultiLinkTopo,2",
    "natnet": "InternetTopo",
    "vlanhost": "VLANStarTopo",
}
TOO_LARGE = {"tree1024"}
# Loops of bridges, which need a tree; the two ways in which Mininet forwards without a controller.
SETTINGS = {"torus,3,3": [("stp", "on")]}
ENGINES: dict[str, list[tuple[str, str]]] = {
    "netlink": [],
    "LinuxBridge": [("engine", "mininet")],
    "OVSBridge": [("engine", "mininet"), ("emulator", json.dumps({"switch": "OVSBridge"}))],
}
_PLACE = re.compile(r"\S+/site-packages/mininet/(?:examples/)?")


def names() -> list[str]:
    """Every topology of Mininet's and every example of it, as `pollbench topology` takes them."""
    found = sorted(module.name for module in pkgutil.iter_modules(mininet.examples.__path__))
    examples = [f"mininet.examples.{name}:{CHOSEN.get(name, '__main__')}" for name in found if name not in TOO_LARGE]
    return [*BUILT_IN, *examples]


def outcome(name: str, engine: str) -> str:
    """What comes of it: how many of the pairs answer, or why there is no testbed."""
    try:
        made = load_topology(name, [*SETTINGS.get(name, []), *ENGINES[engine]])
        with open_journal() as journal, open_testbed(made, napi=False, journal=journal) as testbed:
            reach = ping_all(testbed)
    except PollbenchError as error:
        return _PLACE.sub("", error.got)[:140].replace("|", "/")
    got = reach.asked - len(reach.unreached)
    return f"complete ({got})" if got == reach.asked else f"{got} of {reach.asked} answer"


def row(name: str) -> str:
    """The table's row of a topology: one cell where all engines say the same."""
    cells = [outcome(name, engine) for engine in ENGINES]
    short = name.removeprefix("mininet.examples.").removesuffix(":__main__")
    if len(set(cells)) == 1 and not cells[0].startswith("complete"):
        cells = [cells[0], "the same", "the same"]
    return f"| `{short}` | {' | '.join(cells)} |"


def main(chosen: list[str]) -> None:
    """Print the rows, and put them in the page where all were asked for."""
    rows = []
    for name in chosen or names():
        rows.append(row(name))
        print(rows[-1], flush=True)
    if not chosen:
        head = [f"| | {' | '.join(ENGINES)} |", "|---" * (len(ENGINES) + 1) + "|"]
        page = PAGE.read_text()
        start, end = page.index(BEGIN) + len(BEGIN), page.index(END)
        PAGE.write_text(page[:start] + "\n" + "\n".join([*head, *rows]) + "\n" + page[end:])


if __name__ == "__main__":
    main(sys.argv[1:])
