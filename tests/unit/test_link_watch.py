"""What is kept of links while they are measured with: what is refused, what is noted, and how it comes into tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis.summary import overview
from harness.errors import InputError
from harness.report.layout import to_text
from harness.report.resultset import document
from harness.run.link_watch import handles_of, series_of
from harness.spec.shape import Shape
from harness.store.record import QueueSeries
from harness.tables.frames import frames
from harness.tables.source import Source
from harness.topology.pacing import link_notes
from harness.topology.qdiscs import discs_of
from tests import experiment
from tests.beds import pair
from tests.unit import synthetic

POINT = np.dtype([("samples", "u8"), ("packets", "u8"), ("most_packets", "u4"), ("most_bytes", "u4"), ("drops", "u8")])


@pytest.mark.parametrize(
    ("link", "place", "words"),
    [
        ({"queue_series": "1ms"}, "queue_series", "no direction of this link is shaped"),
        ({"queue_series": "1us", "shape": {"rate": "1mbit"}}, "queue_series", "at least 100us"),
        ({"pcap": {"keep": "1GiB"}}, "pcap.keep", "15MiB"),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path: Path, link: dict[str, Any], place: str, words: str) -> None:
    nodes: dict[str, Any] = {"client": {}, "server": {}}
    links = [{"between": list(nodes)} | link]
    with pytest.raises(InputError) as raised:
        experiment.plan(tmp_path, topology={"nodes": nodes, "links": links})
    assert place in raised.value.line() and words in raised.value.line()


def test_a_plan_says_what_it_costs() -> None:
    notes = link_notes(pair(pcap={"keep": "1MiB"}, queue_series="1ms", shape={"rate": "10mbit"}), netem=True)
    assert notes == [
        "a - b: packets are copied at both ends, some 0.4 us each (with native AF_XDP none is seen); "
        "the last 1MiB are kept",
        "a - b: its queues are looked into every 1ms, which takes their lock",
    ]
    assert link_notes(pair(), netem=True) == []


@pytest.mark.parametrize(
    ("shape", "handles"),
    [
        ({"rate": "10mbit"}, (0, 0)),
        ({"rate": "10mbit", "method": "htb", "qdisc": {"kind": "fq_codel"}}, (0, 2 << 16)),
        # Packets travel, then wait.
        ({"rate": "10mbit", "method": "htb", "delay": "1ms", "qdisc": {"kind": "codel"}}, (2 << 16, 3 << 16)),
        ({"delay": "1ms"}, (0, 0)),
    ],
)
def test_the_queue_is_where_packets_wait_for_the_rate(shape: dict[str, Any], handles: tuple[int, int]) -> None:
    assert handles_of(discs_of(Shape.model_validate(shape))) == handles


def test_a_stretch_without_a_look_is_a_gap() -> None:
    points = np.array([(4, 6, 3, 4326, 1), (0, 0, 0, 0, 0)], POINT)
    assert series_of("a -> b", 4_000_000, points) == QueueSeries(
        "a -> b", 0.004, [1.5, None], [3, None], [4326, None], [1, 0]
    )


def test_a_series_is_a_table_and_a_summary_over_the_valid_runs() -> None:
    runs = [
        replace(record, queues=(QueueSeries("a -> b", 0.5, [1.0, 3.0], [2, 40 + record.block], [99, 999], [0, 7]),))
        for record in synthetic.result_set(3)
    ]
    runs[0] = replace(runs[0], verdict="suspect", queues=(replace(runs[0].queues[0], drops=[10**6, 0]),))
    tables = frames(runs)
    assert list(tables.queues["at_s"])[:3] == [0.0, 0.5, 0.0] and list(tables.queues["drops"])[:2] == [10**6, 0]
    view = overview(Source("set", tables.runs, queues=tables.queues))
    first = view.queues[0]
    assert (first.link, first.packets, first.most_bytes, first.drops) == ("a -> b", 2.0, 999.0, 7.0)
    assert first.most_packets is not None and first.most_packets > 41
    assert "The series is in queues.csv" in to_text(document(view), 100, color=False)
    assert "queue" not in to_text(document(overview(Source("set", tables.runs))), 100, color=False)


def test_a_file_without_them_keeps_the_ids_of_its_cells() -> None:
    plain = pair(shape={"rate": "1mbit"}).model_dump(mode="json")
    assert not {"pcap", "queue_series"} & set(plain["links"][0])
    assert not {"initcwnd", "initrwnd"} & set(plain["nodes"]["a"])
