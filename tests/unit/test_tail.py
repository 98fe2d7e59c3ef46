"""The cause of a slow request, from made-up traces whose truth is known: each piece of the way, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from harness.analysis.tail import parse_above, sentence, tails
from harness.analysis.tail.causes import Account, account
from harness.analysis.tail.cell import _expected_us
from harness.analysis.tail.packets import requests_by_packets
from harness.analysis.tail.pieces import SEGMENTS
from harness.analysis.tail.trace import requests_of, trace_of
from harness.errors import InputError
from harness.plan import Plan
from harness.report.html.tail import tail_section
from harness.report.tail import CSV_COLUMNS, tail_csv, tail_json, tail_text
from harness.store import ResultSet, RunRecord
from harness.store import samples as parquet
from harness.store.trace import EVENT_DTYPE, EVENTS_FILE, META_FILE, NET_RX, VECTORS, Kind, Meta, read_meta, to_json
from tests import experiment
from tests.command import call
from tests.unit import synthetic

CLIENT, SERVER, HOG, KILLER, SENDER = 100, 200, 300, 400, 500
STEP = 1_000_000
COUNT = 1000
Row = tuple[int, int, int, int, int, int]  # ns, cpu, kind, pid, a, b


class Bed:
    """A ping-pong of 1 ms steps on two CPUs, in which some round trips meet something."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.samples: list[tuple[int, ...]] = []
        self.packets: list[tuple[int, int]] = []

    def add(self, ns: int, cpu: int, kind: Kind, pid: int, a: int = 0, b: int = 0) -> None:
        self.rows.append((ns, cpu, kind, pid, a, b))

    def trip(self, number: int, **more: int) -> None:
        """One round trip: sent, 2 us to NET_RX, 5 us more to the wake-up, 3 us until the server runs, and back.

        more: by what each part is longer, ns.
        """
        t = sent = number * STEP + 1000
        t += 2000 + more.get("deferred", 0)
        if more.get("deferred"):
            self.add(sent + 3000, 0, Kind.SWITCH, CLIENT, 0, 1)
            self.add(t - 500, 0, Kind.NAPI_TIMER, 0)
        pid = 0 if more.get("deferred") else CLIENT
        self.add(t, 0, Kind.SOFTIRQ_RAISE, pid, NET_RX)
        self.add(t + 200, 0, Kind.SOFTIRQ_ENTRY, pid, NET_RX)
        self.add(t + 5000, 0, Kind.WAKING, pid, SERVER, 1)
        self.add(t + 5200, 0, Kind.SOFTIRQ_EXIT, pid, NET_RX)
        sender = more.get("by", SENDER)
        beside = sender if more.get("flow") or more.get("joined") else 0
        if not more.get("deferred"):
            self.add(t + 6000, 0, Kind.SWITCH, CLIENT, beside, 1)
        runs = t + 8000 + more.get("runqueue", 0)
        if more.get("caught"):  # it is about to sleep again when it is woken, and another takes its CPU in that switch
            self.add(t + 3000, 1, Kind.WAKING, 0, SERVER, 1)
            self.add(t + 3500, 1, Kind.SWITCH, 0, SERVER)
            self.add(t + 6500, 1, Kind.SWITCH, SERVER, HOG, 1)
            runs = t + 8000 + more["caught"]
            self.add(runs, 1, Kind.SWITCH, HOG, SERVER)
        elif more.get("runqueue"):
            self.add(t + 4000, 1, Kind.SWITCH, 0, HOG)
            self.add(runs, 1, Kind.SWITCH, HOG, SERVER, 0)
        else:
            self.add(runs, 1, Kind.SWITCH, 0, SERVER)
        taken = runs + 2000
        answered = taken + 1000 + more.get("work", 0) + more.get("flow", 0)
        if flow := more.get("flow", 0):  # of packets that the other CPU hands over
            self.add(taken + 100, 0, Kind.SOFTIRQ_ENTRY, sender, NET_RX)
            self.add(taken + 290, 0, Kind.SOFTIRQ_EXIT, sender, NET_RX)
            self.add(taken + 300, 1, Kind.VECTOR_ENTRY, SERVER, VECTORS.index("call_function_single"))
            self.add(taken + 400, 1, Kind.SOFTIRQ_RAISE, SERVER, NET_RX)
            self.add(taken + 500, 1, Kind.VECTOR_EXIT, SERVER, VECTORS.index("call_function_single"))
            self.add(taken + 500, 1, Kind.SOFTIRQ_ENTRY, SERVER, NET_RX)
            self.add(taken + 500 + flow, 1, Kind.SOFTIRQ_EXIT, SERVER, NET_RX)
        if stopped := more.get("stopped", 0):
            self.add(taken + 300, 0, Kind.SIGNAL, KILLER, 19, SERVER)
            self.add(taken + 500, 1, Kind.SWITCH, SERVER, 0, 4)
            self.add(taken + 500 + stopped, 0, Kind.WAKING, KILLER, SERVER, 1)
            self.add(taken + 600 + stopped, 1, Kind.SWITCH, 0, SERVER)
            answered += stopped
        t = answered + 2000
        self.add(t, 1, Kind.SOFTIRQ_RAISE, SERVER, NET_RX)
        self.add(t + 200, 1, Kind.SOFTIRQ_ENTRY, SERVER, NET_RX)
        if more.get("other"):  # which hands packets over as well
            self.add(t + 100_000, 0, Kind.SWITCH, beside, more["other"])
            beside = more["other"]
        t += more.get("joined", 0)  # with packets that another CPU hands over meanwhile, which needs no interrupt
        self.add(t + 5000, 1, Kind.WAKING, SERVER, CLIENT, 0)
        self.add(t + 5200, 1, Kind.SOFTIRQ_EXIT, SERVER, NET_RX)
        self.add(t + 6000, 1, Kind.SWITCH, SERVER, 0, 1)
        runs = t + 8000 + more.get("idle", 0)
        self.add(runs, 0, Kind.SWITCH, beside, CLIENT)
        received = runs + 2000
        self.packets.append((sent + 1900, t + 1000 - (sent + 1900)))
        self.samples.append((sent, received - sent, received - sent, 0, taken, answered, SERVER))

    def columns(self) -> dict[str, np.ndarray]:
        names = ("intended_ns", "latency_ns", "service_ns", "connection", "server_received_ns", "server_sent_ns")
        return dict(zip((*names, "server_tid"), np.array(self.samples, dtype=np.int64).T, strict=True))

    def events(self) -> np.ndarray:
        events = np.zeros(len(self.rows), EVENT_DTYPE)
        for place, (ns, cpu, kind, pid, a, b) in enumerate(sorted(self.rows)):
            events[place] = (ns, a, b, pid, kind, cpu)
        return events

    def meta(self) -> Meta:
        return Meta(
            end_ns=(COUNT + 1) * STEP,
            cpus=(0, 1),
            lost={0: 0, 1: 0},
            programs={"client": (CLIENT,), "server": (SERVER,), "hog": (HOG,)},
            client_tids=(CLIENT,),
            names={KILLER: "killer", SENDER: "sender"},
            timed=True,
        )

    def account(self, above_ns: float = 100_000) -> Account:
        requests = requests_of(self.columns(), self.meta())
        return account(trace_of(self.events(), self.meta(), requests), requests, above_ns)


