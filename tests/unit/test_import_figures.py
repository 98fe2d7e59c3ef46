"""Figures of real outputs against the programs' own totals, or their raw samples through numpy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.formats.text import without_colour
from harness.importers import FORMATS, ImportOptions
from harness.importers.files import gather
from harness.importers.model import ImportedRun
from tests.unit.real_outputs import OUTPUTS, REAL


def text_of(file: str) -> str:
    return without_colour((REAL / file).read_text())


def runs_of(file: str) -> list[ImportedRun]:
    (output,) = [output for output in OUTPUTS if output.file == file]
    return FORMATS[output.format].read(gather(REAL / file), ImportOptions(unit=output.unit)).runs


def one(file: str) -> dict[str, Any]:
    (run,) = runs_of(file)
    assert run.verdict == "valid", run.reasons
    return dict(run.metrics)


def numbers(pattern: str, text: str) -> list[float]:
    """Every number of the pattern's only group, in order."""
    return [float(number) for number in re.findall(pattern, text)]


def files_of(name: str, against: str = "") -> list[str]:
    return [output.file for output in OUTPUTS if output.format == name and against in output.against]


@pytest.mark.parametrize("file", [file for file in files_of("sockperf", "own summary") if "mps" in file])
def test_a_full_log_of_sockperf_by_numpy(file: str) -> None:
    text, metrics = text_of(file), one(file)
    trips = np.array(numbers(r"(?m)^\d+, [\d.]+, [\d.]+, ([\d.]+)$", text))
    assert metrics["requests"] == len(trips) == numbers(r"Total (\d+) observations", text)[0]
    assert metrics["rtt_mean_us"] == pytest.approx(trips.mean(), abs=0.002)
    assert metrics["rtt_mean_us"] == pytest.approx(numbers(r"avg-rtt=([\d.]+)", text)[0], abs=0.002)
    assert metrics["rtt_sd_us"] == pytest.approx(numbers(r"std-dev=([\d.]+)", text)[0], rel=0.01)
    assert metrics["rtt_max_us"] == pytest.approx(numbers(r"<MAX> observation = +([\d.]+)", text)[0], abs=0.002)
    assert metrics["rtt_p50_us"] == pytest.approx(np.quantile(trips, 0.5, method="inverted_cdf"), abs=0.002)


@pytest.mark.parametrize("file", files_of("sockperf", "its own lines"))
def test_summaries_of_sockperf(file: str) -> None:
    text, metrics = text_of(file), one(file)
    factor = 1 if "avg-rtt" in text else 2
    assert metrics["rtt_mean_us"] == pytest.approx(factor * numbers(r"avg-\w+=([\d.]+)", text)[0])
    assert metrics["rtt_sd_us"] == pytest.approx(factor * numbers(r"std-dev=([\d.]+)", text)[0])
    assert metrics["rtt_p50_us"] == pytest.approx(factor * numbers(r"percentile 50.000 = +([\d.]+)", text)[0])
    elapsed = numbers(r"\[Valid Duration\] RunTime=([\d.]+)", text)[0]
    assert metrics["rate_rps"] * elapsed == pytest.approx(numbers(r"Total (\d+) observations", text)[0])


@pytest.mark.parametrize("file", files_of("sockperf", "rate times size"))
def test_throughput_of_sockperf(file: str) -> None:
    metrics = one(file)
    # Three decimals of "GBps" are no more than these many bits.
    rounding = 0.0005 * 8000 * 2**20 if "giga" in file else 0.0005 * 8 * 2**20
    assert metrics["throughput_bps"] == pytest.approx(metrics["messages_pps"] * 1400 * 8, abs=rounding)


@pytest.mark.parametrize("file", files_of("iperf3", "streams"))
def test_throughput_of_iperf3_by_its_streams(file: str) -> None:
    document = json.loads(text_of(file))
    (run,) = runs_of(file)
    ends = {"": 0.0, "reverse_": 0.0}
    for stream in document["end"]["streams"]:
        here = stream.get("sender", stream.get("udp", {})).get("sender", True)
        back = run.workload["direction"] == "both" and not here
        side = "sender" if run.environment["measured_by"] == "sender" else "receiver"
        part = stream.get(side) or stream["udp"]
        ends["reverse_" if back else ""] += part["bits_per_second"]
    for prefix, bits in ends.items():
        if bits:
            assert run.metrics[f"{prefix}throughput_bps"] == pytest.approx(bits, rel=0.06), prefix
    server = file.startswith("iperf3_server")
    assert ("client_cpu_percent" in run.metrics) is not server
    local = document["end"]["cpu_utilization_percent"]["host_total"]
    assert run.metrics["server_cpu_percent" if server else "client_cpu_percent"] == pytest.approx(local)


