"""The list of columns: complete, without doubles, and the same as the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import columns, stats
from tools import columns_doc

ROOT = Path(__file__).parents[2]


def test_documentation_matches_the_code() -> None:
    found = (ROOT / "docs" / "columns.md").read_text()
    assert found == columns_doc.document(), "run: python -m tools.columns_doc > docs/columns.md"


@pytest.mark.parametrize(
    "listed",
    [
        (*columns.RUN_COLUMNS, *columns.IMPORTED_FACTS, *columns.IMPORTED_METRICS),
        columns.METRICS,
        columns.RUN_COLUMNS,
        columns.NODES,
        columns.KNOBS,
        columns.CPUS,
    ],
)
def test_no_column_is_there_twice(listed: tuple[columns.Column, ...]) -> None:
    names = [column.name for column in listed]
    assert len(names) == len(set(names))
    assert all(column.meaning.endswith(".") for column in listed)


def test_every_latency_column_is_listed() -> None:
    assert set(stats.summarise([])) <= {column.name for column in columns.METRICS}


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("contention.load", True),
        ("load", True),
        ("settings.*.busy_poll.usecs", True),
        ("workload.wait_us", True),  # a dot wins: it is a key of the experiment file
        ("my_latency_us", False),
        ("rtt_p50_us", False),
        ("kernel", False),
        ("client_napi_id", False),
    ],
)
def test_what_is_a_factor(name: str, factor: bool) -> None:
    assert columns.is_factor(name) is factor