def bed(**more: int) -> Bed:
    """Every hundredth round trip meets it."""
    made = Bed()
    for number in range(COUNT):
        made.trip(number, **(more if number % 100 == 50 else {}))
    return made


@pytest.mark.parametrize(
    ("met", "kind", "who", "segment", "grade"),
    [
        ("runqueue", "behind", "hog", "request_runqueue", "events"),
        ("caught", "behind", "hog", "request_runqueue", "events"),
        ("work", "work", "server", "work", "events"),
        ("stopped", "stopped", "killer", "work", "events"),
        ("deferred", "deferred", "", "request_softirq", "events"),
        ("flow", "flow", "sender", "work", "events"),
        ("idle", "idle", "", "reply_wakeup", "inferred"),
    ],
)
def test_what_a_request_met_is_its_cause(met: str, kind: str, who: str, segment: str, grade: str) -> None:
    made = bed(**{met: 400_000}).account()
    assert len(made.slow) == COUNT // 100
    (row,) = made.rows
    assert (row.cause.kind, row.cause.who, row.grade, row.count) == (kind, who, grade, 10)
    assert row.median_ns == pytest.approx(400_000, rel=0.02)
    assert row.excess_share == pytest.approx(1, abs=0.05)
    for slow in made.slow:
        segments = slow.segments()
        assert list(segments) == list(SEGMENTS)
        assert sum(segments.values()) == slow.latency_ns()
        assert max(segments, key=lambda name: segments[name]) == segment
        for before, after in zip(slow.pieces, slow.pieces[1:], strict=False):
            assert before.end == after.begin


@pytest.mark.parametrize(
    ("met", "kind", "segment"), [("runqueue", "behind", "request_runqueue"), ("work", "work", "work")]
)
def test_programs_that_tell_nothing_are_followed_by_their_packets(met: str, kind: str, segment: str) -> None:
    made = bed(**{met: 400_000})
    columns = dict(zip(("intended_ns", "latency_ns"), np.array(made.packets, dtype=np.int64).T, strict=True))
    # Nobody says whose the tasks are.
    meta = replace(made.meta(), programs={}, names={SERVER: "echo", HOG: "hog"})
    requests = requests_by_packets(columns, meta, made.events())
    assert len(requests) == COUNT
    assert {(request.client, request.server) for request in requests} == {(CLIENT, SERVER)}
    told = account(trace_of(made.events(), meta, requests), requests, 100_000)
    (row,) = told.rows
    assert (row.cause.kind, row.cause.who, row.count) == (kind, "hog" if met == "runqueue" else "echo", 10)
    assert row.median_ns == pytest.approx(400_000, rel=0.02)
    segments = told.slow[0].segments()
    assert max(segments, key=lambda name: segments[name]) == segment