def test_tables_of_netperf() -> None:
    streams = [file for file in files_of("netperf", "own table") if "udp" not in file]
    assert len(streams) == 6
    for file in streams:
        name = "rate_rps" if "rr" in file else "throughput_bps"
        last = next(
            line for line in text_of(file).splitlines() if len(line.split()) in (5, 6) and line.strip()[0].isdigit()
        )
        assert one(file)[name] == pytest.approx(float(last.split()[-1]) * (1e6 if name == "throughput_bps" else 1))
    for file in ("netperf_udp_stream.txt", "netperf_udp_stream-2.7.0.txt"):
        sent, received = one(file), text_of(file).splitlines()[-2].split()
        assert sent["throughput_bps"] == pytest.approx(float(received[2 + 1]) * 1e6)
        assert sent["sent"] - sent["lost"] == float(received[2])
        # What arrived, by messages and their size.
        assert sent["throughput_bps"] == pytest.approx(float(received[2]) * 65507 * 8 / sent["elapsed_s"], rel=0.01)


def test_a_stopped_iperf3_by_its_intervals() -> None:
    sums = [interval["sum"] for interval in json.loads(text_of("iperf3_stopped.json"))["intervals"]]
    (run,) = runs_of("iperf3_stopped.json")
    bits = 8 * sum(part["bytes"] for part in sums) / sum(part["seconds"] for part in sums)
    assert run.metrics["throughput_bps"] == pytest.approx(bits, rel=0.01) and run.verdict == "suspect"


@pytest.mark.parametrize("version", ["", "-2.7.0"])
def test_the_histogram_of_netperf(version: str) -> None:
    text, metrics = text_of(f"netperf_cpu_rr{version}.txt"), one(f"netperf_cpu_rr{version}.txt")
    assert metrics["rate_rps"] * 64 * 8 / 1e6 == pytest.approx(
        numbers(r"\d+\.\d+ (\d+\.\d+) +\d+\.\d+\n", text)[-1], abs=1e-3
    )
    counts = np.array([float(count) for row in re.findall(r"SEC +:([ :\d]+)", text) for count in row.split(":")])
    ends = np.array([(place + 1) * 10.0**power for power in range(8) for place in range(10)])
    assert counts.sum() == numbers(r"HIST_TOTAL: +(\d+)", text)[0]
    assert metrics["rate_rps"] * metrics["elapsed_s"] == pytest.approx(counts.sum(), rel=0.01)
    reached = np.cumsum(counts) / counts.sum()
    for name, level in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)):
        assert metrics[f"rtt_{name}_us"] == ends[np.searchsorted(reached, level)]
    # netperf's own quantile, by its selector, lies within the bucket.
    human = text_of(f"netperf_human{version}.txt")
    own = float(human.splitlines()[5].split()[3])
    assert one(f"netperf_human{version}.txt")["rtt_p99_us"] == own
    rows = [float(count) for row in re.findall(r"SEC +:([ :\d]+)", human) for count in row.split(":")]
    below = np.cumsum(rows) / sum(rows)
    bucket = int(np.searchsorted(below, 0.99))
    assert ends[bucket - 1] <= own <= ends[bucket]


@pytest.mark.parametrize(
    "file",
    [
        "netperf_demo.txt",
        "netperf_csv.txt",
        "netperf_csv-2.7.0.txt",
        "netperf_rr.txt",
        "neper-stdout.txt",
        "neper-stdout_crr.txt",
        "neper-stdout-2019.txt",
        "neper-stdout_crr-2019.txt",
    ],
)
def test_one_request_at_a_time_takes_the_rate_s_share_of_a_second(file: str) -> None:
    metrics = one(file)
    flows = 2 if "crr" in file else 1
    assert metrics["rtt_mean_us"] == pytest.approx(flows * 1e6 / metrics["rate_rps"], rel=0.2)
    assert metrics["rtt_min_us"] < metrics["rtt_p50_us"] <= metrics["rtt_p99_us"] < metrics["rtt_max_us"]


