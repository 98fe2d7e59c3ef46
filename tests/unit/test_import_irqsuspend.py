"""The campaign's directories: the published definitions hold, and no defect of a file is dropped or fatal."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.importers import FORMATS, ImportOptions, import_results
from harness.importers.files import gather
from harness.importers.irqsuspend.names import natural, parse_name
from harness.importers.model import ImportedRun, ImportedRuns
from tests.unit import foreign

STAMP = "20301020T010351Z"


def read(path: Path, compat: str = "") -> ImportedRuns:
    return FORMATS["irqsuspend"].read(gather(path), ImportOptions(compat="published" if compat else ""))


def run_of(reading: ImportedRuns, case: str, load: str = "200K", block: int = 1) -> ImportedRun:
    found = [run for run in reading.runs if (run.case, run.factors["load"], run.block) == (case, load, block)]
    assert len(found) == 1
    return found[0]


def said(reading: ImportedRuns, file: str) -> list[str]:
    return [finding.text for finding in reading.findings if finding.file == file]


def test_every_part_of_a_run(tmp_path: Path) -> None:
    reading = read(foreign.irqsuspend(tmp_path))
    assert reading.findings == []
    run = run_of(reading, "base")
    assert run.verdict == "valid"
    assert run.metrics["rate_rps"] == 200_000
    assert run.metrics["rtt_mean_us"] == 100
    assert run.metrics["rtt_p95_us"] == 200
    assert run.metrics["rtt_p99_us"] == 400
    assert run.metrics["set_busy_percent"] == pytest.approx(25)
    assert run.metrics["cycles_per_query"] == pytest.approx(60e9 / (200_000 * 10))
    assert run.metrics["instructions_per_query"] == pytest.approx(20_000)
    assert run.metrics["packets_per_interrupt"] == 20
    assert run.metrics["retransmits"] == 300
    assert run.nodes["server"]["napi_poll_mean_packets"] == 3
    assert run.nodes["server"]["epoll_mean_events"] == 8
    assert run.environment["kernel"] == "6.99.0-made-up"
    assert run.workload["duration_s"] == 30
    applied = {knob.setting: knob.applied for knob in run.knobs}
    assert applied["gro_flush_timeout"] == "20000"
    assert applied["adaptive-tx"] == "off"
    assert all(knob.took_effect is None for knob in run.knobs)


def published(reading: ImportedRuns) -> pd.DataFrame:
    lines = reading.tables["published.csv"].decode().splitlines()
    cells = [line.split(",") for line in lines]
    return pd.DataFrame(cells[1:], columns=cells[0])


def test_published_definitions(tmp_path: Path) -> None:
    """qps is a mean, latencies are medians, cpu a mean over lines; in the order of the published tables."""
    foreign.irqsuspend(tmp_path, [(200_000, "base")], runs=3)
    for number, (qps, mean) in enumerate([(200_000.0, 10.0), (200_010.0, 900.0), (200_050.0, 30.0)]):
        (tmp_path / f"mutilate-200000-base-{number}.out").write_text(foreign.mutilate(qps, mean))
    table = published(read(tmp_path))
    assert [table[name][0] for name in ("testcase", "load", "runs")] == ["base", "200K", "3"]
    numbers = [float(table[name][0]) for name in ("qps", "avglat", "95%lat", "99%lat", "cpu", "ppi")]
    assert numbers == pytest.approx([200_020, 30, 60, 120, 100 - np.mean([70, 69, 68, 80, 80, 80]), 20])


def test_compat_scales_by_the_whole_run(tmp_path: Path) -> None:
    foreign.irqsuspend(tmp_path)
    now, then = read(tmp_path), read(tmp_path, "published")
    assert run_of(now, "base").metrics["cycles_per_query"] == pytest.approx(30_000)
    assert run_of(then, "base").metrics["cycles_per_query"] == pytest.approx(10_000)
    assert float(published(then)["cpq"][0]) * 3 == pytest.approx(float(published(now)["cpq"][0]), rel=1e-6)
    assert any("WHOLE" in text for text in then.conversions)


def test_order_of_the_published_tables(tmp_path: Path) -> None:
    cases = [(0, "base"), (1_000_000, "base"), (200_000, "suspend20"), (200_000, "defer200"), (200_000, "defer20")]
    table = published(read(foreign.irqsuspend(tmp_path, cases, runs=1)))
    found = list(zip(table["load"], table["testcase"], strict=True))
    assert found == [
        ("200K", "defer20"),
        ("200K", "defer200"),
        ("200K", "suspend20"),
        ("1000K", "base"),
        ("MAX", "base"),
    ]


def test_names() -> None:
    name = parse_name("a/b/mutilate-200000-base-x-2.out")
    assert name is not None
    assert (name.folder, name.kind, name.qps, name.case, name.run) == ("a/b", "mutilate", 200_000, "base-x", 2)
    assert parse_name("notes.txt") is None
    assert sorted([("", 0, "a", 0), ("", 5, "2b", 1), ("", 5, "10b", 0)], key=natural)[-1][1] == 0


DEFECTS = {
    "empty": (b"", "it is empty"),
    "marked": (b"SERVER FAILED\n", "the campaign marked the run: SERVER FAILED"),
    "junk": (bytes(range(256)) * 40, "there are bytes in it that are no text"),
    "cut row": (b"#type avg std min 5th 10th 50th 90th 95th 99th\nread  127.7 26\n", "the read row has 2 numbers"),
    "cut line": (
        foreign.mutilate().split("Total")[0].encode() + b"Total QPS = 20",
        "the file ends inside this line, which is left out",
    ),
    "no rate": (foreign.mutilate().split("Total")[0].encode(), "there is no line Total QPS"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_run_without_numbers_is_failed_and_told(tmp_path: Path, name: str) -> None:
    content, told = DEFECTS[name]
    foreign.irqsuspend(tmp_path)
    (tmp_path / "mutilate-200000-base-1.out").write_bytes(content)
    reading = read(tmp_path)
    assert len(reading.runs) == 12
    assert run_of(reading, "base", block=2).verdict == "failed"
    assert any(told in text for text in said(reading, "mutilate-200000-base-1.out"))
    assert published(reading)["runs"].tolist() == ["2", "3", "3", "3"]


@pytest.mark.parametrize("kind", ["memcached", "sar", "perf", "irq", "tcp", "setup", "stats", "poll", "epoll"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\xd8", b"x" * 70_000, bytes(range(256)) * 99, None])
def test_the_other_kinds_leave_blanks(tmp_path: Path, kind: str, content: bytes | None) -> None:
    foreign.irqsuspend(tmp_path, runs=1)
    path = tmp_path / f"{kind}-200000-base-0.out"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    reading = read(tmp_path)
    whole = not content or content.endswith(b"\n")
    assert run_of(reading, "base").verdict == ("valid" if whole else "suspect")
    optional = content is None and kind in ("stats", "poll", "epoll")
    assert optional or said(reading, path.name)


@pytest.mark.parametrize("marker", ["LOAD FAILED", "WARMUP FAILED", "SERVER FAILED", "AGENTS FAILED", "FAILED"])
def test_a_marker_alone_harms_nothing(tmp_path: Path, marker: str) -> None:
    """The campaign's script writes it when a step before the run timed out; the figures tell whether that did harm."""
    foreign.irqsuspend(tmp_path)
    (tmp_path / "memcached-200000-base-0.out").write_text(f"{foreign.MEMCACHED}{marker}\n")
    reading = read(tmp_path)
    assert (run_of(reading, "base").verdict, run_of(reading, "base").reasons) == ("valid", [])
    assert published(reading)["runs"].tolist() == ["3", "3", "3", "3"]
    (told,) = said(reading, "memcached-200000-base-0.out")
    assert told.startswith(f"the campaign marked the run: {marker}")