def test_packets_that_join_a_softirq_are_their_senders() -> None:
    made = Bed()
    two = Bed()
    for number in range(COUNT):
        met = {10: {"flow": 30_000}, 20: {"flow": 30_000, "by": KILLER}, 50: {"joined": 400_000}}
        made.trip(number, **met.get(number % 100, {}))
        met[50]["other"] = KILLER
        two.trip(number, **met.get(number % 100, {}))
    (row,) = made.account().rows
    assert (row.cause.kind, row.cause.who, row.grade, row.count) == ("joined", "sender", "inferred", COUNT // 100)
    # Where two that hand packets over ran meanwhile, or nobody is known to, nobody knows whose they were.
    for nobody in (two, bed(joined=400_000)):
        (row,) = nobody.account().rows
        assert (row.cause.kind, row.cause.who, row.count) == ("softirq", "NET_RX", COUNT // 100)


def test_an_ordinary_way_has_every_segment() -> None:
    ordinary = bed(work=400_000).account().ordinary
    assert ordinary["request_send"] == 2000
    assert ordinary["request_softirq"] == 200
    assert ordinary["request_napi"] == 4800
    # Of the very first request nobody saw the server fall asleep.
    assert ordinary["request_wakeup"] == pytest.approx(3000, abs=5)
    assert ordinary["request_receive"] == pytest.approx(2000, abs=5)
    assert ordinary["work"] == 1000
    assert sum(ordinary.values()) == pytest.approx(25_000)


def test_switches_out_of_idle_may_be_missing() -> None:
    """Some kernels do not show them on one CPU: the task is suddenly there, and was woken before."""
    made = bed(idle=400_000)
    made.rows = [row for row in made.rows if not (row[1] == 0 and row[2] == Kind.SWITCH and row[3] == 0)]
    (row,) = made.account().rows
    assert (row.cause.kind, row.cause.cpu, row.grade) == ("idle", 0, "inferred")


def test_what_nothing_shows_is_not_explained() -> None:
    made = bed()
    columns = made.columns()
    # 14 us more of the server's way back to us, in which no event lies: too short to say that its CPU stood still.
    for place in range(50, COUNT, 100):
        sent, *rest = made.samples[place]
        latency = rest[0] + 11_000
        made.samples[place] = (sent, latency, latency, *rest[2:])
    assert len(columns["latency_ns"]) == COUNT
    (row,) = made.account(above_ns=35_000).rows
    assert (row.cause.kind, row.grade) == ("own", "not explained")


@pytest.mark.parametrize(
    ("text", "quantile", "ns"), [("p99.9", 0.999, None), ("200us", None, 200e3), ("1.5ms", None, 1.5e6)]
)
def test_above(text: str, quantile: float | None, ns: float | None) -> None:
    above = parse_above(text)
    assert (above.quantile, above.ns) == (pytest.approx(quantile) if quantile else None, ns)


@pytest.mark.parametrize("text", ["", "99", "p", "p100", "200", "-1us", "us", "nan"])
def test_above_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"p99\.9"):
        parse_above(text)


def kept(place: Path, meta: Meta, p50_us: tuple[float, ...] = (25, 26, 24)) -> ResultSet:
    """A set with a traced repetition whose trace is that of a bed, and runs that were not traced."""
    plan: Plan = experiment.plan(place)
    results = ResultSet.create(place, "small", "20260101T000000Z", b"", plan, {})
    traced = ResultSet.create(results.path, "traced", "20260101T000001Z", b"", plan.traced(), {"trace": "tail"})
    made = bed(runqueue=400_000)
    names = list(made.columns())
    raw = np.zeros(COUNT, np.dtype([(name, "<i8") for name in names]))
    for name, values in made.columns().items():
        raw[name] = values
    for block, value in enumerate(p50_us):
        record = synthetic.record(block=block)
        results.save_run(replace(record, metrics={"rtt_p50_us": value}, factors={}))
    record = replace(synthetic.record(block=99), factors={})
    traced.save_run(record, raw, {EVENTS_FILE: parquet.encode(made.events()), META_FILE: to_json(meta)})
    return results


def test_a_set_is_explained(tmp_path: Path) -> None:
    (tail,) = tails(kept(tmp_path, Bed().meta()), parse_above("p99"))
    assert tail.refused == ()
    assert (tail.joined, tail.requests) == (1.0, COUNT)
    assert tail.account is not None
    assert sentence(tail.account) == "100 % waited for CPU 1 behind hog (pid 300), 403 us each"
    text = tail_text([tail], "p99", 1, 100, color=False)
    assert "waited for CPU 1 behind hog (pid 300)" in text
    assert "process: {cpus}" in text
    assert "request runqueue" in text
    header, *rows = tail_csv([tail]).decode().splitlines()
    assert header == ",".join(CSV_COLUMNS)
    assert len(rows) == 10
    assert '"words": "waited for CPU 1 behind hog (pid 300)"' in tail_json([tail], "p99")


def test_the_page_has_a_section_with_a_picture(tmp_path: Path) -> None:
    made = tail_section(kept(tmp_path, Bed().meta()), "a-")
    assert made is not None
    assert 'id="a-tail"' in made
    picture = ElementTree.fromstring(re.findall(r"<svg.*?</svg>", made, re.DOTALL)[0])
    titles = [title.text or "" for title in picture.iter("title")]
    assert any(title.startswith("request runqueue, 40") and "behind hog (pid 300)" in title for title in titles)
    widths = [float(bar.attrib["width"]) for bar in picture.iter("rect")]
    assert 780 < sum(widths) < 810
    untraced = ResultSet.create(tmp_path, "other", "20260101T000000Z", b"", experiment.plan(tmp_path), {})
    assert tail_section(untraced, "") is None


def test_the_slowest_requests_are_a_figure(tmp_path: Path) -> None:
    results = kept(tmp_path, Bed().meta())
    done = call("plot", str(results.path), "--kind", "slowest", "-o", str(tmp_path / "x.svg"))
    assert done.returncode == 0, done.stderr
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "x.svg").read_text())
    # Three requests, each with a title, and in its bar the name of who held it up.
    assert sum(text.endswith("waited for CPU 1 behind hog (pid 300)") for text in texts) == 3
    assert texts.count("hog") == 3
    assert {"client", "way there", "server", "way back", "behind"} <= set(texts)
    shutil.rmtree(results.path / "traced")
    refused = call("plot", str(results.path), "--kind", "slowest", "-o", str(tmp_path / "y.svg"))
    assert refused.returncode == 2
    assert "--explain" in refused.stderr


