"""Workloads that are measured beside the first: how a file says so, and where their figures are to be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import columns
from harness.analysis.compare import Options, compare_cases
from harness.analysis.compare.choose import metrics_of
from harness.analysis.compare.gate import judge, parse_gate
from harness.analysis.summary import overview
from harness.errors import InputError
from harness.kernel.proc import ProcessUsage
from harness.report import answer
from harness.report.comparison import answer as comparison_answer
from harness.report.html.outcomes import outcome
from harness.report.layout import Table, to_text
from harness.report.resultset import document
from harness.run import loadgen_report
from harness.spec.cells import cell_id
from harness.spec.load import load_experiment
from harness.tables import Source, frames
from harness.tables.cells import summary_frame
from harness.tables.csvout import to_csv
from harness.tables.source import load_source
from tests import experiment
from tests.unit import synthetic

NODES = {"nodes": {"a": {}, "b": {}}, "links": [{"between": ["a", "b"]}]}
POLLER = {"name": "poller", "kind": "ping-pong", "from": "a", "to": "b", "measured": True}
LOGIN = {"name": "login", "kind": "load", "from": "a", "to": "b", "rate": 100, "measured": True}
ON_WIRE = {"kind": "command", "from": "a", "to": "b", "client": "curl x", "port": 80, "latencies": {"in": "wire"}}
BULK = {"kind": "iperf3", "from": "a", "to": "b"}


def load(tmp_path: Path, **changes: Any) -> Any:
    return load_experiment(experiment.write(tmp_path, **({"topology": NODES, "workload": None} | changes)))


def test_the_first_has_the_usual_columns_and_each_other_its_own(tmp_path: Path) -> None:
    (cell,) = load(tmp_path, workloads=[BULK, POLLER, LOGIN]).cells
    assert cell.spec.workload.name == "poller"
    # Their places in the background, by which the run knows their reports.
    assert [workload.kind for workload in cell.spec.background] == ["iperf3", "load"]
    assert {place: one.name for place, one in cell.spec.measured_beside().items()} == {1: "login"}


def test_who_names_nothing_keeps_the_ids_of_its_cells(tmp_path: Path) -> None:
    (cell,) = load(tmp_path, workloads=[LOGIN, BULK]).cells
    bare = replace(cell.spec, workload=cell.spec.workload.model_copy(update={"name": ""}))
    assert "name" not in bare.identity()["workload"]
    assert cell_id("base", {}, bare) != cell_id("base", {}, cell.spec)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (LOGIN | {"name": "poller"}, 'workloads.1.name: workloads.0 is called "poller" too'),
        (BULK | {"measured": True, "name": "bulk"}, "iperf3 measures by a clock of its own"),
        ({key: value for key, value in LOGIN.items() if key != "name"}, "add a name to workloads.1"),
        (LOGIN | {"name": "set"}, "a column of every run is called set_cpu_us_per_request"),
        (LOGIN | {"name": "phase"}, "a column of every run is called phase_... too, where links change"),
        (LOGIN | {"name": "my_login"}, '"my_login" is not allowed; it must match ^[a-z][a-z0-9]{0,15}$'),
        (ON_WIRE, "workloads.1.latencies: packets are timed for the measured workload alone"),
    ],
)
def test_mistakes_are_told_where_they_are(tmp_path: Path, second: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, workloads=[POLLER, second])
    assert message in caught.value.line()


def test_a_claim_is_of_workloads_that_there_are(tmp_path: Path) -> None:
    def claim(metric: str) -> dict[str, Any]:
        return {"c": {"sentence": "s", "expect": [{"case": "base", "metric": metric, "below": 5}]}}

    load(tmp_path, workloads=[POLLER, LOGIN], cases={"base": {}}, claims=claim("login_rtt_p99_us"))
    with pytest.raises(InputError, match=r"claims\.c\.expect\.0\.metric.*did you mean .login.") as caught:
        load(tmp_path, workloads=[POLLER, LOGIN], cases={"base": {}}, claims=claim("logn_rtt_p99_us"))
    assert caught.value.exit_code == 2


def test_no_column_of_the_list_is_taken_for_one_of_a_workload() -> None:
    assert not [name for name in columns.BY_NAME if columns.of_workload(name)[0]]
    assert columns.of_workload("login_rtt_p50_us") == ("login", "rtt_p50_us")
    for other in ("Login_rtt_p50_us", "my_login_rtt_p50_us", "login_noise_us", "rtt_p50_us"):
        assert columns.of_workload(other) == ("", other)
    p50 = columns.metric("login_rtt_p50_us")
    assert (p50.unit, p50.better, p50.main, p50.label) == ("us", "lower", True, "login RTT p50")


def test_figures_of_its_own_report() -> None:
    samples = np.array([(1_000 * at,) for at in range(1, 1001)], dtype=[("latency_ns", "i8")])
    report = {
        "name": "login",
        "timed": loadgen_report.of_samples(samples),
        "requests": 1000,
        "elapsed_ns": 10**9,
        "lost": 2,
        "usage": {"cpu_ns": 4_000_000, "voluntary": 500, "involuntary": 0},
        "settle_requests": 1000,
        "waits": 3000,
        "empty_waits": 750,
        "napi_ids": [8194],
    }
    server = {"requests": 4000, "waits": 3000, "empty_waits": 0, "napi_ids": [8196]}
    used = ProcessUsage(cpu_ns=2_000_000, voluntary=2_500)
    figures = loadgen_report.beside(report, server, used, window_ns=2 * 10**9)
    assert figures["login_rtt_p50_us"] == pytest.approx(500.0)
    # The client's 4 ms over its requests, the server's 2 ms over those of the settling as well.
    assert figures["login_cpu_us_per_request"] == pytest.approx(4.0 + 1.0)
    assert (figures["login_rate_rps"], figures["login_lost"]) == (1000.0, 2)
    # The client's own second, the server's two; sleeps over the same requests; returns of waits over each one's own.
    assert (figures["login_client_cpu_percent"], figures["login_server_cpu_percent"]) == pytest.approx((0.4, 0.1))
    assert (figures["login_client_voluntary_per_request"], figures["login_server_voluntary_per_request"]) == (0.5, 1.25)
    assert (figures["login_client_waits_per_request"], figures["login_server_waits_per_request"]) == (3.0, 0.75)
    assert (figures["login_client_napi_id"], figures["login_server_napi_id"]) == (8194, 8196)
    assert set(figures) == set(columns.names_of_workload("login"))


def with_login() -> Source:
    """A set in which the login gets three times as slow where busypoll50 gets faster, and stays as it is else."""
    made = []
    for number, record in enumerate(synthetic.result_set()):
        p50 = (90.0 if record.case == "busypoll50" else 30.0) + 0.1 * (number % 7)
        own = {"login_rtt_p50_us": p50, "login_rtt_p99_us": 2 * p50, "login_rate_rps": 200.0}
        own |= {"login_client_cpu_percent": 99.0, "login_server_cpu_percent": 1.5}
        own |= {"login_client_voluntary_per_request": 0.25, "login_server_voluntary_per_request": 0.75}
        made.append(replace(record, metrics=record.metrics | own))
    tables = frames(made)
    return Source("set", tables.runs, tables.knobs)


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ("login_rtt_p99_us > +50%", "failed"),
        ("login_rtt_p99_us > +500us", "passed"),
        ("login_server_cpu_percent > 1%", "failed"),
        ("login_server_voluntary_per_request > 1", "passed"),
    ],
)
def test_a_condition_may_be_of_a_named_workload(condition: str, outcome: str) -> None:
    gate = parse_gate(condition)
    comparison = compare_cases(with_login(), "base", Options(metrics=(gate.condition.metric,)))
    assert judge(comparison, gate).outcome == outcome


def test_the_table_read_as_a_file_is_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_bytes(to_csv(with_login().runs))
    read = load_source(str(path))
    (change,) = [
        row.change
        for row in compare_cases(read, "base").rows
        if (row.case, row.metric) == ("busypoll50", "login_rtt_p50_us") and ("contention.load", "0%") in row.factors
    ]
    assert change.judged == "worse" and change.factor == pytest.approx(3, rel=0.02)


def test_every_table_and_answer_has_the_price() -> None:
    source = with_login()
    view = overview(source, "base")
    cell = next(cell for cell in view.cells if cell.case == "busypoll50")
    assert "beside it: login RTT p50 3.0x higher, login RTT p99 3.0x higher" in answer.of_overview(view, "us")[0]
    # A gain for the one and a loss for the other is no gain.
    assert outcome(cell, "cpu_us_per_request") == "trade-off"
    text = to_text(document(view), 100, color=False)
    assert [line.split()[:2] for line in text.splitlines() if line.startswith("login ")] == [["login", "RTT"]]
    assert text.count("3.0x higher") > 4
    assert "99.0/1.50" in text and "0.25/0.75" in text
    assert {"login_rtt_p50_us", "login_rtt_p50_us_low"} <= set(summary_frame(source.runs).columns)
    assert metrics_of([source], None)[-3:] == ["login_rtt_p50_us", "login_rtt_p99_us", "login_rate_rps"]
    rows = compare_cases(source, "base").rows
    worse = {row.change.judged for row in rows if row.case == "busypoll50" and row.metric == "login_rtt_p50_us"}
    assert worse == {"worse"}


def test_a_table_of_other_people_has_nothing_beside_it(tmp_path: Path) -> None:
    rows = "".join(f"{case},{p50 + at / 10}\n" for at in range(5) for case, p50 in (("base", 10), ("b", 8)))
    (tmp_path / "theirs.csv").write_text("case,app_rtt_p50_us\n" + rows)
    text = to_text(document(overview(load_source(tmp_path / "theirs.csv"), "base")), 80, color=False)
    assert "app RTT p50" in text
    assert "beside it" not in text
    assert "measured in the same window" not in text


def test_a_narrow_comparison_shows_the_price_before_what_stayed() -> None:
    comparison = compare_cases(with_login(), "base")
    table = next(block for block in comparison_answer(comparison) if isinstance(block, Table))
    keep = {column.name: column.keep for column in table.cols}
    assert keep["login RTT p50"] > keep["interval of the ratio"] >= keep["login requests/s"]