@pytest.mark.parametrize("file", ["neper.csv", "neper_one.csv"])
def test_samples_of_neper_by_numpy(file: str) -> None:
    rows = np.genfromtxt(REAL / file, delimiter=",", names=True)
    metrics = one(file)
    flows = [rows[rows["tid"] == tid] for tid in np.unique(rows["tid"])]
    grown = sum(flow["transactions"][-1] - flow["transactions"][0] for flow in flows)
    assert metrics["rate_rps"] == pytest.approx(grown / np.ptp(rows["time"]))
    measured = [(np.diff(flow["transactions"], prepend=0), flow["latency_mean"]) for flow in flows]
    weight = np.concatenate([np.where(mean > 0, done, 0) for done, mean in measured])
    mean = np.concatenate([mean for _, mean in measured])
    assert metrics["rtt_mean_us"] == pytest.approx(1e6 * np.average(mean, weights=weight))
    assert metrics["requests"] == weight.sum()


@pytest.mark.parametrize("file", ["neper-2019.csv", "neper_one-2019.csv"])
def test_samples_without_latencies_of_a_client_are_not_said_to_be_a_servers(file: str) -> None:
    """neper of 2019 writes zeros where its report of the same run has latencies."""
    rows = np.genfromtxt(REAL / file, delimiter=",", names=True)
    (run,) = runs_of(file)
    flows = [rows[rows["tid"] == tid] for tid in np.unique(rows["tid"])]
    grown = sum(flow["transactions"][-1] - flow["transactions"][0] for flow in flows)
    assert run.metrics["rate_rps"] == pytest.approx(grown / np.ptp(rows["time"]))
    assert not any(name.startswith("rtt") for name in run.metrics) and "measured_by" not in run.environment


def test_a_server_of_requests_that_has_no_rate_of_its_own_takes_its_clients_for_a_rate() -> None:
    metrics = one("neper-stdout_server-2019.txt")
    assert metrics["rate_rps"] == numbers(r"remote_throughput=(\d+)", text_of("neper-stdout_server-2019.txt"))[0]
    assert "throughput_bps" not in metrics


@pytest.mark.parametrize("version", ["", "-2019"])
def test_streams_of_neper(version: str) -> None:
    rows = np.genfromtxt(REAL / f"neper_stream{version}.csv", delimiter=",", names=True)
    bits = 8 * (rows["bytes_read"][-1] - rows["bytes_read"][0]) / np.ptp(rows["time"])
    assert one(f"neper_stream{version}.csv")["throughput_bps"] == pytest.approx(bits)
    text = text_of(f"neper-stdout_stream{version}.txt")
    stated = numbers(r"local_throughput=([1-9]\d+)", text) or [1e6 * numbers(r"(?m)^throughput=([\d.]+)", text)[0]]
    assert one(f"neper-stdout_stream{version}.txt")["throughput_bps"] == pytest.approx(stated[0], rel=1e-4)
    server = one("neper-stdout_server.txt")
    assert server["rate_rps"] > 1000 and not any(name.startswith("rtt") for name in server)


@pytest.mark.parametrize(("of_wrk", "of_wrk2"), [("wrk.txt", "wrk2.txt"), ("wrk-4.2.0.txt", "wrk2-2015.txt")])
def test_reports_of_wrk(of_wrk: str, of_wrk2: str) -> None:
    plain, two = one(of_wrk), one(of_wrk2)
    for metrics in (plain, two):
        assert metrics["requests"] / metrics["elapsed_s"] == pytest.approx(metrics["rate_rps"], rel=0.01)
    text = text_of(of_wrk2)
    recorded, uncorrected = (numbers(r"50\.000% +([\d.]+)ms", part)[0] for part in text.split("Uncorrected"))
    assert two["rtt_p50_us"] == pytest.approx(1e3 * recorded, abs=5)
    assert two["service_p50_us"] == pytest.approx(1e3 * uncorrected, abs=5)
    (bad,) = runs_of("wrk_errors.txt")
    assert (bad.verdict, bad.metrics["errors"]) == ("failed", bad.metrics["requests"])


