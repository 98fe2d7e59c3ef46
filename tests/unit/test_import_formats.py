"""Single-file formats: real output of the tools where they could be had, look-alikes elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from harness.errors import InputError
from harness.formats.hdrcodec import CodecError, decode
from harness.importers import FORMATS, ImportOptions, choose_format, import_results
from harness.importers.files import gather
from harness.importers.model import ImportedRun, ImportedRuns
from tests.unit import foreign

REAL = Path(__file__).parents[1] / "golden" / "import"


def read(name: str, path: Path, **options: str) -> ImportedRuns:
    return FORMATS[name].read(gather(path), ImportOptions(**options))  # type: ignore[arg-type]


def one(name: str, path: Path, text: str | None = None, **options: str) -> ImportedRun:
    if text is not None:
        path = path / "case-2.txt"
        path.write_text(text)
    reading = read(name, path, **options)
    assert len(reading.runs) == 1
    return reading.runs[0]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("sockperf.txt", "sockperf"),
        ("sockperf.log", "sockperf"),
        ("sockperf_throughput.txt", "sockperf"),
        ("iperf3_tcp.json", "iperf3"),
        ("iperf3_failed.json", "iperf3"),
        ("intervals.hlog", "hdrhistogram"),
        ("table.hgrm", "hdrhistogram"),
    ],
)
def test_auto(file: str, name: str) -> None:
    assert choose_format("auto", gather(REAL / file)).name == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (foreign.NETPERF_RR, "netperf"),
        (foreign.NETPERF_KEYS, "netperf"),
        (foreign.NEPER, "neper"),
        (foreign.HDR_HEAD, "hdrhistogram"),
    ],
)
def test_auto_of_look_alikes(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "x.txt").write_text(text)
    assert choose_format("auto", gather(tmp_path)).name == name


def test_what_is_no_format(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(InputError, match="no file looks like"):
        choose_format("auto", gather(tmp_path))
    with pytest.raises(InputError, match="did you mean 'sockperf'"):
        choose_format("sokperf", gather(tmp_path))
    with pytest.raises(InputError, match="No such file"):
        gather(tmp_path / "none")


def test_sockperf_halves_are_doubled() -> None:
    run = one("sockperf", REAL / "sockperf_tcp.txt")
    text = (REAL / "sockperf_tcp.txt").read_text()
    median = float(text.split("percentile 50.000 =")[1].split()[0])
    assert run.metrics["rtt_p50_us"] == pytest.approx(2 * median)
    assert run.environment["latency_basis"] == "half round trip, doubled"
    assert run.workload["protocol"] == "tcp"


def test_sockperf_full_rtt_is_left() -> None:
    run = one("sockperf", REAL / "sockperf_rtt.txt")
    text = (REAL / "sockperf_rtt.txt").read_text()
    assert run.metrics["rtt_p50_us"] == float(text.split("percentile 50.000 =")[1].split()[0])
    assert run.environment["latency_basis"] == "rtt"


def test_sockperf_full_log_agrees_with_its_summary() -> None:
    log, summary = one("sockperf", REAL / "sockperf.log"), one("sockperf", REAL / "sockperf.txt")
    assert log.samples is not None
    assert len(log.samples) == log.metrics["requests"] == summary.metrics["requests"] == 309
    for name in ("rtt_min_us", "rtt_mean_us", "rtt_p50_us", "rtt_max_us"):
        assert log.metrics[name] == pytest.approx(summary.metrics[name], rel=0.01)
    # 309 requests: fewer than ten beyond p99.
    assert log.metrics["rtt_p99_us"] is None
    assert "rtt_p99_us" not in summary.metrics
    assert np.all(np.diff(log.samples["intended_ns"]) > 0)


def test_sockperf_counts_a_run_once(tmp_path: Path) -> None:
    for ending in ("txt", "log"):
        (tmp_path / f"busy-1.{ending}").write_bytes((REAL / f"sockperf.{ending}").read_bytes())
    reading = read("sockperf", tmp_path)
    assert [(run.case, run.block, run.samples is not None) for run in reading.runs] == [("busy", 1, True)]
    assert "same run" in reading.findings[0].text


def test_sockperf_throughput_and_failure() -> None:
    through = one("sockperf", REAL / "sockperf_throughput.txt")
    rate, bits = through.metrics["messages_pps"], through.metrics["throughput_bps"]
    assert rate and bits
    assert bits == pytest.approx(rate * 1400 * 8, rel=1e-5)
    failed = one("sockperf", REAL / "sockperf_failed.txt")
    assert failed.verdict == "failed"
    assert "No messages were received" in failed.reasons[0]


def test_iperf3() -> None:
    tcp, udp = one("iperf3", REAL / "iperf3_tcp.json"), one("iperf3", REAL / "iperf3_udp.json")
    raw = json.loads((REAL / "iperf3_tcp.json").read_text())
    assert tcp.metrics["throughput_bps"] == raw["end"]["sum_received"]["bits_per_second"]
    assert tcp.metrics["tcp_rtt_mean_us"] == raw["end"]["streams"][0]["sender"]["mean_rtt"]
    assert tcp.started_utc.startswith("20")
    assert udp.metrics["lost"] == 0
    assert udp.metrics["udp_jitter_us"] == pytest.approx(24.6, abs=0.1)
    assert not any(name.startswith("rtt_") for name in tcp.metrics)
    failed = one("iperf3", REAL / "iperf3_failed.json")
    assert (failed.verdict, failed.reasons) == ("failed", ["iperf3: unable to connect to server: Connection timed out"])


def test_iperf3_several_documents_and_a_stream(tmp_path: Path) -> None:
    whole = json.loads((REAL / "iperf3_tcp.json").read_text())
    stream = "\n".join(json.dumps({"event": name, "data": whole[name]}) for name in ("start", "end"))
    (tmp_path / "x.json").write_text(json.dumps(whole) + "\n" + stream + '\n{"start":')
    reading = read("iperf3", tmp_path)
    assert [run.block for run in reading.runs] == [1, 2]
    assert reading.runs[0].metrics == reading.runs[1].metrics
    assert "not JSON" in reading.findings[0].text


def test_netperf(tmp_path: Path) -> None:
    run = one("netperf", tmp_path, foreign.NETPERF_RR)
    assert (run.case, run.block) == ("case", 2)
    assert run.metrics["rate_rps"] == 46000.5
    assert run.metrics["rtt_p99_us"] == 48
    assert run.environment["latency_basis"] == "rtt"


def test_netperf_stream_latencies_are_no_round_trips(tmp_path: Path) -> None:
    run = one("netperf", tmp_path, foreign.NETPERF_STREAM)
    assert run.metrics == {"throughput_bps": pytest.approx(9000.5e6)}
    taken = one("netperf", tmp_path, foreign.NETPERF_STREAM, basis="one-way")
    assert taken.metrics["oneway_p99_us"] == 4


def test_netperf_keys(tmp_path: Path) -> None:
    run = one("netperf", tmp_path, foreign.NETPERF_KEYS)
    assert run.metrics["rtt_mean_us"] == 21.5
    assert run.metrics["remote_cpu_util_percent"] == 12.5
    assert "local_cpu_util_percent" not in run.metrics
    assert run.workload["protocol"] == "udp"
    reading = read("netperf", tmp_path)
    assert reading.findings == []


def test_netperf_several_results_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(foreign.NETPERF_RR * 2 + foreign.NETPERF_KEYS + foreign.NETPERF_KEYS)
    reading = read("netperf", tmp_path)
    assert [(run.case, run.block) for run in reading.runs] == [("a", 1), ("a", 2), ("a", 3), ("a", 4)]


def test_netperf_without_titles_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("11,21.50,901\n")
    reading = read("netperf", tmp_path)
    assert reading.runs[0].verdict == "failed"
    assert "without -P 0" in reading.findings[0].text


def test_neper(tmp_path: Path) -> None:
    run = one("neper", tmp_path, foreign.NEPER)
    assert run.metrics["rate_rps"] == pytest.approx(4000)
    assert run.metrics["requests"] == 9000
    assert run.metrics["rtt_min_us"] == pytest.approx(8)
    assert run.metrics["rtt_max_us"] == pytest.approx(2000)
    assert run.metrics["rtt_mean_us"] == pytest.approx((20 + 3 * 30 + 5 * 30) / 9)
    # Quantiles of three intervals are not those of the run.
    assert not {"rtt_p50_us", "rtt_p99_us"} & run.metrics.keys()
    # The spread within intervals and between them.
    between = np.average((np.array([20, 30, 30]) - 260 / 9) ** 2, weights=[1, 3, 5])
    assert run.metrics["rtt_sd_us"] == pytest.approx(np.sqrt(16 + between))


def test_neper_stream(tmp_path: Path) -> None:
    text = "time,tid,flow_id,bytes_read,utime\n1.0,0,0,1000,0\n1.0,0,1,1000,0\n3.0,0,0,5000,0\n3.0,0,1,7000,0\n"
    run = one("neper", tmp_path, text)
    assert run.metrics["throughput_bps"] == (4000 + 6000) * 8 / 2


def test_hdr_log_agrees_with_the_python_package() -> None:
    """The log, and the answers, were made with hdrhistogram 0.10.8."""
    expected = json.loads((REAL / "hdr_expected.json").read_text())
    run = one("hdrhistogram", REAL / "intervals.hlog")
    assert run.metrics["requests"] == expected.pop("requests")
    for name, value in expected.items():
        assert run.metrics[f"rtt_{name}_us"] == pytest.approx(value / 1e3, rel=1e-12), name
    assert run.metrics["rate_rps"] == pytest.approx(4001)


def test_hdr_table() -> None:
    with pytest.raises(InputError, match="--unit us"):
        one("hdrhistogram", REAL / "table.hgrm")
    expected = json.loads((REAL / "hdr_expected.json").read_text())
    run = one("hdrhistogram", REAL / "table.hgrm", unit="us")
    assert run.metrics["requests"] == expected["requests"]
    for name in ("p50", "p90", "p99", "max"):
        found = run.metrics[f"rtt_{name}_us"]
        # A row of the table at or beyond the level: never below the truth.
        assert found is not None
        assert expected[name] / 1e3 <= found <= 1.03 * expected[name] / 1e3


def test_hdr_table_with_decimal_commas_and_as_csv(tmp_path: Path) -> None:
    text = (REAL / "table.hgrm").read_text()
    plain = one("hdrhistogram", tmp_path, text, unit="us").metrics
    assert one("hdrhistogram", tmp_path, text.replace(".", ","), unit="us").metrics == plain
    rows = [",".join(line.split()) if not line.startswith("#") else line for line in text.splitlines()]
    assert one("hdrhistogram", tmp_path, "\n".join(rows), unit="us").metrics == plain


def test_hdr_bases_and_units(tmp_path: Path) -> None:
    text = foreign.HDR_HEAD + foreign.hdr_line({100: 500, 200: 500, 1000: 1000})
    assert one("hdrhistogram", tmp_path, text).metrics["rtt_p50_us"] == pytest.approx(0.2)
    assert one("hdrhistogram", tmp_path, text, unit="us", basis="half-rtt").metrics["rtt_p50_us"] == 400
    metrics = one("hdrhistogram", tmp_path, text, unit="us", basis="one-way").metrics
    assert metrics["oneway_p50_us"] == 200
    assert "rtt_p50_us" not in metrics


def test_hdr_tags_are_cases(tmp_path: Path) -> None:
    text = foreign.HDR_HEAD + foreign.hdr_line({5: 50}) + foreign.hdr_line({7: 70}, tag="get")
    (tmp_path / "log.hlog").write_text(text + foreign.hdr_line({9: 30}, tag="get"))
    reading = read("hdrhistogram", tmp_path)
    assert [(run.case, run.metrics["requests"]) for run in reading.runs] == [("log", 50), ("log get", 100)]


def test_hdr_tags_name_their_own_cases_and_keep_the_repetition(tmp_path: Path) -> None:
    lines = foreign.hdr_line({5: 50}, tag="READ-st") + foreign.hdr_line({7: 70}, tag="READ-rt")
    (tmp_path / "log-3.hlog").write_text(foreign.HDR_HEAD + lines)
    runs = read("hdrhistogram", tmp_path).runs
    assert [(run.case, run.block) for run in runs] == [("log READ-st", 3), ("log READ-rt", 3)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cut short"),
        ("HISTFAAA", "cut short"),
        ("!!", "base64"),
        ("AAAAAAAAAAAAAAAAAAAAAA==", "no histogram"),
        ("HISTBwAAAAAAAAAAAAAAAA==", "only V2"),
        (foreign.hdr_text(b"\x80"), "its last count is cut short"),
        (foreign.hdr_text(b"\xff" * 9 + b"\x02"), "beyond 64 bits"),
        (foreign.hdr_text(b"\x02", digits=9), "makes no sense"),
        (foreign.hdr_text(b"\x02", lowest=-4), "makes no sense"),
    ],
)
def test_hdr_damage(text: str, told: str) -> None:
    with pytest.raises(CodecError, match=told):
        decode(text)


def test_hdr_bombs_are_refused() -> None:
    with pytest.raises(CodecError, match="too large"):
        decode(foreign.hdr_text(b"\0" * (65 << 20)))


def test_findings_of_a_file_are_limited_and_say_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2,3\n" * 5000)
    findings = read("netperf", tmp_path).findings
    assert len(findings) == 101
    assert "there is more like this" in findings[-1].text


def test_names_that_print_alike_are_different_runs(tmp_path: Path) -> None:
    where = tmp_path / "raw"
    where.mkdir()
    (where / os.fsdecode(b"\xff.txt")).write_text(foreign.NETPERF_RR)
    (where / "\\udcff.txt").write_text(foreign.NETPERF_RR)
    (where / "a\nb\x1b[31m.txt").write_text(foreign.NETPERF_RR)
    done = import_results("netperf", where, tmp_path / "out", "20301020T010351Z")
    assert len(done.results.finished()) == 3
    assert [run.verdict for run in done.reading.runs] == ["valid"] * 3


def test_own_sets_among_the_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(foreign.NETPERF_RR)
    for _ in range(2):
        done = import_results("netperf", tmp_path, tmp_path / "results", "20301020T010351Z")
        assert len(done.reading.runs) == 1
    assert "own is left out" in done.reading.findings[0].text


@pytest.mark.parametrize(
    ("name", "whole", "end"),
    [
        ("netperf", foreign.NETPERF_KEYS, "THROUGHPUT=46"),
        ("neper", foreign.NEPER, "1"),
        ("sockperf", (REAL / "sockperf.txt").read_text(), "sockperf: ---> percentile 99.000 =   5"),
    ],
)
def test_a_number_that_the_file_ends_in_is_not_read(tmp_path: Path, name: str, whole: str, end: str) -> None:
    """Of 46000 only 46 may have been written."""
    before = one(name, tmp_path, whole)
    run = one(name, tmp_path, whole.rstrip("\n") + "\n" + end)
    assert (before.verdict, run.verdict) == ("valid", "suspect")
    assert "it ends inside line" in run.reasons[0]
    assert run.metrics == before.metrics


def test_neper_times_that_go_back(tmp_path: Path) -> None:
    lines = foreign.NEPER.splitlines()
    first = lines[1].split(",")
    back = ",".join([str(float(first[0]) - 3), *first[1:]])
    (tmp_path / "x.csv").write_text("\n".join([*lines, back, ""]))
    reading = read("neper", tmp_path / "x.csv")
    assert any("the time goes back" in finding.text for finding in reading.findings)
    assert reading.runs[0].metrics["elapsed_s"] == one("neper", tmp_path, foreign.NEPER).metrics["elapsed_s"]