HARMS = {
    "nearly the load": (199_100.0, {}, None),
    "short of the load": (
        198_000.0,
        {},
        "198,000 of the 200,000 requests offered per second were answered: 1.00% short, over 0.5%",
    ),
    "more than the load": (203_000.0, {}, None),
    "a few missing keys": (200_000.0, {"Misses": 17}, None),
    "missing keys": (
        200_000.0,
        {"Misses": 12_000},
        "12,000 requests (0.20%, over 0.1%) were for keys that the server did not have",
    ),
    "skipped requests": (
        200_000.0,
        {"Skipped TXs": 60_000},
        "60,000 requests (1.00%, over 0.1%) were due and never sent",
    ),
}


@pytest.mark.parametrize("name", HARMS)
@pytest.mark.parametrize("marker", ["", "LOAD FAILED"])
def test_harm_makes_a_run_suspect(tmp_path: Path, name: str, marker: str) -> None:
    """Judged by the figures: the load was not reached, or requests were lost; a marker is named beside it."""
    rate, lost, reason = HARMS[name]
    foreign.irqsuspend(tmp_path)
    (tmp_path / "memcached-200000-base-1.out").write_text(f"{foreign.MEMCACHED}{marker}\n")
    text = foreign.mutilate(rate)
    for what, number in lost.items():
        text = text.replace(f"{what} = 0", f"{what} = {number}")
    (tmp_path / "mutilate-200000-base-1.out").write_text(text)
    now, then = read(tmp_path), read(tmp_path, "published")
    run = run_of(now, "base", block=2)
    assert run.verdict == ("suspect" if reason else "valid")
    assert run.reasons == ([reason + (f" (marked {marker})" if marker else "")] if reason else [])
    assert [what for what in lost if any(what in text for text in said(now, "mutilate-200000-base-1.out"))] == [*lost]
    assert run_of(then, "base", block=2).verdict == "valid"


