"""Histories of many sets: where a level changes, what is said of it, and what never counts as a change."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from harness.analysis.trend import History
from harness.analysis.trend.judge import least_sets
from harness.analysis.trend.model import Moment
from harness.kernel.software import commit_at
from harness.report.charts.history import history_chart
from harness.stats import breaks
from tests.command import call

SETS, STEP_AT = 20, 12
_SAMPLE = re.compile(r"^(\w+)\{(.*)\} ([\d.]+) (\d+)$", re.MULTILINE)
HEAD = "case,contention.load,block,started_utc,verdict,kernel,rtt_p50_us,rtt_p99_us,cpu_us_per_request"
LEVELS = {"base": 61.0, "busypoll50": 7.5, "defer20": 128.0}


def history(base: Path, scales: Sequence[float], **manifest: str) -> Path:
    """A directory of sets, one a day from 2026-10-01 on, whose times are so many times the usual ones."""
    for day, scale in enumerate(scales):
        begun = datetime(2026, 10, 1, 10, tzinfo=UTC) + timedelta(days=day)
        place = base / "exp" / begun.strftime("%Y%m%dT%H%M%SZ")
        place.mkdir(parents=True)
        lines = [HEAD]
        for (case, us), load, block in product(LEVELS.items(), ("0%", "100%"), (1, 2, 3)):
            us *= scale * (1 + 0.002 * block) * (2 if load == "100%" else 1)
            time = (begun + timedelta(seconds=17 * (len(lines) - 1))).strftime("%Y-%m-%dT%H:%M:%SZ")
            lines.append(f"{case},{load},{block},{time},valid,6.{9 + day // 4}.0,{us:.3f},{3 * us:.3f},{us / 4:.3f}")
        (place / "runs.csv").write_text("\n".join(lines) + "\n")
        if manifest:
            (place / "manifest.json").write_text(json.dumps({"commit": f"{day:02d}{manifest['commit']}"}))
    return base


def stepped(step: float) -> list[float]:
    """Scales of sets: noise of 2 %, and from STEP_AT on another level."""
    noise = np.random.default_rng(4).lognormal(0, 0.02, SETS)
    return [float(one) * (step if at >= STEP_AT else 1.0) for at, one in enumerate(noise)]


@pytest.fixture(scope="module")
def slower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return history(tmp_path_factory.mktemp("slower"), stepped(1.3), commit="c0ffee" * 6)


def changes_of(text: str) -> list[dict[str, Any]]:
    return [change for one in json.loads(text)["histories"] for change in one["changes"]]


def test_a_column_that_older_sets_lack_and_newer_leave_blank_tells_nothing_apart(tmp_path: Path) -> None:
    base = history(tmp_path, [1.0] * 4)
    for path in sorted(base.glob("exp/*/runs.csv"))[2:]:
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([f"{head},workload_timed", *(f"{row}," for row in rows)]) + "\n")
    document = json.loads(call("trend", base, "--json", "--metric", "rtt_p50_us").stdout)
    assert [len(one["sets"]) for one in document["histories"]] == [4] * 6


def test_a_step_is_dated_and_sized_and_fails_a_check(slower: Path) -> None:
    done = call("trend", slower, "--json", "--metric", "rtt_p99_us", "--fail-on-change")
    assert done.returncode == 6, done.stderr
    document = json.loads(done.stdout)
    cells = {(one["case"], one["factors"]["contention.load"]) for one in document["histories"]}
    assert cells == set(product(LEVELS, ("0%", "100%")))
    for change in changes_of(done.stdout):
        assert change["at"] == STEP_AT and change["begun"].startswith("2026-10-13") and change["judged"] == "worse"
        assert change["earliest"] <= STEP_AT <= change["latest"]
        assert change["low"] < 1.3 < change["high"] and change["p"] < 0.001
    assert len(changes_of(done.stdout)) == 6
    assert "--fail-on-change worse: RTT p99 29.8 % higher" in done.stderr


def test_it_is_said_in_one_sentence_for_all_cells(slower: Path) -> None:
    text = " ".join(call("trend", slower, "--metric", "rtt_p99_us").stdout.split())
    assert "- RTT p99 29.8 % higher from 2026-10-13 10:00 on (set 13 of 20" in text
    assert "and 3 more; worse" in text
    assert "none shown" not in text
    table = call("trend", slower, "--metric", "rtt_p99_us", "--filter", "case=base", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["level"] for row in rows] == (["1"] * STEP_AT + ["2"] * (SETS - STEP_AT)) * 2
    assert [row["label"] for row in rows if row["change_ratio"]] == ["2026-10-13 10:00"] * 2


def test_a_change_that_was_accepted_fails_no_more(slower: Path) -> None:
    assert call("trend", slower, "--fail-on-change", "--since", "2026-10-18").returncode == 0
    assert call("trend", slower, "--fail-on-change", "--since", "2026-10-05").returncode == 6
    assert call("trend", slower, "--fail-on-change", "--since", "6.13.0", "--label", "kernel").returncode == 0
    hashed = call("trend", slower, "--fail-on-change", "--since", "2026abcdef")
    assert hashed.returncode == 2, "no commit of that name is there, and it is no time"
    wrong = call("trend", slower, "--since", "v9")
    assert wrong.returncode == 2
    assert "no set is called so" in wrong.stderr and "2026-10-01 10:00" in wrong.stderr


def test_sets_are_called_and_ordered_as_asked(slower: Path) -> None:
    one = ("--json", "--metric", "rtt_p50_us", "--filter", "case=base", "--filter", "contention.load=0%")
    by_kernel = json.loads(call("trend", slower, "--label", "kernel", *one).stdout)["histories"]
    assert [moment["label"] for moment in by_kernel[0]["sets"]][::4] == [
        "6.9.0",
        "6.10.0",
        "6.11.0",
        "6.12.0",
        "6.13.0",
    ]
    by_commit = json.loads(call("trend", slower, "--label", "git", *one).stdout)["histories"]
    assert by_commit[0]["sets"][STEP_AT]["label"] == "12c0ffeec0"
    newest = max((slower / "exp").iterdir())
    typed = json.loads(call("trend", f"patched={newest}", slower, *one).stdout)["histories"][0]["sets"]
    assert [moment["label"] for moment in typed[-2:]] == ["2026-10-19 10:00", "patched"]
    apart = json.loads(call("trend", slower, "--by", "kernel", *one).stdout)["histories"]
    assert [len(one["sets"]) for one in apart] == [4] * 5
    wrong = call("trend", slower, "--label", "kernal")
    assert wrong.returncode == 2 and "did you mean 'kernel'" in wrong.stderr


def test_nothing_is_claimed_of_noise_nor_of_few_sets(tmp_path: Path) -> None:
    history(tmp_path, stepped(1.0))
    done = call("trend", tmp_path, "--fail-on-change", "any")
    assert done.returncode == 0 and "No change of level is shown in 18 of 18" in " ".join(done.stdout.split())
    few = call("trend", *sorted((tmp_path / "exp").iterdir())[:4])
    assert "18 histories are too short to claim anything" in " ".join(few.stdout.split())
    assert call("trend", tmp_path / "none").returncode == 2


def test_tables_of_any_age_are_read(tmp_path: Path) -> None:
    for at, us in enumerate((50, 51, 49, 50.5, 49.5, 50.2, 70, 71, 69, 70.5, 69.5, 70.2)):
        (tmp_path / f"{at:02d}.csv").write_text(f"case,rtt_p50_us\nbase,{us}\nbase,{us + 0.1}\nbase,{us - 0.1}\n")
    done = call("trend", *sorted(tmp_path.glob("*.csv")), "--json")
    (change,) = changes_of(done.stdout)
    assert change["at"] == 6
    assert any("tell no time" in note for note in json.loads(done.stdout)["notes"])


def test_the_page_draws_every_history(slower: Path, tmp_path: Path) -> None:
    done = call("trend", slower, "--metric", "rtt_p99_us", "-o", tmp_path / "trend.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "trend.html").read_text()
    assert page.count("<svg class") + page.count('class="chart"') >= 2
    assert page.count("data-tip") == 6 * SETS
    assert "http" not in page.split("</style>")[1].replace("http-equiv", "").replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("begun", "ticks"),
    [
        (("2026-12-01T08:57:03Z", "2026-12-01T09:10:00Z"), ["12-01 08:57", "12-01 09:10"]),
        (("2026-12-01T08:57:03Z", "2026-12-02T09:10:00Z"), ["2026-12-01", "2026-12-02"]),
    ],
)
def test_sets_of_one_day_are_told_apart_on_the_axis_by_the_time(begun: tuple[str, str], ticks: list[str]) -> None:
    moments = tuple(Moment(at[:16].replace("T", " "), at, "set", 1.0, 5, None) for at in begun)
    axis = history_chart([History("rtt_p50_us", "base", (), moments)], "here").x
    assert list(map(axis.text, axis.ticks())) == ticks


def test_random_orders_are_rarely_called_a_change() -> None:
    """300 histories at 5 %: more than 28 would have a chance of 1 in 1,000; far values make no difference."""
    for power in (1.0, 4.0):
        draw = np.random.default_rng(6)
        noise = draw.standard_normal((300, 20))
        wrong = sum(bool(breaks.jumps(np.sign(row) * np.abs(row) ** power, 0.05)) for row in noise)
        assert 4 <= wrong <= 28


def test_what_comes_and_goes_again_is_two_changes() -> None:
    values = np.random.default_rng(2).normal(100, 1, 30)
    values[10:18] += 10
    assert [jump.at for jump in breaks.jumps(values, 0.05)] == [10, 18]
    assert breaks.jump_p(np.full(30, 5.0)) == 1.0


def test_sets_that_resemble_the_ones_before_need_more_to_show_a_change() -> None:
    values = np.random.default_rng(3).normal(0, 1, 20) + np.repeat([0, 1.4], 10)
    assert breaks.jump_p(values) < breaks.jump_p(values, 0.5)
    assert least_sets(1) < least_sets(12)


def test_how_much_sets_resemble_the_ones_before_is_seen_beside_their_levels() -> None:
    def seen(lag: float, step: float) -> float:
        """By ten pages of twelve histories: one page's, beside a step, spreads by 0.17."""
        return float(
            np.mean([breaks.resemblance(page(np.random.default_rng(at), lag, step), 0.05) for at in range(10)])
        )

    def page(draw: np.random.Generator, lag: float, step: float) -> list[np.ndarray]:
        noise = draw.standard_normal((12, 40))
        for at in range(1, 40):
            noise[:, at] = lag * noise[:, at - 1] + np.sqrt(1 - lag**2) * noise[:, at]
        noise[:, 30:] += step
        return list(noise)

    # A standard error, 0.05 of 480 sets, is added, and the next twentieth above taken.
    assert max(seen(0.0, step) for step in (0.0, 5.0)) <= 0.1
    assert [seen(0.5, step) for step in (0.0, 5.0)] == pytest.approx([0.52, 0.52], abs=0.1)
    assert breaks.resemblance([np.ones(20), np.arange(3.0)], 0.05) == 0.0


