"""Raw samples of a run as Parquet: one row per request, times in ns as integers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_TIMES = {"rtt_ns", "latency_ns"}
_SAME = {"send_ns": "intended_ns", "rtt_ns": "latency_ns"}
_SAME |= {new: old for old, new in _SAME.items()}
SAMPLE_DTYPE = np.dtype([("send_ns", "<i8"), ("rtt_ns", "<i8")])
"""What sets of earlier versions, and programs that nobody modified, have: send_ns since the measurement began, and
rtt_ns, -1 for a request that was never answered. Our own generator has intended_ns, latency_ns, service_ns, connection
and phase_* instead."""


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

    send_ns stands for intended_ns where a file has only that, rtt_ns for latency_ns, and the other way round: in a
    closed loop they are the same, in an open one a request's time counts from when it was due.
    Raises ValueError for a file that is damaged or lacks a column, OSError if unreadable.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Threads within a file cost more than they save at the size of a run.
        with pq.ParquetFile(path) as file:
            stored = {name: _stored_name(name, file.schema_arrow.names) for name in names}
            table = file.read(columns=list(stored.values()), use_threads=False)
        return {name: np.asarray(table[each].to_numpy(), dtype=np.int64) for name, each in stored.items()}
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def _stored_name(name: str, there: Sequence[str]) -> str:
    """The column of a file that is meant by a name."""
    other = _SAME.get(name, name)
    return other if name not in there and other in there else name


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
    if not _TIMES & set(arrays) or any(array.dtype.kind not in "iu" for array in arrays.values()):
        raise ValueError(f"these are no samples: columns {', '.join(arrays) or 'none'}")
    samples = np.empty(table.num_rows, dtype=[(name, array.dtype) for name, array in arrays.items()])
    for name, array in arrays.items():
        samples[name] = array
    return samples
