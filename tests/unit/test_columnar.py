"""Tables without pandas hold and group what tables of pandas do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from harness.tables.columnar import Numbers, Table, Texts, table_of

ROOT = Path(__file__).parents[2]
TEXTS = st.lists(st.sampled_from(["", "a", "b", "c d", "é"]), min_size=12, max_size=12)
NUMBERS = st.lists(st.sampled_from([0.0, -0.0, 1.5, float("nan"), 1e9]), min_size=12, max_size=12)


@given(TEXTS, NUMBERS, TEXTS)
def test_a_data_frame_comes_back_as_it_was_and_groups_alike(
    one: list[str], numbers: list[float], two: list[str]
) -> None:
    frame = pd.DataFrame({"one": pd.array(one, dtype="str"), "n": numbers, "two": pd.array(two, dtype="str")})
    table = table_of(frame)
    pd.testing.assert_frame_equal(table.frame(), frame)
    for keys in (["one"], ["n"], ["one", "n", "two"]):
        expected = frame.groupby(keys, sort=False, dropna=False).ngroup()
        assert table.groups(keys).tolist() == expected.tolist()
    assert table.texts("one").distinct() == frame["one"].unique().tolist()
    assert table.texts("one").counts().tolist() == frame["one"].value_counts(sort=False).tolist()
    rows = np.array([3, 0, 11])
    pd.testing.assert_frame_equal(table.take(rows).frame(), frame.iloc[rows].reset_index(drop=True))
    assert table["n"].blank().tolist() == frame["n"].isna().tolist()


def test_texts_that_become_the_same_are_the_same() -> None:
    column = Texts.of(["a", "A", "b", "a"]).mapped(str.upper)
    assert column.distinct() == ["A", "B"] and column.counts().tolist() == [3, 1]
    table = Table({"x": column, "n": Numbers(np.array([1.0, 1.0, 2.0, np.nan]))}, 4)
    assert table.groups(["x", "n"]).tolist() == [0, 0, 1, 2]
    assert table.texts("n").rows().tolist() == ["1", "1", "2", ""]
    assert len(table.take(table.texts("x").are(lambda text: text == "B"))) == 1


def test_an_empty_table() -> None:
    table = table_of(pd.DataFrame({"x": pd.array([], dtype="str"), "n": np.array([])}))
    assert (len(table), table.groups(["x", "n"]).tolist(), table.texts("x").distinct()) == (0, [], [])
    assert table["x"].alike() and table["n"].alike()


def test_comparing_csv_files_loads_no_pandas(tmp_path: Path) -> None:
    """Loading it takes longer than all the rest."""
    for name in ("a", "b"):
        rows = "".join(f"base,{block},{50 + block}.25\n" for block in range(5))
        (tmp_path / f"{name}.csv").write_text("case,block,rtt_p50_us\n" + rows)
    words = ["compare", "--format", "csv", str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    ask = f"import sys; from harness import cli; cli.main({words}); print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "rtt_p50_us,us,base" in done.stdout
    assert {"pandas", "pyarrow.compute", "pydantic"}.isdisjoint(done.stdout.split("\n"))