def test_replies_of_ping_and_fping_by_numpy() -> None:
    for file in ("ping.txt", "ping-2024.txt"):
        times, metrics = np.array(numbers(r"time=([\d.]+) ms", text_of(file))), one(file)
        assert metrics["requests"] == len(times) == 40
        assert metrics["rtt_mean_us"] == pytest.approx(1e3 * times.mean())
        assert metrics["rtt_sd_us"] == pytest.approx(1e3 * times.std())
        # ping's own summary is of whole us, cut off.
        summary = numbers(r"= [\d.]+/([\d.]+)/", text_of(file))[0]
        assert metrics["rtt_mean_us"] == pytest.approx(1e3 * summary, abs=1)
        assert metrics["rtt_p50_us"] == pytest.approx(1e3 * np.quantile(times, 0.5, method="inverted_cdf"))
    for version in ("", "-5.5"):
        text = text_of(f"fping{version}.txt")
        for run in runs_of(f"fping{version}.txt"):
            host = run.case.rpartition(" ")[2]
            listed = 1e3 * np.array(numbers(rf"(?m)^{host} : \[\d\], 64 bytes, ([\d.]+) ms", text))
            found = [run.metrics["rtt_mean_us"], run.metrics["rtt_min_us"]]
            assert found == pytest.approx([listed.mean(), listed.min()])
        lines = text_of(f"fping_all{version}.txt").splitlines()
        for run, line in zip(runs_of(f"fping_all{version}.txt"), lines, strict=True):
            listed = 1e3 * np.array([float(text) for text in line.split(" : ")[1].split() if text != "-"])
            found = [run.metrics["rtt_mean_us"], run.metrics["rtt_max_us"]]
            assert found == pytest.approx([listed.mean(), listed.max()])


def test_replies_of_fping_as_json_by_numpy_and_its_summary() -> None:
    documents = [json.loads(line) for line in text_of("fping-json.json").splitlines()]
    for run in runs_of("fping-json.json"):
        host = run.case.rpartition(" ")[2]
        replies = [one["resp"] for one in documents if one.get("resp", {}).get("host") == host]
        listed = 1e3 * np.array([reply["rtt"] for reply in replies])
        (summary,) = (one["summary"] for one in documents if one.get("summary", {}).get("host") == host)
        assert (run.metrics["sent"], run.metrics["requests"], run.metrics["lost"]) == (20, len(listed), 0)
        assert run.workload["size_bytes"] == 100
        assert run.metrics["rtt_mean_us"] == pytest.approx(listed.mean())
        assert run.metrics["rtt_p50_us"] == pytest.approx(np.quantile(listed, 0.5, method="inverted_cdf"))
        # fping's own mean is of whole us, cut off.
        assert run.metrics["rtt_mean_us"] == pytest.approx(1e3 * summary["rttAvg"], abs=1)
        assert run.metrics["rtt_max_us"] == pytest.approx(1e3 * summary["rttMax"])
    for run, line in zip(runs_of("fping-json_all.json"), text_of("fping-json_all.json").splitlines(), strict=True):
        listed = 1e3 * np.array([time for time in json.loads(line)["vSum"]["values"] if time is not None])
        assert run.metrics["rtt_mean_us"] == pytest.approx(listed.mean())
        assert run.metrics["requests"] == len(listed) == 30
    here, nowhere = runs_of("fping-json_quiet.json")
    (own, _) = (json.loads(line)["summary"] for line in text_of("fping-json_quiet.json").splitlines())
    assert here.metrics["rtt_mean_us"] == pytest.approx(1e3 * own["rttAvg"])
    assert "rtt_p50_us" not in here.metrics
    assert (nowhere.metrics["sent"], nowhere.metrics["requests"], nowhere.metrics["lost_percent"]) == (20, 0, 100)


