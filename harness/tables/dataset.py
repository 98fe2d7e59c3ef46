"""Sets as a Parquet dataset for databases: a file of runs for each set, under directories that name it."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import quote

from harness.errors import InputError
from harness.store import atomic
from harness.tables.source import Source


def write_dataset(sources: list[Source], target: Path, owner: atomic.Owner | None = None) -> list[Path]:
    """Write target/experiment=NAME/set=STAMP/runs.parquet for each source; the files, each replaced whole.

    Columns are those of runs.csv: texts and doubles, blank as null. Raises PollbenchError when the disk refuses, and
    InputError, before anything is written, where two sources would have one file.
    """
    # Imported here: no other part of a table needs it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    places = [target / _place(source.label) for source in sources]
    if twice := next((place for place in places if places.count(place) > 1), None):
        got = "two sets would be written there, and one would be lost"
        raise InputError("write a dataset", str(twice), got, "export their directories into datasets of their own")
    written = []
    for source, place in zip(sources, places, strict=True):
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(source.runs, preserve_index=False), sink, compression="zstd")
        with atomic.explained("write a dataset", place, keep="files written before are whole"):
            atomic.make_directories(place, owner, target)
            atomic.write_file(place / "runs.parquet", sink.getvalue(), owner, target)
        written.append(place / "runs.parquet")
    return written


def _place(label: str) -> str:
    experiment, _, stamp = label.rpartition("/")
    name = experiment.rpartition("/")[2] or "none"
    return f"experiment={quote(name, safe='')}/set={quote(stamp, safe='')}"