def test_as_much_as_goes_is_never_short(tmp_path: Path) -> None:
    foreign.irqsuspend(tmp_path)
    (tmp_path / "mutilate-0-base-0.out").write_text(foreign.mutilate(7.0))
    assert run_of(read(tmp_path), "base", "MAX").verdict == "valid"


def test_lost_requests_of_nobody_knows_how_many(tmp_path: Path) -> None:
    foreign.irqsuspend(tmp_path)
    path = tmp_path / "mutilate-200000-base-1.out"
    path.write_text(path.read_text().replace("Misses = 0", "Misses = 17").replace(" / 30.0s)", ")"))
    (reason,) = run_of(read(tmp_path), "base", block=2).reasons
    assert reason == "17 requests (nobody says of how many) were for keys that the server did not have"


@pytest.mark.parametrize(
    ("word", "comma"),
    [("Average:", "."), ("Durchschn.:", ","), ("Moyenne :", ","), ("平均時間:", "."), ("Media:", ",")],
)
def test_sar_in_other_languages(tmp_path: Path, word: str, comma: str) -> None:
    foreign.irqsuspend(tmp_path, runs=1)
    text = foreign.sar((70.0, 80.0)).replace("Average:", word)
    if comma == ",":
        head, _, rest = text.partition("\n")
        text = head + "\n" + rest.replace(".", ",").replace("Durchschn,", "Durchschn.")
    (tmp_path / "sar-200000-base-0.out").write_text(text)
    run = run_of(read(tmp_path), "base")
    assert run.metrics["set_busy_percent"] == pytest.approx(25)
    assert set(run.cpus) == {"4", "5"}


@pytest.mark.parametrize("group", [",", ".", "'", "\u202f", "\u00a0"])
def test_perf_with_grouped_thousands(tmp_path: Path, group: str) -> None:
    foreign.irqsuspend(tmp_path, runs=1)
    (tmp_path / "perf-200000-base-0.out").write_text(foreign.perf(group=group))
    assert run_of(read(tmp_path), "base").metrics["cycles_per_query"] == pytest.approx(30_000)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    foreign.irqsuspend(tmp_path, runs=1)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_text().replace("\n", "\r\n").encode(encoding))
    reading = read(tmp_path)
    assert run_of(reading, "base").metrics["rtt_mean_us"] == 100
    assert run_of(reading, "base").metrics["set_busy_percent"] == pytest.approx(25)


