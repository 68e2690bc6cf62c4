"""Conversion between arrays and tables through buffers, without a loop over elements.

A matrix becomes one record per row (``layer, name, i, row``). A symmetric matrix becomes its packed upper triangle,
whose row i contains the entries (i, i) … (i, n-1). The round trip preserves every bit.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

Floats = npt.NDArray[np.floating[Any]]


def vectors_column(array: npt.NDArray[Any]) -> pa.Array:
    """A 2-D array (n × d) as a list column of n rows of d values, with the array's dtype."""
    n, d = array.shape
    return _list_array(np.ascontiguousarray(array).reshape(-1), np.full(n, d))


def vectors(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """A list column of n equally long rows as a 2-D array (n × d). Raises ValueError if the lengths differ."""
    array = _one_array(column)
    lengths = np.diff(array.offsets.to_numpy())
    if len(lengths) and (lengths != lengths[0]).any():
        raise ValueError("the rows have different lengths: this list column is not a matrix")
    width = int(lengths[0]) if len(lengths) else 0
    return np.asarray(array.flatten().to_numpy(zero_copy_only=False)).reshape(len(lengths), width)


def matrix_rows(entries: Iterable[tuple[int, str, Floats]]) -> pa.Table:
    """Matrices (layer, name, 2-D array) as a table of float64 rows: layer, name, i, row."""
    return _table([(layer, name, vectors_column(np.asarray(m, np.float64))) for layer, name, m in entries])


def packed_rows(entries: Iterable[tuple[int, str, Floats]]) -> pa.Table:
    """Symmetric matrices (layer, name, n × n) as packed upper triangles: layer, name, i, row of n - i values.

    A 1 × 1 matrix packs to itself. Raises ValueError if a matrix is not exactly symmetric.
    """
    return _table([(layer, name, pack_upper(np.asarray(m, np.float64))) for layer, name, m in entries])


def pack_upper(matrix: Floats) -> pa.Array:
    """The upper triangle of a symmetric n × n matrix as n rows of n, n-1, …, 1 values. Raises ValueError."""
    n = len(matrix)
    if matrix.shape != (n, n) or not np.array_equal(matrix, matrix.T):
        raise ValueError(f"a matrix of shape {matrix.shape} that is not exactly symmetric cannot be packed")
    # One slice per row: index arrays of the triangle would take twice the memory of the matrix.
    values = np.concatenate([matrix[k, k:] for k in range(n)]) if n else matrix.reshape(-1)
    return _list_array(values, np.arange(n, 0, -1))


def unpack_upper(column: pa.Array | pa.ChunkedArray) -> Floats:
    """The symmetric n × n matrix of the n rows of ``pack_upper``. Raises ValueError for other row lengths."""
    array = _one_array(column)
    n = len(array)
    if not np.array_equal(np.diff(array.offsets.to_numpy()), np.arange(n, 0, -1)):
        raise ValueError("the rows are not n, n-1, …, 1 long: this is not a packed upper triangle")
    values = array.flatten().to_numpy(zero_copy_only=False)
    full = np.empty((n, n), values.dtype)
    end = 0
    for k in range(n):
        start, end = end, end + n - k
        full[k, k:] = full[k:, k] = values[start:end]
    return full


def matrices(table: pa.Table) -> dict[tuple[int, str], Floats]:
    """The matrices of a ``matrix_rows`` table by (layer, name), in the table's order."""
    return {key: vectors(rows) for key, rows in _groups(table)}


def packed_matrices(table: pa.Table) -> dict[tuple[int, str], Floats]:
    """The symmetric matrices of a ``packed_rows`` table by (layer, name), in the table's order."""
    return {key: unpack_upper(rows) for key, rows in _groups(table)}


def rows_of_layer(file: parquet.ParquetFile, layer: int) -> pa.Table:
    """The rows of one layer of a Parquet file with a column `layer`; other row groups are not decoded."""
    column = file.schema_arrow.get_field_index("layer")
    groups = []
    for number in range(file.num_row_groups):
        statistics = file.metadata.row_group(number).column(column).statistics
        if statistics is None or not statistics.has_min_max or statistics.min <= layer <= statistics.max:
            groups.append(number)
    table = file.read_row_groups(groups)
    return table.filter(pc.equal(table["layer"], layer))


def max_distance(kept: pa.Table, other: pa.Table) -> float | None:
    """The largest absolute difference over all float columns; None if shapes or other columns differ."""
    largest = 0.0
    for left, right in zip(kept.columns, other.columns, strict=True):
        a, b = left.combine_chunks(), right.combine_chunks()
        if str(a.type).startswith("list") and len(a) == len(b):
            if a.value_lengths() != b.value_lengths():
                return None
            a, b = a.flatten(), b.flatten()
        if str(a.type) not in ("float", "double") or len(a) != len(b):
            if not a.equals(b):
                return None
            continue
        distance = np.abs(a.to_numpy(zero_copy_only=False) - b.to_numpy(zero_copy_only=False))
        largest = max(largest, float(np.nanmax(distance, initial=0.0)))
    return largest


def _table(parts: list[tuple[int, str, pa.Array]]) -> pa.Table:
    sizes = [len(rows) for _, _, rows in parts]
    layers = np.repeat(np.array([layer for layer, _, _ in parts], np.int32), sizes)
    counts = [np.empty(0, np.int32)] + [np.arange(n, dtype=np.int32) for n in sizes]
    names = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(len(parts), dtype=np.int32), sizes), pa.int32()),
        pa.array([name for _, name, _ in parts], pa.string()),
    ).cast(pa.string())
    return pa.table(
        {
            "layer": pa.array(layers, pa.int32()),
            "name": names,
            "i": pa.array(np.concatenate(counts), pa.int32()),
            "row": pa.chunked_array([rows for _, _, rows in parts], pa.list_(pa.float64())),
        }
    )


def _groups(table: pa.Table) -> list[tuple[tuple[int, str], pa.ChunkedArray]]:
    """The row column, split by (layer, name). Raises ValueError unless i counts 0, 1, … in each piece."""
    i = table["i"].to_numpy()
    starts = np.flatnonzero(i == 0)
    ends = np.append(starts, len(i))[1:]
    if len(i) and (i[0] != 0 or not np.array_equal(i, np.arange(len(i)) - np.repeat(starts, ends - starts))):
        raise ValueError("the rows of a matrix are not in order: i must count 0, 1, … in each matrix")
    groups = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        key = (table["layer"][start].as_py(), table["name"][start].as_py())
        groups.append((key, table["row"].slice(start, end - start)))
    return groups


def _list_array(values: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> pa.Array:
    if len(values) > np.iinfo(np.int32).max:
        raise ValueError(f"{len(values)} values do not fit into one list array of 2^31; split the matrix by rows")
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def _one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column
