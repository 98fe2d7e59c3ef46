"""With exactly the capabilities that docs/reliability.md lists, a run does all it does as root; with one less, not."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests import command, experiment
from tests.command import ROOT

PAGE = ROOT / "docs" / "reliability.md"
# Of linux/capability.h.
NUMBERS = {"CHOWN": 0, "DAC_OVERRIDE": 1, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_ADMIN": 21, "SYS_NICE": 23}


def listed() -> dict[str, str]:
    """Capability to what the page says it is for: first those of every run, then those of some."""
    text = PAGE.read_text().partition("<!-- capabilities -->")[2].partition("<!-- end -->")[0]
    return dict(re.findall(r"^\| `CAP_([A-Z_]+)` \| (.*) \|$", text, re.MULTILINE))


def of_every_run() -> list[str]:
    return [name for name, use in listed().items() if use.startswith("every run")]


def run(tmp_path: Path, capabilities: list[str], owner: str = "", **changes: Any) -> tuple[str, str]:
    """The verdict of a run as user 0 with these capabilities alone ("": it came to none), and what was printed."""
    path, out = experiment.write(tmp_path, **changes), tmp_path / "out"
    out.mkdir(exist_ok=True)
    environment = {}
    if owner:
        os.chown(out, int(owner), int(owner))
        environment |= {"SUDO_UID": owner, "SUDO_GID": owner}
    numbers = [NUMBERS[name] for name in capabilities]
    done = command.run("run", path, "-o", out, env=environment, capabilities=numbers)
    tables = sorted(out.glob("*/*/runs.csv"))
    verdict = str(pd.read_csv(tables[-1])["verdict"][0]) if tables else ""
    return verdict, done.stdout + done.stderr


SHAPED = {
    "nodes": {"client": {"cpus": "0"}, "server": {"cpus": "1"}},
    "links": [{"between": ["client", "server"], "shape": {"rate": "1gbit"}}],
}
# Something of every kind that a run does to a host, but for what has a capability of its own.
ALL_KINDS: list[dict[str, Any]] = [
    {"settings": {"*": {"busy_poll": {"usecs": 50}, "host_busy_poll": {"busy_read": 50, "busy_poll": 50}}}},
    {"settings": {"*": {"coalesce": {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "20us"}}}},
    {"contention": {"on": "server.cpus", "kind": "network"}},
]
NICE: list[dict[str, Any]] = [
    {"settings": {"server": {"process": {"policy": "fifo", "priority": 10}}}},
    {"settings": {"server": {"process": {"nice": -5}}}},
    {"settings": {"server": {"threaded_napi": {"cpus": "1"}}}},
]
MADE = ("valid", "suspect", "inert")


@pytest.mark.parametrize("changes", ALL_KINDS, ids=["sockets and host", "devices", "a flow of the hogs' own"])
def test_a_run_needs_no_more_than_these(tmp_path: Path, changes: dict[str, Any]) -> None:
    verdict, text = run(tmp_path, of_every_run(), topology=SHAPED, **changes)
    assert verdict in MADE, text


@pytest.mark.parametrize("missing", ["NET_ADMIN", "SYS_ADMIN", "NET_RAW"])
def test_and_no_less(tmp_path: Path, missing: str) -> None:
    assert missing in of_every_run()
    others = [name for name in of_every_run() if name != missing]
    verdict, text = run(tmp_path, others, topology=SHAPED)
    assert verdict in ("failed", "skipped") and "not permitted" in text, text


@pytest.mark.parametrize("changes", NICE, ids=["policy", "nice", "NAPI thread"])
def test_what_needs_one_more_has_its_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert "SYS_NICE" in listed()
    verdict, text = run(tmp_path, of_every_run(), **changes)
    assert verdict in ("failed", "skipped"), text
    verdict, text = run(tmp_path, [*of_every_run(), "SYS_NICE"], **changes)
    assert verdict in MADE, text


def test_results_for_who_typed_sudo_need_two_more(tmp_path: Path) -> None:
    more = [name for name, use in listed().items() if use.startswith("sudo")]
    assert sorted(more) == ["CHOWN", "DAC_OVERRIDE"]
    for lacking in more:
        verdict, text = run(tmp_path, [*of_every_run(), *(name for name in more if name != lacking)], owner="12345")
        assert verdict == "" and "choose a directory you can write to" in text
    verdict, text = run(tmp_path, [*of_every_run(), *more], owner="12345")
    assert verdict in MADE, text
    assert {path.stat().st_uid for path in (tmp_path / "out").rglob("*")} == {12345}


def test_every_line_of_the_page_is_tried_here() -> None:
    assert set(listed()) == NUMBERS.keys()