@pytest.mark.parametrize("file", ["ping_quiet.txt", "ping_quiet-2024.txt"])
def test_the_summary_of_a_quiet_ping(file: str) -> None:
    least, mean, most, deviation = re.findall(r"= ([\d.]+)/([\d.]+)/([\d.]+)/([\d.]+) ms", text_of(file))[0]
    names = {"min": least, "mean": mean, "max": most, "sd": deviation}
    metrics = one(file)
    assert {name: metrics[f"rtt_{name}_us"] for name in names} == pytest.approx(
        {name: 1e3 * float(text) for name, text in names.items()}
    )
    assert not any(name.startswith("rtt_p") for name in metrics)


@pytest.mark.parametrize("file", files_of("irtt"))
def test_round_trips_of_irtt_agree_with_its_summary(file: str) -> None:
    document = json.loads(text_of(file))
    stats, metrics = document["stats"]["rtt"], one(file)
    trips = [trip["delay"]["rtt"] for trip in document["round_trips"] if "rtt" in trip["delay"]]
    # Of an even number irtt's median is the mean of the two in the middle.
    assert stats["median"] == pytest.approx(np.median(trips), abs=1)
    assert metrics["rtt_p50_us"] == pytest.approx(np.quantile(trips, 0.5, method="inverted_cdf") / 1e3)
    for ours, theirs in (("min", "min"), ("mean", "mean"), ("max", "max")):
        assert metrics[f"rtt_{ours}_us"] == pytest.approx(stats[theirs] / 1e3, rel=1e-5)
    assert metrics["requests"] == stats["n"]


def test_totals_of_the_others() -> None:
    for file in files_of("fio"):
        for run in runs_of(file):
            requests, elapsed, rate = (run.metrics[name] or 0 for name in ("requests", "elapsed_s", "rate_rps"))
            assert requests / elapsed == pytest.approx(rate)
            assert rate * 4096 * 8 == pytest.approx(run.metrics["throughput_bps"], rel=1e-3)
            assert not any(name.startswith("rtt_") for name in run.metrics)
    for file in files_of("cyclictest"):
        cycles, means = (numbers(rf"\"{name}\": ([\d.]+)", text_of(file)) for name in ("cycles", "avg"))
        metrics = one(file)
        assert metrics["requests"] == sum(cycles)
        assert metrics["wakeup_mean_us"] == pytest.approx(np.average(means, weights=cycles))
    for run in (run for file in files_of("redis-benchmark") if file.endswith(".csv") for run in runs_of(file)):
        assert run.metrics["rtt_mean_us"] == pytest.approx(4e6 / (run.metrics["rate_rps"] or 1), rel=0.3)
    for run in (run for file in files_of("qperf") for run in runs_of(file)):
        if str(run.workload["mode"]).endswith("_lat"):
            # Each message is half of a round trip.
            assert run.metrics["rtt_mean_us"] == pytest.approx(2e6 / (run.metrics["messages_pps"] or 1), rel=0.03)


@pytest.mark.parametrize("file", files_of("memtier"))
def test_memtier_by_its_histogram(file: str) -> None:
    totals, metrics = json.loads(text_of(file))["ALL STATS"]["Totals"], one(file)
    assert metrics["rtt_mean_us"] == pytest.approx(1e3 * totals["Accumulated Latency"] / totals["Count"], rel=0.01)
    assert metrics["rtt_p50_us"] == pytest.approx(1e3 * totals["Percentile Latencies"]["p50.00"], rel=0.01)
    assert metrics["rtt_p99_us"] == pytest.approx(1e3 * totals["Percentile Latencies"]["p99.00"], rel=0.01)
    assert metrics["rtt_max_us"] == pytest.approx(1e3 * totals["Max Latency"], rel=0.01)
    assert metrics["requests"] / metrics["elapsed_s"] == pytest.approx(metrics["rate_rps"], rel=0.02)


def test_a_log_of_memtier_by_the_table_beside_it() -> None:
    """The table that the same run wrote has ms with two decimals, and a mean of three."""
    metrics = one("hdrhistogram_memtier.hgrm")
    assert (metrics["requests"], metrics["elapsed_s"] > 0) == (2000, True)
    assert metrics["rtt_mean_us"] == pytest.approx(410, abs=1) and metrics["rtt_sd_us"] == pytest.approx(1285, abs=2)
    assert metrics["rtt_max_us"] == pytest.approx(12_287, rel=0.01)


