"""Keeps the small files of a gallery as the reference set, and writes docs/busy-polling.md's figures from it.

python -m tools.gallery_reference results/gallery            keep that gallery, then write the page's figures
python -m tools.gallery_reference                            write the figures from the set that is kept
python -m tools.gallery_reference results/gallery-vm vm      keep another as results/reference/gallery-vm
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from harness.claims.source import claims_of
from harness.plots.spots import Spots, spots
from harness.report import words
from harness.tables.source import load_source

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "results" / "reference" / "gallery"
PAGE = ROOT / "docs" / "busy-polling.md"
TABLES = ("gallery.html", "claims.csv", "claims.json")
OF_A_SET = ("experiment.yaml", "runs.csv", "summary.csv")
_BLOCK = re.compile(r"(<!-- (claim|grid|verdicts|measured): ?([^ >]*) -->\n).*?(<!-- end -->)", re.DOTALL)


def keep(gallery: Path, target: Path = REFERENCE) -> None:
    """Copy a gallery's page, tables and each set's tables, and one manifest; raw samples stay where they are."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in TABLES:
        shutil.copy(gallery / name, target / name)
    for entry in json.loads((target / "claims.json").read_text()):
        if not entry["set"]:
            continue
        source, into = gallery / entry["set"], target / entry["experiment"]
        into.mkdir()
        for name in OF_A_SET:
            shutil.copy(source / name, into / name)
        if not (target / "manifest.json").exists():
            shutil.copy(source / "manifest.json", target / "manifest.json")


def render(page: str, reference: Path = REFERENCE) -> str:
    """The page with every generated block written anew. KeyError for a claim that the reference set has not."""
    entries = json.loads((reference / "claims.json").read_text())
    found = {f"{entry['experiment']}/{each['name']}": each for entry in entries for each in entry["claims"]}

    def block(match: re.Match[str]) -> str:
        kind, name = match[2], match[3]
        made = {"claim": _claim, "grid": _grid, "verdicts": _verdicts, "measured": _measured}[kind]
        return f"{match[1]}{made(found, name, reference)}{match[4]}"

    return _BLOCK.sub(block, page)


def _claim(found: dict[str, Any], name: str, _: Path) -> str:
    """A claim in a quotation: sentence, verdict, and what was seen of its conditions."""
    each = found[name]
    file = name.partition("/")[0]
    lines = [
        f"> {each['sentence']}",
        f"> **{each['verdict']}** ([{file}](../experiments/claims/{file}.yaml))",
    ]
    if each["reason"]:
        lines[-1] += f": {each['reason']}"
    lines += [f"> - {line}" for line in each["evidence"]] if not each["reason"] else []
    return "\n".join([lines[0], ">", lines[1], ">", *lines[2:]]).rstrip("\n>") + "\n"


def _verdicts(found: dict[str, Any], _: str, __: Path) -> str:
    """Every claim with its verdict."""
    rows = [
        f"| {name.partition('/')[0]} | {each['sentence']} | {each['verdict']} |"
        for name, each in found.items()
    ]
    return "\n".join(["| experiment | claim | verdict |", "|---|---|---|", *rows]) + "\n"


def _measured(_: dict[str, Any], __: str, reference: Path) -> str:
    """Where the figures are from."""
    facts = json.loads((reference / "manifest.json").read_text())
    environment = next(reference.glob("*/runs.csv"))
    runs = load_source(environment).runs
    said = [
        f"kernel {runs['kernel'].iloc[0]}",
        str(runs["cpu_model"].iloc[0]),
        f"under {runs['virtualisation'].iloc[0]}",
    ]
    command = " ".join(str(word) for word in facts.get("command", ()))
    return f"Measured on {', '.join(said)}, by `{command}`.\n"


def _grid(_: dict[str, Any], name: str, reference: Path) -> str:
    """The picture of a claim that is a table, as one."""
    file, claim = name.split("/")
    source = load_source(reference / file)
    wanted = claims_of(source.plan["document"])[claim]
    assert wanted.picture is not None
    data = spots(source, wanted.picture, tuple(wanted.include))
    return _table(data)


def _table(data: Spots) -> str:
    xs, marked = data.values(data.x), data.diagonal()
    rows = [f"| {data.y} \\ {data.x} | {' | '.join(xs)} |", "|---" * (len(xs) + 1) + "|"]
    for y in data.values(data.y):
        fields = []
        for x in xs:
            spot = data.at(x, y)
            said = words.short(spot.estimate.median if spot else None)
            fields.append(f"**{said}**" if (x, y) in marked else said)
        rows.append(f"| {y} | {' | '.join(fields)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        keep(Path(sys.argv[1]), REFERENCE.with_name("-".join(["gallery", *sys.argv[2:]])))
    PAGE.write_text(render(PAGE.read_text()))