def test_databases_get_every_set(slower: Path, tmp_path: Path) -> None:
    text = call("export", slower, "--format", "openmetrics").stdout
    assert text.endswith("\n# EOF\n")
    series: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for name, labels, value, time in _SAMPLE.findall(text):
        series.setdefault((name, labels), []).append((float(value), int(time)))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == sum(map(len, series.values())) == 3 * 3 * 6 * SETS
    mine = {labels: some for (name, labels), some in series.items() if name == "pollbench_rtt_p99_us"}
    parts = ('case="base"', 'contention_load="0%"', 'kernel="6.9.0"', 'estimate="median"')
    (base,) = (some for labels, some in mine.items() if all(part in labels for part in parts))
    assert [time for _, time in base] == [1790848800 + day * 86400 for day in range(4)]
    assert base[0][0] == pytest.approx(3 * 61 * stepped(1.3)[0] * 1.004, rel=1e-4)
    refused = call("export", slower, "--format", "parquet")
    assert refused.returncode == 2 and "-o DIR" in refused.stderr
    assert call("export", slower, "--format", "parquet", "-o", tmp_path).returncode == 0
    table = pq.read_table(tmp_path)
    assert table.num_rows == SETS * 18 and len(set(table["set"].to_pylist())) == SETS
    assert set(table["experiment"].to_pylist()) == {"exp"}


