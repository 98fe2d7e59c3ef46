"""Figures for papers: every kind in every form, the same bytes every time, and words where there is nothing to draw."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.analysis.curves import load_study
from harness.analysis.curves.gather import narrowed
from harness.analysis.summary import overview
from harness.errors import InputError
from harness.report.figures import KINDS, FigureRequest, draw
from harness.report.html import page
from tests.command import call
from tests.command import run as command
from tests.unit import pages


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small load sweep."""
    return pages.load_sweep(tmp_path_factory.mktemp("sweep"), blocks=4, count=2000, rates=(10, 40)).path


def request(path: Path, **how: object) -> FigureRequest:
    """What to draw of a set."""
    study = load_study(path)
    return FigureRequest(study, overview(study.source), **how)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def wanted(sweep: Path) -> FigureRequest:
    """What to draw of it."""
    return request(sweep)


# A form is written by one piece of matplotlib for all kinds; the heatmap has everything that a figure can hold.
# The slowest requests need a traced repetition: test_tail.py.
UNTRACED = [kind for kind in KINDS if kind != "slowest"]


@pytest.mark.parametrize(
    ("kind", "form"), [*((kind, "svg") for kind in UNTRACED), ("heatmap", "pdf"), ("heatmap", "png")]
)
def test_every_kind_and_every_form(wanted: FigureRequest, kind: str, form: str) -> None:
    begins = {"svg": b"<?xml", "pdf": b"%PDF-", "png": b"\x89PNG"}
    found = draw(kind, wanted, form)
    assert found.startswith(begins[form])
    assert len(found) > 4000


@pytest.mark.parametrize("form", ["svg", "pdf"])
def test_the_same_set_gives_the_same_bytes(sweep: Path, wanted: FigureRequest, form: str) -> None:
    assert draw("load", wanted, form) == draw("load", request(sweep), form)


def test_text_stays_text_and_carries_its_unit(wanted: FigureRequest) -> None:
    source = draw("load", wanted, "svg").decode()
    texts = set(re.findall(r"<text[^>]*>([^<]*)</text>", source))
    assert {"base", "busypoll", "rate, 1/s", "100 µs", "10k", "p99 round-trip time"} <= texts
    assert b"/FontFile2" in draw("load", wanted, "pdf")


def test_scales_and_words_are_those_of_the_report(wanted: FigureRequest) -> None:
    figure = set(re.findall(r"<text[^>]*>([^<]*)</text>", draw("ecdf", wanted, "svg").decode()))
    charts = re.findall(
        r'<svg [^>]*aria-label="(?:Distribution|Tail) of.*?</svg>', page([(wanted.study, wanted.view)]), re.DOTALL
    )
    assert len(charts) == 4
    for chart in charts:
        ticks = re.findall(r'<text [^>]*class="(?:tick|name)[^"]*">([^<]*)</text>', chart)
        assert "round-trip time" in ticks
        assert set(ticks) <= figure


def test_colours_are_those_of_the_report(wanted: FigureRequest) -> None:
    source = draw("ecdf", wanted, "svg").decode()
    assert all(mark.light in source for mark in wanted.marks.values())


def test_hostile_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    path = pages.hostile(tmp_path).path
    for kind in ("ecdf", "pareto", "timeline"):
        source = draw(kind, request(path), "svg").decode()
        ElementTree.fromstring(source)
        assert "<img" not in source
        assert "&lt;img src=x" in source


def test_a_metric_and_a_run_of_ones_own_choice(sweep: Path) -> None:
    assert b"CPU per request" in draw("heatmap", request(sweep, metric="cpu_us_per_request"), "svg")
    assert b"requests/s, 1/s" in draw("load", request(sweep, metric="rate_rps"), "svg")
    run = load_study(sweep).source.runs["run_id"].iloc[5]
    assert draw("timeline", request(sweep, runs=[run]), "svg").startswith(b"<?xml")
    with pytest.raises(InputError, match="there is no such run"):
        draw("timeline", request(sweep, runs=["nix"]), "svg")


@pytest.mark.parametrize("kind", UNTRACED)
def test_nothing_to_draw_is_said(tmp_path: Path, kind: str) -> None:
    path = pages.bare(tmp_path, "skipped", 3).path
    with pytest.raises(InputError, match="nothing to draw"):
        draw(kind, request(path), "svg")


