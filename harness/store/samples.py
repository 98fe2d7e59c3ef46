"""Raw samples of a run as Parquet: one row per request, times in ns as integers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLE_DTYPE = np.dtype([("intended_ns", "<i8"), ("latency_ns", "<i8")])
"""What every set has: intended_ns, when a request was due (open loop) or sent, since the measurement began; latency_ns
from then to its reply, -1 for a request that was never answered. Our own generator adds service_ns, connection and
phase_*."""


def encode(samples: npt.NDArray[Any]) -> bytes:
    """The Parquet file of one run's samples: a column for every field of the structured array, all integers."""
    # Imported here: it costs 150 ms, and `--help` passes by this module.
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = samples.dtype.names or ()
    columns = {name: np.ascontiguousarray(samples[name]) for name in names}
    sink = io.BytesIO()
    # Send times rise by about one round trip each: differences pack small. Times themselves pack small too.
    pq.write_table(
        pa.table(columns),
        sink,
        compression="zstd",
        use_dictionary=False,
        column_encoding=dict.fromkeys(names, "DELTA_BINARY_PACKED"),
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
        with pq.ParquetFile(path) as file:
            table = file.read(columns=list(names), use_threads=False)
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
        table = pq.read_table(pa.BufferReader(data))
        arrays = {name: table[name].to_numpy() for name in table.column_names}
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
    if "latency_ns" not in arrays or any(array.dtype.kind not in "iu" for array in arrays.values()):
        raise ValueError(f"these are no samples: columns {', '.join(arrays) or 'none'}")
    samples = np.empty(table.num_rows, dtype=[(name, array.dtype) for name, array in arrays.items()])
    for name, array in arrays.items():
        samples[name] = array
    return samples