def test_not_counted_events_are_told(tmp_path: Path) -> None:
    foreign.irqsuspend(tmp_path, runs=1)
    text = foreign.perf().replace("60000000000", "<not counted>")
    (tmp_path / "perf-200000-base-0.out").write_text(text)
    reading = read(tmp_path)
    assert run_of(reading, "base").metrics["cycles_per_query"] is None
    assert run_of(reading, "base").metrics["instructions_per_query"] is not None
    assert any("no count" in text for text in said(reading, "perf-200000-base-0.out"))


def test_links_pipes_and_strangers(tmp_path: Path) -> None:
    foreign.irqsuspend(tmp_path, runs=1)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "mutilate-5-self-0.out").symlink_to("mutilate-5-self-0.out")
    os.mkfifo(tmp_path / "mutilate-6-pipe-0.out")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "dmesg-0-base-0.out").write_text("boot")
    (tmp_path / "flame-0-base-0.out").write_text("svg")
    reading = read(tmp_path)
    assert len(reading.runs) == 4
    told = {finding.file: finding.text for finding in reading.findings}
    assert set(told) == {
        "loop",
        "mutilate-5-self-0.out",
        "mutilate-6-pipe-0.out",
        "notes.txt",
        "dmesg-0-base-0.out",
        "flame-0-base-0.out",
    }
    assert "not followed" in told["loop"]


def test_a_missing_run_is_its_own(tmp_path: Path) -> None:
    """Only perf is left of a run: it is there, failed, with a finding for each missing kind."""
    foreign.irqsuspend(tmp_path, runs=1)
    (tmp_path / "perf-7000-lone-4.out").write_text(foreign.perf())
    reading = read(tmp_path)
    assert run_of(reading, "lone", "7K", 5).verdict == "failed"
    assert len(reading.findings) == 6


def test_two_files_for_one_part_of_a_run(tmp_path: Path) -> None:
    foreign.irqsuspend(tmp_path, runs=1)
    (tmp_path / "perf-200000-base-00.out").write_text(foreign.perf(cycles=1))
    reading = read(tmp_path)
    assert len(reading.runs) == 4
    told = [finding for finding in reading.findings if "another file" in finding.text]
    assert len(told) == 1


def test_a_campaign_in_folders(tmp_path: Path) -> None:
    foreign.irqsuspend(tmp_path / "one", [(0, "base")], runs=1)
    foreign.irqsuspend(tmp_path / "two", [(0, "base")], runs=1)
    assert [run.case for run in read(tmp_path).runs] == ["one/base", "two/base"]


def test_the_set_on_disk(tmp_path: Path) -> None:
    source = foreign.irqsuspend(tmp_path / "raw")
    (source / "perf-0-base-0.out").write_bytes(b"")
    done = import_results("auto", source, tmp_path / "results", STAMP)
    assert done.format == "irqsuspend"
    path = tmp_path / "results" / "raw" / STAMP
    assert {each.name for each in path.iterdir()} >= {
        "runs.csv",
        "nodes.csv",
        "knobs.csv",
        "cpus.csv",
        "summary.csv",
        "imports.csv",
        "published.csv",
        "published.txt",
        "plan.json",
        "manifest.json",
    }
    assert (path / "imports.csv").read_text().splitlines()[1] == "perf-0-base-0.out,,it is empty"
    assert len(pd.read_csv(path / "runs.csv")) == 12
    again = import_results("irqsuspend", source, tmp_path / "results", STAMP)
    assert again.results.path.name == f"{STAMP}-2"
    assert (again.results.path / "runs.csv").read_bytes() == (path / "runs.csv").read_bytes()
