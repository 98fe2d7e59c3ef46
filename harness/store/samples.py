"""Raw samples of a run as Parquet: one row per request, times in ns as integers."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.store import quantiles
from harness.store.quantiles import Quantiles

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SAMPLE_DTYPE = np.dtype([("intended_ns", "<i8"), ("latency_ns", "<i8")])
"""What every set has: intended_ns, when a request was due (open loop) or sent, since the measurement began; latency_ns
from then to its reply, -1 for a request that was never answered. Our own generator adds service_ns, connection and
phase_*."""
_LATENCY = "latency_ns"


def encode(samples: npt.NDArray[Any]) -> bytes:
    """The Parquet file of one run's samples: a column for every field of the structured array, all integers.

    Its footer has the quantiles of latency_ns, where that is one of them.
    """
    # Imported here: it costs 150 ms, and `--help` passes by this module.
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = samples.dtype.names or ()
    columns = {name: np.ascontiguousarray(samples[name]) for name in names}
    table, sink = pa.table(columns), io.BytesIO()
    # Send times rise by about one round trip each: differences pack small. Times themselves pack small too.
    encoding = dict.fromkeys(names, "DELTA_BINARY_PACKED")
    with pq.ParquetWriter(
        sink, table.schema, compression="zstd", use_dictionary=False, column_encoding=encoding
    ) as writer:
        writer.write_table(table)
        if _LATENCY in columns:
            writer.add_key_value_metadata({quantiles.KEY: quantiles.packed(quantiles.quantiles_of(columns[_LATENCY]))})
    return sink.getvalue()


@contextmanager
def _opened(path: Path) -> Iterator[pa.NativeFile]:
    """A samples file. Raises ValueError where it is damaged, OSError where it cannot be read."""
    import pyarrow as pa

    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is no regular file")
    try:
        with pa.OSFile(str(path)) as source:
            yield source
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def read_columns(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
    """The named columns of a samples file and no others: memory for what was asked for.

    Raises ValueError for a file that is damaged or lacks a column, OSError if unreadable.
    """
    import pyarrow.parquet as pq

    # Threads within a file cost more than they save at the size of a run, and so do those that read ahead.
    with _opened(path) as source, pq.ParquetFile(source, pre_buffer=False) as file:
        table = file.read(columns=list(names), use_threads=False)
        return {name: np.asarray(table[name].to_numpy(), dtype=np.int64) for name in names}


def read_quantiles(path: Path) -> Quantiles:
    """The quantiles of a samples file: of its footer, or else of its samples. Raises as `read_columns` does."""
    return _carried(_footer(path)) or quantiles.quantiles_of(read_columns(path, [_LATENCY])[_LATENCY])


def rows_of(path: Path) -> tuple[int, tuple[str, ...]]:
    """How many samples a file holds and which columns, from its footer alone. Raises as `read_columns` does."""
    footer = _footer(path)
    return footer.num_rows, tuple(footer.schema.names)


def _footer(path: Path) -> pq.FileMetaData:
    import pyarrow.parquet as pq

    with _opened(path) as source:
        return pq.read_metadata(source)


def _carried(footer: pq.FileMetaData) -> Quantiles | None:
    """The quantiles that a footer has; None where it has none, or such that are not of its own samples."""
    data = (footer.metadata or {}).get(quantiles.KEY)
    if data is None or footer.num_row_groups != 1:
        return None
    columns = map(footer.row_group(0).column, range(footer.num_columns))
    facts = next((column.statistics for column in columns if column.path_in_schema == _LATENCY), None)
    if facts is None or not facts.has_min_max or facts.null_count:
        return None
    return quantiles.unpacked(data, footer.num_rows, facts.min, facts.max)