def test_a_table_that_names_no_kernel_is_exported_and_one_in_which_nothing_counts_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("case,verdict,p99_us\na,valid,3\na,valid,5\n")
    assert 'estimate="median"} 4\n' in call("export", path, "--format", "openmetrics").stdout
    path.write_text("case,verdict,p99_us\na,suspect,3\n")
    done = call("export", path, "--format", "openmetrics")
    assert done.returncode == 2 and "none has a run that counts" in done.stderr


def test_sets_of_one_name_are_not_written_over_each_other(slower: Path, tmp_path: Path) -> None:
    """As two hosts have them that begin within a second."""
    for host in ("one", "two"):
        shutil.copytree(next(path for path in slower.glob("*/*") if path.is_dir()), tmp_path / host / "exp" / "same")
    done = call("export", tmp_path, "--format", "parquet", "-o", tmp_path / "dataset")
    assert done.returncode == 2 and "set=same: two sets would be written there" in done.stderr
    assert not (tmp_path / "dataset").exists()


def test_a_set_is_called_by_the_commit_of_its_experiment_file(tmp_path: Path) -> None:
    git = ("git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "one")):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert commit_at(tmp_path / "deep" / "experiment.yaml") == head
    assert commit_at(Path("/proc/self/experiment.yaml")) is None
