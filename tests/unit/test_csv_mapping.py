"""What a user says of columns, typed or beside the file, and comparisons that nothing has in common."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import command
from tests.unit.test_csv_columns import pair, table


def wordy(case: str, at: int, level: float) -> str:
    return f"{case},{at % 2},{level},{level / 2}"


HEADER = "who,odd,lat99,other"


def document(*words: str | Path) -> dict[str, object]:
    done = command.call("compare", *words, "--json")
    assert done.returncode == 0, done.stderr
    loaded: dict[str, object] = json.loads(done.stdout)
    return loaded


def test_options_say_what_columns_are(tmp_path: Path) -> None:
    one, other = pair(tmp_path, HEADER, wordy)
    typed = ("--case-column", "who", "--factor", "odd", "--metric", "p99_us=lat99")
    rows = document(one, other, *typed)["rows"]
    assert isinstance(rows, list)
    assert {(row["metric"], tuple(row["factors"].items())) for row in rows} == {
        ("rtt_p99_us", (("odd", "0"),)),
        ("rtt_p99_us", (("odd", "1"),)),
    }
    in_ms = document(one, other, *typed, "--unit", "lat99=ms")["rows"]
    assert isinstance(in_ms, list)
    assert in_ms[0]["base"]["median"] == pytest.approx(1000 * rows[0]["base"]["median"])


def test_another_column_tells_cases_apart_and_the_case_is_swept(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "build,case,p99_us", lambda c, i, m: f"v{i % 2},{c},{m + i % 2}", runs=12)
    printed = json.loads(command.call("compare", path, "--case-column", "build", "--baseline", "v0", "--json").stdout)
    assert [(row["case"], row["factors"]) for row in printed["rows"]] == [
        ("v1", {"of case": "base"}),
        ("v1", {"of case": "poll"}),
    ]


def test_a_file_beside_the_table_says_the_same(tmp_path: Path) -> None:
    one, other = pair(tmp_path, HEADER, wordy)
    typed = document(one, other, "--factor", "odd", "--metric", "p99=lat99", "--unit", "ms", "--metric", "other")
    for path in (one, other):
        path.with_name(f"{path.name}.yaml").write_text(
            "factors: [odd]\nmetrics: {p99: lat99, other: other}\nunit: ms\n"
        )
    beside = document(one, other)
    assert typed["rows"] == beside["rows"]
    renamed = document(one, other, "--rename", "poll=busy")["rows"]
    assert isinstance(renamed, list)
    assert {row["case"] for row in renamed} == {"base", "busy"}


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("metric: p99\n", "1:1", "'metric' is no key; did you mean 'metrics'?"),
        ("case: who\nunits:\n  lat99: parsec\n", "3:10", "'parsec' is none"),
        ("unit: 5\n", "1:7", "'5' is none"),
        ("case: whom\n", "1:7", "no column 'whom'; did you mean 'who'?"),
        ("factors:\n  - odd\n  - even\n", "3:5", "no column 'even'"),
        ("metrics: {p99: lat98}\n", "1:16", "no column 'lat98'; did you mean 'lat99'?"),
        ("units: {lat98: us}\n", "1:16", "no column 'lat98'"),
        ("rename: {polls: busy}\n", "1:17", "no case or column 'polls'; did you mean 'poll'?"),
        ("per: packet\n", "1:6", "per is 'packet'; expected one of 'request' 'interval' 'run'"),
        ("decimal: ';'\n", "1:10", "decimal is ';'"),
        ("case: [who]\n", "1:7", "case is a list; expected a text"),
        ("metrics: lat99\n", "1:10", "metrics is a single value; expected lines of NAME: TEXT"),
        ("- who\n", "1:1", "the file is a list"),
        ("case: who: x\n", "1:10", "not YAML"),
    ],
)
def test_a_mistake_beside_the_table_is_named_by_its_place(tmp_path: Path, text: str, place: str, message: str) -> None:
    path = table(tmp_path / "a.csv", HEADER, wordy)
    path.with_name("a.csv.yaml").write_text(text)
    done = command.call("show", path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"{path}.yaml:{place}: " in done.stderr and message in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--factor", "evn"), "--factor: read the columns on column 'evn': no file has it"),
        (("--case-column", "whom"), "did you mean 'who'?"),
        (("--metric", "p99=lat98"), "did you mean 'lat99'?"),
        (("--metric", "p98x"), "metric 'p98x': no run has it"),
        (("--unit", "furlong"), "--unit: read a unit: 'furlong' is none; write ns, us, ms, s, % or bytes"),
        (("--unit", "lat98=us"), "no file has it"),
        (("--rename", "polls=busy"), "no file has such a case or column; there is base, poll"),
        (("--rename", "poll=base"), "a case 'base' is there already"),
        (("--rename", "poll"), "'poll' lacks a side of its ="),
        (("--per", "packet"), "invalid choice"),
    ],
)
def test_an_option_that_says_nothing_is_refused(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    one, other = pair(tmp_path, HEADER, wordy)
    done = command.call("compare", one, other, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and "Traceback" not in done.stderr


def refusal(tmp_path: Path, one: str, other: str, *words: str) -> str:
    """What `compare` of two tables says that refuses it."""
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path, text in zip(paths, (one, other), strict=True):
        path.write_text(text)
    done = command.call("compare", *paths, *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    return done.stderr


def rows(header: str, row: str, count: int = 5) -> str:
    return header + "\n" + "".join(row.replace("#", str(40 + at / 10)) + "\n" for at in range(count))


def test_nothing_in_common_is_one_sentence_that_says_why(tmp_path: Path) -> None:
    base = rows("config,p50_us", "base,#")
    message = refusal(tmp_path, base, rows("config,p50_us", "poll,#"))
    assert "A has the case base; B has the case poll; --rename poll=base says that these are the same" in message
    message = refusal(tmp_path, base, rows("size,p50_us", "64,#"))
    assert "B has no case column" in message
    message = refusal(tmp_path, rows("config,threads,p50_us", "x,1,#"), rows("config,threads,p50_us", "x,8,#"))
    assert "A has threads 1; B has threads 8" in message and "--by case" in message
    message = refusal(tmp_path, base, rows("config,threads,p50_us", "base,8,#"))
    assert "only B has the factor threads; name the same column in the other with --factor" in message
    message = refusal(
        tmp_path,
        rows("config,nthr,p50_us", "x,1,#").replace("x,1,40.4", "x,2,40.4").replace("x,1,40.3", "x,2,40.3"),
        rows("config,threads,p50_us", "x,1,#"),
    )
    assert "--rename threads=nthr says that these are the same" in message
    message = refusal(tmp_path, rows("config,p50", "base,#"), base)
    assert "no metric is on both sides: A has p50 (unit not stated); B has p50_us; state the unit of p50" in message
    message = refusal(tmp_path, base, rows("config,p99_us", "base,#"))
    assert "A has p50_us; B has p99_us" in message


def test_what_was_refused_compares_once_it_is_said(tmp_path: Path) -> None:
    for one, other, words in (
        (rows("config,p50_us", "base,#"), rows("config,p50_us", "poll,#"), ("--rename", "poll=base")),
        (rows("config,p50", "base,#"), rows("config,p50_us", "base,#"), ("--unit", "us")),
        (rows("config,depth,p50", "x,1,#"), rows("config,depth,p50", "x,8,#"), ("--by", "case")),
        (rows("config,nthr,p50", "x,1,#"), rows("config,threads,p50", "x,1,#"), ("--rename", "nthr=threads")),
    ):
        (tmp_path / "a.csv").write_text(one)
        (tmp_path / "b.csv").write_text(other)
        printed = document(tmp_path / "a.csv", tmp_path / "b.csv", *words)["rows"]
        assert isinstance(printed, list) and [row["ratio"] for row in printed] == [1.0]


def test_times_in_other_units_are_converted_and_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(rows("case,my_wait_us", "x,#"))
    (tmp_path / "b.csv").write_text(rows("case,my_wait_ms", "x,#e-3"))
    done = command.call("compare", tmp_path / "a.csv", tmp_path / "b.csv", "--json")
    printed = json.loads(done.stdout)
    (row,) = printed["rows"]
    assert row["metric"] == "my_wait_us" and row["test"]["median"] == pytest.approx(40.2, rel=0.01)
    assert any("my_wait_ms" in text and "times 1000" in text for text in printed["warnings"])
