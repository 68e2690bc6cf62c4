"""Builds the lineage graph with one pass of DuckDB over the rows of the index; sorting numbers the ids."""

from __future__ import annotations

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from editflow.storage.index import database
from editflow.storage.index.graph import Edges, Graph, Numbers
from editflow.storage.index.shard_listing import Ids, hexadecimal, prefixes

Hashes = npt.NDArray[np.uint64]
"""Hashes of ids, by which parents are found. Two ids with the same hash are an error."""

_BATCH_ROWS = 10_000
_ROWS = """
SELECT unhex(id) AS id, hash(id) AS hash, kind, seconds,
    list_transform(inputs, lambda x: hash(x.artifact)) AS parents, list_transform(inputs, lambda x: x.role) AS roles
FROM delta_artifacts
"""
_UNKNOWN_PARENTS = """
SELECT DISTINCT unhex(artifact) AS id, hash(artifact) AS hash
FROM (SELECT unnest(inputs, recursive := true) FROM delta_artifacts) WHERE hash(artifact) IN (FROM missing)
"""


def build_graph(connection: duckdb.DuckDBPyConnection) -> tuple[Graph, list[str]]:
    """The lineage graph of delta_artifacts, with unsorted edges, and the ids that have several rows.

    These ids are left out of the graph, because it is unknown which row is right. Raises ValueError if two ids have the
    same hash. Cost: one or two seconds for a million artifacts.
    """
    rows = _fetch(connection.sql(_ROWS))
    kind, kinds = _encode(rows["kind"])
    role, roles = _encode(_flatten(rows["roles"]))
    ids, hashes = _raw(rows["id"]), rows["hash"].to_numpy()
    seconds = np.nan_to_num(rows["seconds"].to_numpy())
    lists = rows["parents"].combine_chunks()
    parents, counts = _flatten(rows["parents"]).to_numpy(), np.diff(lists.offsets.to_numpy())
    parent = _find_rows(ids, hashes, parents)
    if (parent < 0).any():  # parents without a row also get numbers
        connection.register("missing", pa.table({"hash": np.unique(parents[parent < 0])}))
        unknown = connection.sql(_UNKNOWN_PARENTS).to_arrow_table()
        connection.unregister("missing")
        more = len(unknown)
        ids = np.concatenate([ids, _raw(unknown["id"])])
        hashes = np.concatenate([hashes, unknown["hash"].to_numpy()])
        kind, seconds = np.append(kind, np.full(more, -1, "i4")), np.append(seconds, np.zeros(more))
        counts = np.append(counts, np.zeros(more, counts.dtype))
        parent = _find_rows(ids, hashes, parents)
    order = _sort_order(ids)
    ordered = ids[order]
    is_repeat = ordered[1:] == ordered[:-1]
    number = np.empty(len(ids), "i4")  # by row
    number[order] = np.cumsum(np.append([False], ~is_repeat)[: len(ids)])
    first = order[np.append([True], ~is_repeat)[: len(ids)]]  # one row of each number
    repeated = np.unique(number[order[1:][is_repeat]])
    child, parent = np.repeat(number, counts), number[parent]
    kind, seconds = kind[first] + 1, seconds[first]
    if len(repeated):
        kind[repeated], is_certain = 0, ~np.isin(child, repeated)
        child, parent, role = child[is_certain], parent[is_certain], role[is_certain]
    graph = Graph(ids[first], (), kind, seconds, [None, *kinds], roles, (Edges(child, parent, role),))
    return graph, hexadecimal(ids[first][repeated])


def _fetch(result: duckdb.DuckDBPyRelation) -> pa.Table:
    """All rows of a result. Raises ValueError if they need more memory than reading an index may use."""
    batches, total, limit = list[pa.RecordBatch](), 0, database.memory_limit()
    with result.to_arrow_reader(_BATCH_ROWS) as reader:
        for batch in reader:
            total += batch.nbytes
            if total > limit:
                raise ValueError("the index needs more memory than it may use")
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)


def _find_rows(ids: Ids, hashes: Hashes, wanted: Hashes) -> Numbers:
    """The rows with the wanted hashes, -1 if there is none. Both are sorted first, which is ten times as fast."""
    if not len(hashes):
        return np.full(len(wanted), -1, "i4")
    order, wanted_order = np.argsort(hashes), np.argsort(wanted)
    known, sought = hashes[order], wanted[wanted_order]
    equal = np.flatnonzero(known[1:] == known[:-1])
    if (ids[order[equal]] != ids[order[equal + 1]]).any():
        raise ValueError("two ids have the same hash")
    nearest = np.minimum(np.searchsorted(known, sought), len(known) - 1)
    rows = np.empty(len(wanted), "i4")
    rows[wanted_order] = np.where(known[nearest] == sought, order[nearest], -1)
    return rows


def _sort_order(ids: Ids) -> Numbers:
    """The permutation that sorts ids. Nearly all differ in their first eight bytes, which sort faster."""
    keys = prefixes(ids)
    order = np.argsort(keys)
    equal = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    if (ids[order[equal]] != ids[order[equal + 1]]).any():
        order = np.argsort(ids)
    return order.astype("i4")


def _raw(ids: pa.ChunkedArray) -> Ids:
    """A column of 32-byte values as an array."""
    column = ids.combine_chunks()
    if not len(column):
        return np.zeros(0, "S32")
    return np.frombuffer(column.cast(pa.binary(32)).buffers()[1], "S32")


def _flatten(lists: pa.ChunkedArray) -> pa.Array:
    """The values of a column of lists."""
    return lists.combine_chunks().flatten()


def _encode(texts: pa.ChunkedArray | pa.Array) -> tuple[Numbers, list[str]]:
    """A column as dictionary indices, -1 for null, and its dictionary."""
    column = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    encoded = column.dictionary_encode()
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype("i4"), encoded.dictionary.to_pylist()
