"""Raw samples of a run as Parquet: one row per request, times in ns as integers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLE_DTYPE = np.dtype([("send_ns", "<i8"), ("rtt_ns", "<i8")])
"""send_ns: since the measurement began; rtt_ns: round trip, -1 for a request that was never answered."""


def encode(samples: npt.NDArray[Any]) -> bytes:
    """The Parquet file of one run's samples (structured array of SAMPLE_DTYPE)."""
    # Imported here: it costs 150 ms, and `--help` passes by this module.
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: np.ascontiguousarray(samples[name], dtype=np.int64) for name in ("send_ns", "rtt_ns")}
    sink = io.BytesIO()
    # Send times rise by about one round trip each: differences pack small. Times themselves pack small too.
    pq.write_table(
        pa.table(columns),
        sink,
        compression="zstd",
        use_dictionary=False,
        column_encoding={"send_ns": "DELTA_BINARY_PACKED", "rtt_ns": "DELTA_BINARY_PACKED"},
    )
    return sink.getvalue()


def read_columns(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
    """The named columns of a samples file and no others: memory for what was asked for.

    Raises ValueError for a file that is damaged or lacks a column, OSError if unreadable.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Threads within a file cost more than they save at the size of a run.
        table = pq.ParquetFile(path).read(columns=list(names), use_threads=False)
        return {name: np.asarray(table[name].to_numpy(), dtype=np.int64) for name in names}
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def rows_of(path: Path) -> tuple[int, tuple[str, ...]]:
    """How many samples a file holds and which columns, from its footer alone. Raises as `read_columns` does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return file.metadata.num_rows, tuple(file.schema_arrow.names)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error


def decode(path: Path) -> npt.NDArray[Any]:
    """The samples in a file that `encode` made. Raises ValueError on anything else, OSError if unreadable."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = path.read_bytes()
    try:
        table = pq.read_table(pa.BufferReader(data), columns=["send_ns", "rtt_ns"])
        samples = np.empty(table.num_rows, dtype=SAMPLE_DTYPE)
        for name in ("send_ns", "rtt_ns"):
            samples[name] = table[name].to_numpy()
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
    return samples