def test_too_much_for_one_figure_asks_to_narrow_it(tmp_path: Path) -> None:
    path = pages.load_sweep(tmp_path, blocks=1, count=300, rates=tuple(range(10, 20))).path
    with pytest.raises(InputError, match="10 panels; narrow to 8 with --at"):
        draw("ecdf", request(path), "svg")
    study = narrowed(load_study(path), ["base"], {"workload.rate": "11k"})
    assert draw("ecdf", FigureRequest(study, overview(study.source)), "svg").startswith(b"<?xml")


def test_the_command(sweep: Path, tmp_path: Path) -> None:
    target = tmp_path / "figure.PDF"
    options = ["--kind", "timeline", "--case", "base", "--at", "workload.rate=40k", "--width", "3.4"]
    found = command("plot", sweep, *options, "-o", target)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    assert target.read_bytes().startswith(b"%PDF-")
    wrongs: tuple[tuple[list[str | Path], str], ...] = (
        (["--kind", "ecdf", "-o", tmp_path / "x.gif"], "name one of: svg, pdf, png"),
        (["--kind", "ecdf", "--case", "nix", "-o", target], "no run has 'nix'; there are: base"),
        (["--kind", "ecdf", "--at", "nix", "-o", target], "FACTOR=VALUE"),
        (["--kind", "nix", "-o", target], "invalid choice"),
    )
    for wrong, said in wrongs:
        refused = call("plot", sweep, *wrong)
        assert refused.returncode == 2
        assert said in refused.stderr


def test_without_matplotlib_the_way_to_get_it_is_told(sweep: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError('no', name='matplotlib')")
    root = str(Path(__file__).parent.parent.parent)
    found = command("plot", sweep, "--kind", "load", "-o", tmp_path / "x.svg", env={"PYTHONPATH": f"{tmp_path}:{root}"})
    assert (found.returncode, found.stderr) == (
        3,
        f"pollbench: plot: matplotlib is not installed; type: {sys.executable} -m pip install matplotlib\n",
    )


def written(path: Path, kind: str, *more: str) -> str:
    """What the command says, of a figure it cannot draw."""
    done = call("plot", str(path), "--kind", kind, *more, "-o", str(path.parent / "x.svg"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (path.parent / "x.svg").exists()
    return done.stderr


def test_what_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    least = tmp_path / "least.csv"
    least.write_text("case,rtt_p99_us\nbase,5\nbp,2\n")
    assert "raw samples" in written(least, "ecdf")
    assert "raw samples" in written(least, "timeline")
    for width in ("-3", "0", "nan", "inf", "1e6"):
        assert "expected 1 to 60" in written(least, "pareto", f"--width={width}")


def test_axes_without_a_valid_run_are_not_drawn_and_why_is_said(tmp_path: Path) -> None:
    path, target = tmp_path / "runs.csv", tmp_path / "x.svg"
    head = "case,workload.rate,verdict,rtt_p50_us,rtt_p99_us"
    rows = [f"{case},{rate},suspect,5,9" for case in "ab" for rate in ("10k", "20k")]
    path.write_text("\n".join([head, *rows, ""]))
    done = call("plot", str(path), "--kind", "load", "-o", str(target))
    assert (done.returncode, target.exists()) == (1, False)
    assert "none of 2 runs is valid (2 suspect)" in done.stderr
    done = call("plot", str(path), "--kind", "load", "-o", str(target), "--include", "suspect")
    assert (done.returncode, target.exists()) == (0, True)
    path.write_text("\n".join([head, *rows, "a,30k,valid,5,9", ""]))
    done = call("plot", str(path), "--kind", "summary", "--at", "workload.rate=30k", "-o", str(target))
    assert done.returncode == 0
    done = call("plot", str(path), "--kind", "summary", "-o", str(target))
    assert done.returncode == 1 and "not drawn: workload.rate = 10k" in done.stderr
    shown = call("show", str(path), "--include", "suspect")
    assert "4 suspect runs counted as valid, as asked by --include" in shown.stdout


def test_ticks_over_a_short_range_are_plain_numbers(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    rows = [f"{case},{cost},{10 * cost}" for case, cost in (("a", 8.1), ("b", 80.2))]
    path.write_text("\n".join(["case,cpu_us_per_request,rtt_p99_us", *rows, ""]))
    source = draw("pareto", request(path), "svg").decode()
    texts = set(re.findall(r"<text[^>]*>([^<]*)</text>", source))
    assert {"10 µs", "20 µs", "50 µs"} <= texts
    assert "mathdefault" not in source


def test_a_single_point_has_room_and_ticks(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("case,cpu_us_per_request,rtt_p99_us\nbase,10,100\nbase,10,100\n")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", draw("pareto", request(path), "svg").decode())
    assert sum(text.endswith(" µs") for text in texts) >= 4
