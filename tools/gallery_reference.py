"""Keeps the small files of a gallery as the reference set, and writes docs/busy-polling.md's figures from it.

python -m tools.gallery_reference results/gallery            keep that gallery, then write the page's figures
python -m tools.gallery_reference results/gallery-vm vm      keep one of guests as results/reference/gallery-vm
python -m tools.gallery_reference                            write the figures from the sets that are kept
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.analysis.claims.source import claims_of
from harness.analysis.curves.spots import Spots, spots
from harness.plan import load_experiment
from harness.report import words
from harness.report.html.pictures import beside
from harness.tables.source import load_source

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "results" / "reference" / "gallery"
GUESTS = REFERENCE.with_name("gallery-vm")
PAGE = ROOT / "docs" / "busy-polling.md"
TABLES = ("gallery.html", "claims.csv", "claims.json")
OF_A_SET = ("experiment.yaml", "runs.csv", "summary.csv")
FAILING = ("reversed", "does not hold here")
UNTESTABLE = "cannot be tested here"
_BLOCK = re.compile(r"(<!-- (claim|grid|verdicts|failing|measured): ?([^ >]*) -->\n).*?(<!-- end -->)", re.DOTALL)


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
            _copy(source / name, into / name)
        if not (target / "manifest.json").exists():
            _copy(source / "manifest.json", target / "manifest.json")


def _copy(source: Path, target: Path) -> None:
    """A file of a set, without what is the machine's own: command lines of its programs, its init's arguments."""
    text = re.sub(r": `/[^`\n]*`", "", source.read_text())
    target.write_text(re.sub(r'("cmdline": "[^"\n]*?) (?:rdinit=|init=|-- )[^"\n]*"', r'\1"', text))


@dataclass(frozen=True)
class Kept:
    """A gallery that was kept. claims: by EXPERIMENT/CLAIM, as its claims.json has them."""

    path: Path
    claims: dict[str, Any]

    @classmethod
    def at(cls, path: Path) -> Kept:
        """The gallery in a directory; one without claims where there is none."""
        file = path / "claims.json"
        entries = json.loads(file.read_text()) if file.exists() else []
        found = {f"{entry['experiment']}/{each['name']}": each for entry in entries for each in entry["claims"]}
        return cls(path, found)


def render(page: str, reference: Path = REFERENCE, guests: Path = GUESTS) -> str:
    """The page with every generated block written anew. KeyError for a claim that no kept gallery has."""
    host, guest = Kept.at(reference), Kept.at(guests)
    makers = {"claim": _claim, "grid": _grid, "verdicts": _verdicts, "failing": _failing, "measured": _measured}

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}{makers[match[2]](host, guest, match[3])}{match[4]}"

    return _BLOCK.sub(block, page)


def _claim(host: Kept, guest: Kept, name: str) -> str:
    """A claim in a quotation: its sentence, then each place's verdict with what was seen."""
    found = [(where, kept.claims[name]) for where, kept in _places(host, guest) if name in kept.claims]
    if not found:
        raise KeyError(name)
    file = name.partition("/")[0]
    tested = [each for each in found if each[1]["verdict"] != UNTESTABLE] or found[:1]
    lines = [f"> {tested[0][1]['sentence']} ([{file}](../experiments/claims/{file}.yaml))"]
    for where, each in tested:
        lines += [">", f"> {where}: **{each['verdict']}**{_because(each)}"]
        # The reason is its first line, where there is one.
        evidence = each["evidence"][bool(each["reason"]) :]
        if each["verdict"] != UNTESTABLE:
            lines += [">", *(f"> - {line}" for line in evidence)]
    return "\n".join(lines) + "\n"


def _because(claim: dict[str, Any]) -> str:
    return f": {claim['reason']}" if claim["reason"] else ""


def _places(host: Kept, guest: Kept) -> Iterable[tuple[str, Kept]]:
    return (("On the host", host), ("In a guest, model time", guest))


@cache
def shipped() -> frozenset[str]:
    """Every claim of the project's own files, as EXPERIMENT/CLAIM."""
    files = sorted((ROOT / "experiments" / "claims").glob("*.yaml"))
    return frozenset(f"{path.stem}/{name}" for path in files for name in load_experiment(path).claims)


def _rows(host: Kept, guest: Kept) -> list[tuple[str, str, str, str]]:
    """(name, sentence, verdict on the host, verdict in a guest) of every claim."""
    rows = []
    for name in sorted(shipped() & {*host.claims, *guest.claims}):
        both = [kept.claims.get(name) for kept in (host, guest)]
        sentence = next(each["sentence"] for each in both if each)
        verdicts = [each["verdict"] if each else "not run" for each in both]
        rows.append((name, sentence, verdicts[0], verdicts[1]))
    return rows


def _table_of(rows: Iterable[tuple[str, str, str, str]]) -> str:
    body = [f"| {name.partition('/')[0]} | {said} | {here} | {there} |" for name, said, here, there in rows]
    return "\n".join(["| experiment | claim | host | guest |", "|---|---|---|---|", *body]) + "\n"


def _verdicts(host: Kept, guest: Kept, _: str) -> str:
    """Every claim with its verdicts."""
    return _table_of(_rows(host, guest))


def _failing(host: Kept, guest: Kept, _: str) -> str:
    """The claims that fail somewhere."""
    return _table_of(row for row in _rows(host, guest) if set(row[2:]) & set(FAILING))


def _measured(host: Kept, guest: Kept, name: str) -> str:
    """Where the figures are from; name: "vm" for the guests."""
    kept = guest if name == "vm" else host
    facts = json.loads((kept.path / "manifest.json").read_text())
    runs = load_source(next(iter(sorted(kept.path.glob("*/runs.csv"))))).runs
    said = [
        f"kernel {runs['kernel'].iloc[0]}",
        str(runs["cpu_model"].iloc[0]),
        f"under {runs['virtualisation'].iloc[0]}",
    ]
    machine = facts.get("vm") or {}
    said += [f"QEMU {machine['qemu']['version']}, {machine['accelerator']}"] if machine else []
    # One gallery may have been run file by file, and each set's manifest names its own.
    given = (str(word) for word in facts.get("command", ()))
    command = " ".join(word for word in given if not (kept.path / word / "runs.csv").exists())
    return f"Measured on {', '.join(said)}, by `{command}`.\n"


def _grid(host: Kept, guest: Kept, name: str) -> str:
    """The picture of a claim that is a table, as one; "vm/" before its name: of the guests."""
    *where, file, claim = name.split("/")
    source = load_source((guest if where else host).path / file)
    wanted = claims_of(source.plan["document"])[claim]
    assert wanted.picture is not None
    include = tuple(wanted.include)
    return _table(spots(source, wanted.picture, include), beside(source, wanted.picture, include))


def _table(data: Spots, price: Spots | None) -> str:
    xs, marked = data.values(data.x), data.diagonal()
    rows = [f"| {data.y} \\ {data.x} | {' | '.join(xs)} |", "|---" * (len(xs) + 1) + "|"]
    for y in data.values(data.y):
        fields = []
        for x in xs:
            spot = data.at(x, y)
            said = words.short(spot.estimate.median if spot else None)
            second = price.at(x, y) if price else None
            said += f" ({words.short(second.estimate.median)})" if second else ""
            fields.append(f"**{said}**" if (x, y) in marked else said)
        rows.append(f"| {y} | {' | '.join(fields)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        keep(Path(sys.argv[1]), REFERENCE.with_name("-".join(["gallery", *sys.argv[2:]])))
    PAGE.write_text(render(PAGE.read_text()))
