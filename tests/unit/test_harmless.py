"""No file, name or program reaches the terminal but as text: every command that prints, with every kind of escape."""

from __future__ import annotations

import argparse
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from harness.cli import terminal
from harness.cli.parser import build_parser
from harness.cli.progress import HostBoard
from harness.cli.terminal import Harmless, harmless
from harness.kernel import journal
from harness.store import SAMPLE_DTYPE, ResultSet
from harness.tables import write_tables
from tests import command, experiment
from tests.unit import synthetic
from tests.unit.test_suite import keep as keep_suite

# ESC alone, CSI, OSC (a title, a link), DCS, C1 forms of CSI and OSC, CR, backspace, bell, bidirectional overrides and
# isolates, separators that some terminals take for line feeds.
NASTY = (
    "\x1b", "\x1b[2J", "\x1b]0;owned\x07", "\x1b]8;;http://x\x1b\\", "\x1bP1$r\x1b\\", "\x9b31m", "\x9d0;x\x9c",
    "\r", "\b", "\x07", "\x7f", "\u202e", "\u2066", "\u2028", "\u200f", "\ufeff",
)  # fmt: skip
TEXT = "a" + "b".join(NASTY) + "c"
OBEYED = {*"".join(NASTY)} - {*"[2J]0;owned8http://x\\P1$r31mx"}


def clean(done: Any) -> str:
    """What a command printed, which holds nothing that a terminal obeys."""
    text: str = done.stdout + done.stderr
    assert not OBEYED & set(text), [hex(ord(char)) for char in OBEYED & set(text)]
    assert done.returncode in (0, 1, 2, 3, 4), text
    return text


def nasty_experiment(directory: Path) -> Path:
    """Names cannot hold them; descriptions, notes, commands and keys can."""
    document = experiment.document(
        description=TEXT,
        cases={"base": {"description": TEXT}, "other": {"description": TEXT, "workload": {"duration": "90ms"}}},
        claims={"it": {"sentence": TEXT, "advice": TEXT, "expect": [{"case": "other", "direction": "same"}]}},
    )
    path = directory / f"file{TEXT.replace('/', '')}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=False))
    return path


def broken_experiment(directory: Path) -> Path:
    document = experiment.document(**{TEXT: 1}, contention={"on": TEXT, "kind": TEXT, TEXT: 1}, sweep={TEXT: [TEXT]})
    document["topology"] |= {"mininet": TEXT}
    path = directory / "broken.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=False))
    return path


def nasty_set(directory: Path) -> Path:
    """Every text of every record, of the plan and of the manifest."""
    plan = synthetic.FakePlan(blocks=2)
    document = plan.to_json() | {"description": TEXT, "name": TEXT}
    plan.to_json = lambda: document  # type: ignore[method-assign]
    results = ResultSet.create(directory, "set", "20261122T101500Z", b"x: 1\n", plan, {"kernel": {"release": TEXT}})
    raw = np.zeros(10, SAMPLE_DTYPE)
    for number, record in enumerate(synthetic.result_set(2, troubled=True)):
        results.save_run(record, raw)
        path = results.path / "runs" / record.run_id / "run.json"
        spoilt = json.loads(path.read_text())
        spoilt |= {"case": spoilt["case"] + TEXT, "reasons": [TEXT], "factors": {f"k{TEXT}": TEXT}}
        spoilt["environment"] |= {"kernel": TEXT, TEXT: TEXT}
        spoilt["knobs"] = [knob | {"knob": TEXT, "evidence": TEXT, "node": TEXT} for knob in spoilt["knobs"]]
        path.write_text("{" if number == 3 else json.dumps(spoilt))
    write_tables(results)
    return results.path


def nasty_table(directory: Path) -> Path:
    path = directory / "runs.csv"
    cell = TEXT.replace("\r", "").replace("\u2028", "")
    path.write_text(f'case,"k{cell}",rtt_p50_us\n"base{cell}",1,5\n"other{cell}",1,6\n"base{cell}",1,5\n', newline="")
    return path


