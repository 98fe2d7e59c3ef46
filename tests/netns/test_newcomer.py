"""A knob and a kind of link that somebody adds, one file each, in a run on real links: made, set, read back, told."""

from __future__ import annotations

import csv
from pathlib import Path

from tests import experiment
from tests.newcomer import Newcomer


def test_a_new_knob_and_a_new_kind_of_link_are_in_the_tables(tmp_path: Path) -> None:
    document = experiment.document()
    topology = document["topology"]
    topology["links"] = [{"between": ["client", "server"], "nic": "twin"}]
    path = experiment.write(
        tmp_path,
        topology=topology | {"datapath": "napi"},
        settings={"client": {"transmit_queue": {"tx_queue_len": 500}}},
        # A busy host may leave a server without a CPU for all of 0.1 s.
        workload=document["workload"] | {"duration": "500ms"},
    )
    done = Newcomer(tmp_path).run("run", path, "--output", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    (table,) = (tmp_path / "results").rglob("knobs.csv")
    (row,) = csv.DictReader(table.read_text().splitlines())
    assert (row["node"], row["knob"], row["scope"]) == ("client", "transmit_queue", "device")
    assert (row["found"], row["requested"], row["applied"]) == ("1000", "500", "500")
    # What a knob only writes and reads back, nobody saw acting.
    assert row["took_effect"] == ""
