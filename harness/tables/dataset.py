"""Sets as a Parquet dataset for databases: a file of runs for each set, under directories that name it."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import quote

from harness.store import atomic
from harness.tables.source import Source


def write_dataset(sources: list[Source], target: Path, owner: atomic.Owner | None = None) -> list[Path]:
    """Write target/experiment=NAME/set=STAMP/runs.parquet for each source; the files, each replaced whole.

    Columns are those of runs.csv: texts and doubles, blank as null. Raises PollbenchError when the disk refuses.
    """
    # Imported here: no other part of a table needs it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = []
    for source in sources:
        experiment, _, stamp = source.label.rpartition("/")
        name = experiment.rpartition("/")[2] or "none"
        place = target / f"experiment={quote(name, safe='')}" / f"set={quote(stamp, safe='')}"
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(source.runs, preserve_index=False), sink, compression="zstd")
        with atomic.explained("write a dataset", place):
            atomic.make_directories(place, owner, target)
            atomic.write_file(place / "runs.parquet", sink.getvalue(), owner, target)
        written.append(place / "runs.parquet")
    return written