def nasty_output(directory: Path) -> Path:
    path = directory / "raw"
    path.mkdir()
    source = Path(__file__).parents[1] / "golden" / "import" / "sockperf.txt"
    (path / f"{TEXT.replace('/', '')}.txt").write_text(source.read_text() + TEXT)
    return path


def nasty_journal(directory: Path) -> Path:
    state = directory / "state"
    (state / "abc123").mkdir(parents=True)
    lines = [
        {"kind": "owner", "pid": 1, "what": TEXT},
        {"n": 2, "kind": "value", "path": TEXT, "found": "1", "wrote": TEXT},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + TEXT + "\n"
    (state / "abc123" / "journal").write_text(text)
    return state


Words = list[str | Path]


def experiments(directory: Path) -> Iterator[tuple[str, Words]]:
    for path in (nasty_experiment(directory), broken_experiment(directory)):
        yield "validate", [path]
        yield "validate", ["--json", path]
        for name in ("plan", "run", "calibrate"):
            more: Words = [] if name == "plan" else ["--dry-run"]
            yield name, [path, *more]
            yield name, [path, "--json", *more]
            yield name, [path, "--case", TEXT, *more]
        yield "tune", [path, "--plan"]
        yield "vm", ["run", path, "--dry-run"]
        yield "fleet", ["run", path, "-i", f"one{TEXT.replace(',', '')},", "--dry-run"]
        yield "doctor", [path, "--host", TEXT]
        yield "examples", [TEXT]
        yield "examples", ["pair", "-o", path]
        yield "topology", [path]
        for form in ("json", "dot", "svg"):
            yield "topology", [path, "--format", form]
        yield "up", [path, "--name", TEXT]
        yield "gallery", ["--list", "--from", directory]
    yield "gallery", ["--no-run", "--from", directory, "-o", directory / "gallery"]
    yield "suite", ["--no-run", "-o", directory / TEXT, "--kernel", f"{TEXT}=x"]
    yield "vm", ["bisect", path, "--tree", TEXT, "--good", TEXT, "--bad", TEXT, "--fail-if", TEXT]
    yield "plan", [directory / TEXT.replace("/", "")]
    yield "down", [TEXT]
    yield "enter", [TEXT, "--name", TEXT]


def results(directory: Path) -> Iterator[tuple[str, Words]]:
    path, table = nasty_set(directory), nasty_table(directory)
    for form in ("text", "markdown", "csv", "json"):
        yield "show", [path, "--format", form]
        yield "compare", [path, table, "--format", form]
        yield "compare", [table, "--baseline", f"base{TEXT}", "--format", form]
        yield "compare", [path, path, "--format", form, "--by", TEXT, "--filter", f"{TEXT}=1"]
        yield "trend", [path, table, "--format", form]
    yield "compare", [path, table, "--format", "kernel"]
    yield "compare", [path, path, "--fail-if", "rtt_p50_us > +5%"]
    yield "compare", [path, path, "--fail-if", TEXT]
    yield "compare", [path, path, "--fail-if", "rtt_p50_us > +5%", "--ktap", "-", "--junit", "-"]
    yield "trend", [f"{TEXT}={path}", table, "--label", TEXT, "-o", directory / "trend.html"]
    yield "export", [path, table, "--format", "openmetrics"]
    yield "export", [path, table, "--format", "parquet", "-o", directory / TEXT.replace("/", "")]
    yield "show", [path, "--baseline", TEXT]
    yield "report", [path, "-o", directory / "page.html"]
    yield "explain", [path, "--case", TEXT]
    yield "plot", [path, "--kind", "ecdf", "-o", directory / "x.svg", "--case", TEXT]
    yield "reproduce", [path, "--against", path]
    keep_suite(directory / "suite", "20261101T000000Z", ("6.12", f"../7.3{TEXT}"))
    yield "suite", ["--no-run", "-o", directory / "suite", "--fail-if", "rtt_p50_us > +5%", "--ktap", "-"]
    yield "merge", [path, path, "-o", directory / "merged"]
    yield "import", ["auto", nasty_output(directory), "-o", directory / "out"]
    yield "import", [TEXT, directory / "raw"]
    yield "import", ["--list"]


def others(directory: Path) -> Iterator[tuple[str, Words]]:
    nasty_journal(directory)
    yield "clean", ["--dry-run"]
    yield "clean", ["--dry-run", "--json"]
    yield "clean", []
    yield "doctor", ["--json"]
    yield "schema", []
    yield "completion", ["bash"]
    yield "host", ["show", "--profile", TEXT]
    yield "host", ["show", "--device", TEXT]
    yield "vm", ["info"]
    yield TEXT, []


@pytest.mark.slow
def test_no_command_prints_what_a_terminal_obeys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the parser, which knows them all: a new one is added to the groups above."""
    monkeypatch.setattr("harness.kernel.facts.online_cpus", lambda: {0, 1})
    monkeypatch.setattr("harness.run.capabilities.of_this_host", lambda: {TEXT: TEXT})
    shown = 0
    tried: list[str] = []
    for group in (experiments, results, others):
        directory = tmp_path / group.__name__
        directory.mkdir()
        monkeypatch.chdir(directory)
        monkeypatch.setattr(journal, "clean", _in_state(_CLEAN, directory / "state"))
        monkeypatch.setattr(journal, "stale", _in_state(_STALE, directory / "state"))
        for name, words in group(directory):
            text = clean(command.call(name, *words))
            tried.append(name)
            shown += "\\u001b" in text or "\\u009b" in text or "a?b" in text
    assert shown > len(tried) // 2, "what is spelt out is still there to be read"
    actions = build_parser()._subparsers
    assert actions is not None
    (commands,) = (action for action in actions._group_actions if isinstance(action, argparse._SubParsersAction))
    assert set(commands.choices) <= set(tried)


_CLEAN, _STALE = journal.clean, journal.stale


def _in_state(function: Callable[..., Any], state: Path) -> Callable[..., Any]:
    """The function as it would be with the state directory of a test."""
    return lambda **more: function(**more, state=state)


def test_the_filter_spells_out_as_json_does() -> None:
    spelt = harmless(TEXT)
    assert not OBEYED & set(spelt)
    assert json.loads(f'"{harmless(chr(27) + chr(0x9B) + chr(0x202E) + chr(13))}"') == "\x1b\x9b\u202e\r"
    assert harmless("tab\tline\nÄ ─ 漢 😀") == "tab\tline\nÄ ─ 漢 😀"


def test_a_stream_behind_the_filter_is_still_a_stream() -> None:
    inner = io.StringIO()
    stream = Harmless(inner)
    print("a\x1b[1m", file=stream)
    assert inner.getvalue() == "a\\u001b[1m\n"
    assert stream.isatty() is False  # type: ignore[operator]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_our_own_styles_stay_and_no_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    path = nasty_set(tmp_path)
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    from harness import cli

    assert cli.main(["show", str(path)]) == 0
    text = screen.getvalue()
    assert "\x1b[1m" in text, "bold headings"
    rest = terminal._STYLE.sub("", text)
    assert not OBEYED & set(rest)
    assert "\x1b[31mred" not in text


def test_progress_moves_the_cursor_and_its_texts_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    board = HostBoard(["one"])
    board.tell("one", f"at work {TEXT}")
    board.tell("one", f"done {TEXT}", "done")
    text = screen.getvalue()
    # Twice a head and a row.
    assert text.count("\r\x1b[K") == 4 and text.count("\x1b[2A") == 1
    assert not OBEYED & set(text.replace("\r\x1b[K", "").replace("\x1b[2A", ""))


def test_tables_in_files_are_left_as_they_are(tmp_path: Path) -> None:
    path = nasty_set(tmp_path)
    before = {file.name: file.read_bytes() for file in path.glob("*.csv")}
    assert "\x9b".encode() in before["runs.csv"]
    command.call("show", path)
    assert {file.name: file.read_bytes() for file in path.glob("*.csv")} == before
    shutil.rmtree(path)