def test_nothing_is_concluded_from_a_doubtful_trace(tmp_path: Path) -> None:
    whole = Bed().meta()
    lost = replace(whole, lost={0: 0, 1: 17})
    (tail,) = tails(kept(tmp_path, lost, p50_us=(60, 61, 62)), parse_above("p99"))
    assert tail.account is None
    assert "17 events were lost" in tail.refused[0]
    assert "the traced p50 is 25" in tail.refused[1]
    assert "No conclusion: 17 events were lost" in tail_text([tail], "p99", 0, 100, color=False)
    cut = replace(whole, end_ns=900 * STEP)
    (tmp_path / "cut").mkdir()
    (tail,) = tails(kept(tmp_path / "cut", cut), parse_above("p99"))
    assert tail.refused == ("90.0% of the requests are joined with both ends' times, 99% are needed",)


def test_a_set_without_traces_says_how_to_make_them(tmp_path: Path) -> None:
    results = ResultSet.create(tmp_path, "small", "20260101T000000Z", b"", experiment.plan(tmp_path), {})
    with pytest.raises(InputError, match="run FILE --explain"):
        tails(results, parse_above("p99"))


def test_in_model_time_a_trace_may_cost(tmp_path: Path) -> None:
    """Each event's instructions are time there: half as much again is no reason to refuse, and is told."""
    results = kept(tmp_path, Bed().meta(), p50_us=(20, 20, 20))
    (tail,) = tails(results, parse_above("p99"))
    assert "the traced p50 is 25" in tail.refused[0]
    traced = ResultSet.latest(results.path, "traced")
    assert traced is not None
    (record,) = traced.records()
    file = traced.path / "runs" / record.run_id / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"environment": {"accelerator": "tcg-virtual"}}))
    (tail,) = tails(results, parse_above("p99"))
    assert tail.account is not None and "the events themselves take time: the traced p50 is 25" in tail.notes[0]


def test_where_one_more_run_is_expected() -> None:
    records = [
        RunRecord(f"{n}", "base", "valid", metrics={"rtt_p50_us": value}) for n, value in enumerate((100, 101, 99))
    ]
    low, high = _expected_us(records[0], records) or (0, 0)
    # As alike as these are, 5 % to either side is the least.
    assert (low, high) == (pytest.approx(95.2, abs=0.1), pytest.approx(105, abs=0.1))
    assert _expected_us(records[0], records[:2]) is None


@pytest.mark.parametrize("data", [b"", b"[]", b'{"cpus": 1}', b'{"version": 99}'])
def test_damaged_meta(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_meta(data)
