"""`pollbench import` as a shell starts it: what it prints, its exit codes, and what show and compare make of it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from harness.importers import FORMATS
from tests.command import run
from tests.unit import foreign
from tools import importing_doc

REAL = Path(__file__).parents[1] / "golden" / "import"


def imported(tmp_path: Path, *arguments: str | Path) -> Path:
    """Import, and the set it made."""
    done = run("import", *arguments, "-o", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    return Path(done.stderr.split("results: ")[1].strip())


def test_list() -> None:
    done = run("import", "--list")
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == [*FORMATS, "auto"] and names[0] == "irqsuspend" and names[1:-1] == sorted(names[1:-1])
    assert {"hdrhistogram", "iperf3", "neper", "netperf", "sockperf"} < set(names)


def test_the_page_lists_the_formats() -> None:
    page = importing_doc.PAGE.read_text()
    assert importing_doc.render_checked(importing_doc.render(page)) == page, "run make docs"
    assert all(f"| `{name}` |" in page for name in FORMATS)


def test_irqsuspend_from_raw_files_to_a_comparison(tmp_path: Path) -> None:
    source = foreign.irqsuspend(tmp_path / "raw", runs=5)
    done = run("import", "auto", source, "-o", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert "irqsuspend: 20 runs in 4 cells, 20 valid" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.strip().startswith(("testcase", "base"))]
    assert rows[0] == ["testcase", "load", "qps", "avglat", "95%lat", "99%lat", "cpu", "cpq", "ipq", "ppi"]
    assert rows[1] == ["base", "200K", "200020", "102", "204", "408", "26", "29997", "19998", "20"]
    assert "finding" not in done.stderr
    path = Path(done.stderr.split("results: ")[1].strip())
    shown = run("show", tmp_path / "results" / "raw")
    assert shown.returncode == 0, shown.stderr
    assert "defer20" in shown.stdout
    compared = run("compare", path, "--baseline", "base", "--format", "json")
    assert compared.returncode == 0, compared.stderr
    assert json.loads(compared.stdout)
    kernel = run("compare", path, "--baseline", "base", "--format", "kernel")
    assert kernel.returncode == 0, kernel.stderr
    assert "cpq" in kernel.stdout


def test_a_comparison_with_a_set_of_another_format(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(1, 6):
            text = foreign.NETPERF_RR.replace("48,", f"{48 + number * (2 if name == 'b' else 1)},")
            (tmp_path / name / f"rr-{number}.txt").write_text(text)
    first = imported(tmp_path, "netperf", tmp_path / "a")
    second = imported(tmp_path, "netperf", tmp_path / "b", "--case", "rr")
    done = run("compare", first, second, "--metric", "rtt_p99_us")
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(first / "summary.csv")
    assert [summary[name][0] for name in ("case", "n_valid", "rtt_p99_us")] == ["rr", 5, 51]


def test_the_manifest_names_source_and_hashes(tmp_path: Path) -> None:
    path = imported(tmp_path, "sockperf", REAL / "sockperf_tcp.txt", "--name", "mine")
    assert path.parent.name == "mine"
    origin = json.loads((path / "manifest.json").read_text())["import"]
    assert origin["format"] == "sockperf"
    assert origin["source"].endswith("sockperf_tcp.txt")
    assert len(origin["files"][0]["sha256"]) == 64
    assert any("doubled" in text for text in origin["conversions"])


def test_findings_are_told_and_shown(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "good.txt").write_text(foreign.NETPERF_RR)
    (tmp_path / "raw" / "bad.txt").write_text("")
    done = run("import", "netperf", tmp_path / "raw", "-o", tmp_path / "results")
    assert done.returncode == 0
    assert "1 finding, in imports.csv:" in done.stderr
    assert "bad.txt: it is empty" in done.stderr
    shown = run("show", tmp_path / "results" / "raw")
    assert "1 run failed, bad: bad.txt: it is empty" in " ".join(shown.stdout.split())
    assert "imports.csv" in shown.stdout


def test_text_of_foreign_files_is_no_formula(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "=HYPERLINK(1)-1.txt").write_text(foreign.NETPERF_RR)
    (tmp_path / "raw" / "@x.txt").write_text("")
    path = imported(tmp_path, "netperf", tmp_path / "raw")
    for name in ("runs.csv", "summary.csv", "imports.csv"):
        text = (path / name).read_text()
        assert "'=HYPERLINK" in text or name == "imports.csv"
        assert not any(cell.startswith(("=", "@")) for line in text.splitlines() for cell in line.split(","))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["import"], "a FORMAT and a PATH are needed"),
        (["import", "sockperf"], "a FORMAT and a PATH are needed"),
        (["import", "sockpref", "."], "did you mean 'sockperf'?"),
        (["import", "sockperf", "nowhere"], "No such file or directory"),
        (["import", "hdrhistogram", str(REAL / "table.hgrm")], "--unit us"),
        (["import", "auto", str(REAL / "hdr_expected.json")], "no file looks like a format"),
        (["import", "sockperf", str(REAL / "sockperf.txt"), "--name", "a/b"], "not usable as a directory name"),
        (["import", "irqsuspend", str(REAL)], "there is no run in it"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_valid_is_exit_code_1(tmp_path: Path) -> None:
    done = run("import", "sockperf", REAL / "sockperf_failed.txt", "-o", tmp_path)
    assert done.returncode == 1
    assert "1 failed" in done.stdout