@pytest.mark.parametrize("file", ["flent.flent", "flent-2.3.0.flent"])
def test_series_of_flent(file: str) -> None:
    meta = json.loads(text_of(file))["metadata"]["SERIES_META"]
    ping, upload = runs_of(file)
    sent = meta["TCP upload"]
    assert upload.metrics["throughput_bps"] == pytest.approx(8 * sent["BYTES_SENT"] / sent["ELAPSED_TIME"], rel=0.01)
    assert upload.metrics["retransmits"] == float(sent["TCP_RETRANSMIT"])
    assert upload.workload["direction"] == "client to server"
    assert ping.metrics["rtt_mean_us"] == pytest.approx(1e3 * meta["Ping (ms) ICMP"]["MEAN_VALUE"], abs=0.6)
    assert ping.metrics["rtt_max_us"] == pytest.approx(1e3 * meta["Ping (ms) ICMP"]["MAX_VALUE"])


def test_pings_of_flent_that_are_means_of_intervals_have_no_quantiles(tmp_path: Path) -> None:
    """netperf's hold thousands of requests each: the mean of all is flent's own, not the mean of these."""
    document = json.loads(text_of("flent_ping-2.3.0.flent"))
    own = document["metadata"]["SERIES_META"]["Ping (ms) UDP"]["MEAN_VALUE"]
    icmp, udp = runs_of("flent_ping-2.3.0.flent")
    assert icmp.metrics["requests"] == len(document["raw_values"]["Ping (ms) ICMP"])
    assert udp.metrics["rtt_mean_us"] == pytest.approx(1000 * own)
    assert [name for name in udp.metrics if name.startswith("rtt_")] == ["rtt_mean_us"]
    assert "requests" not in udp.metrics
    # An index of fairness has the unit of the rates that it is of.
    document["metadata"]["SERIES_META"]["Ping (ms) ICMP"] |= {"RUNNER": "FairnessRunner", "UNITS": "Mbits/s"}
    (tmp_path / "a.flent").write_text(json.dumps(document))
    reading = FORMATS["flent"].read(gather(tmp_path), ImportOptions())
    assert [run.case for run in reading.runs] == ["a Ping (ms) UDP"]
    assert any("Ping (ms) ICMP: computed from other series" in row.text for row in reading.unused)


@pytest.mark.parametrize("file", files_of("iperf2"))
def test_rows_of_iperf2(file: str) -> None:
    metrics = one(file)
    if file.endswith(".csv"):
        cells = [line.split(",") for line in text_of(file).split()]
        streams = [row for row in cells if row[5] != "-1"]
        assert metrics["throughput_bps"] == pytest.approx(sum(float(row[8]) for row in streams), rel=0.03)
        # Its seconds have one decimal.
        moved = 8 * sum(float(row[7]) for row in streams)
        assert metrics["throughput_bps"] == pytest.approx(moved / metrics["elapsed_s"], rel=0.06)
    else:
        row = re.findall(r"0\.0000-([\d.]+) sec +([\d.]+) ([KM])Bytes", text_of(file))[-1]
        bits = float(row[1]) * {"K": 2**10, "M": 2**20}[row[2]] * 8 / float(row[0])
        assert metrics["throughput_bps"] == pytest.approx(bits, rel=0.01)


def test_round_trips_of_iperf2() -> None:
    (run,) = runs_of("iperf2_bounceback.txt")
    row = re.findall(r"(\d+)=([\d.]+)/([\d.]+)/([\d.]+)/([\d.]+) ms", text_of(run.files[0]))[-1]
    count, mean, least, most, sd = map(float, row)
    assert run.metrics["requests"] == count
    names = ("mean", "min", "max", "sd")
    assert [run.metrics[f"rtt_{name}_us"] for name in names] == pytest.approx(
        [1e3 * t for t in (mean, least, most, sd)]
    )
    assert (run.workload["mode"], run.workload["size_bytes"]) == ("bounceback", 100)


def test_retries_of_iperf2() -> None:
    assert [one(file)["retransmits"] for file in ("iperf2.txt", "iperf2-2.2.1.txt")] == [8, 21]
