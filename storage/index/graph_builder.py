"""Builds the lineage graph: one pass of DuckDB over the index's rows, and ids numbered by sorting."""

from __future__ import annotations

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from editflow.storage.index import database
from editflow.storage.index.graph import Edges, Graph, Numbers
from editflow.storage.index.shard_listing import Ids, hexadecimal, prefixes

Marks = npt.NDArray[np.uint64]
"""Hashes of ids: parents are found by these. Two ids of a lake with the same one are refused."""

_AT_ONCE = 10_000
"""Rows that are taken at a time."""
_ROWS = """
SELECT unhex(id) AS id, hash(id) AS mark, kind, seconds,
    list_transform(inputs, lambda x: hash(x.artifact)) AS parents, list_transform(inputs, lambda x: x.role) AS roles
FROM delta_artifacts
"""
_UNSEEN = """
SELECT DISTINCT unhex(artifact) AS id, hash(artifact) AS mark
FROM (SELECT unnest(inputs, recursive := true) FROM delta_artifacts) WHERE hash(artifact) IN (FROM missing)
"""


def build_graph(connection: duckdb.DuckDBPyConnection) -> tuple[Graph, list[str]]:
    """The lineage graph of delta_artifacts, with unsorted edges, and the ids that have several rows there.

    The latter are left out: it is not known which row is right. Raises ValueError where two ids have one hash. Cost: a
    second or two for a million artifacts.
    """
    rows = _taken(connection.sql(_ROWS))
    kind, kinds = _coded(rows["kind"])
    role, roles = _coded(_flat(rows["roles"]))
    ids, marks = _raw(rows["id"]), rows["mark"].to_numpy()
    seconds = np.nan_to_num(rows["seconds"].to_numpy())
    lists = rows["parents"].combine_chunks()
    parents, counts = _flat(rows["parents"]).to_numpy(), np.diff(lists.offsets.to_numpy())
    parent = _places(ids, marks, parents)
    if (parent < 0).any():  # they get numbers all the same
        connection.register("missing", pa.table({"mark": np.unique(parents[parent < 0])}))
        unseen = connection.sql(_UNSEEN).to_arrow_table()
        connection.unregister("missing")
        more = len(unseen)
        ids, marks = np.concatenate([ids, _raw(unseen["id"])]), np.concatenate([marks, unseen["mark"].to_numpy()])
        kind, seconds = np.append(kind, np.full(more, -1, "i4")), np.append(seconds, np.zeros(more))
        counts = np.append(counts, np.zeros(more, counts.dtype))
        parent = _places(ids, marks, parents)
    order = _order(ids)
    ordered = ids[order]
    again = ordered[1:] == ordered[:-1]
    number = np.empty(len(ids), "i4")  # by the row
    number[order] = np.cumsum(np.append([False], ~again)[: len(ids)])
    first = order[np.append([True], ~again)[: len(ids)]]  # a row of each number
    repeated = np.unique(number[order[1:][again]])
    child, parent = np.repeat(number, counts), number[parent]
    kind, seconds = kind[first] + 1, seconds[first]
    if len(repeated):
        kind[repeated], is_certain = 0, ~np.isin(child, repeated)
        child, parent, role = child[is_certain], parent[is_certain], role[is_certain]
    graph = Graph(ids[first], (), kind, seconds, [None, *kinds], roles, (Edges(child, parent, role),))
    return graph, hexadecimal(ids[first][repeated])


def _taken(result: duckdb.DuckDBPyRelation) -> pa.Table:
    """All rows of a result. Raises ValueError where they take more memory than reading an index may."""
    kept, held, most = list[pa.RecordBatch](), 0, database.memory_limit()
    with result.to_arrow_reader(_AT_ONCE) as reader:
        for batch in reader:
            held += batch.nbytes
            if held > most:
                raise ValueError("the index unpacks to more than there is room for")
            kept.append(batch)
        return pa.Table.from_batches(kept, reader.schema)


def _places(ids: Ids, marks: Marks, wanted: Marks) -> Numbers:
    """The rows of these marks, -1 where there is none. Searched for in order, which is ten times as fast."""
    if not len(marks):
        return np.full(len(wanted), -1, "i4")
    order, asked = np.argsort(marks), np.argsort(wanted)
    there, sought = marks[order], wanted[asked]
    again = np.flatnonzero(there[1:] == there[:-1])
    if (ids[order[again]] != ids[order[again + 1]]).any():
        raise ValueError("two ids have one hash")
    at = np.minimum(np.searchsorted(there, sought), len(there) - 1)
    found = np.empty(len(wanted), "i4")
    found[asked] = np.where(there[at] == sought, order[at], -1)
    return found


def _order(ids: Ids) -> Numbers:
    """The places of ids in their order; nearly all differ in their first eight bytes, which are sorted faster."""
    first = prefixes(ids)
    order = np.argsort(first)
    same = np.flatnonzero(first[order][1:] == first[order][:-1])
    if (ids[order[same]] != ids[order[same + 1]]).any():
        order = np.argsort(ids)
    return order.astype("i4")


def _raw(ids: pa.ChunkedArray) -> Ids:
    """A column of 32 bytes each as an array."""
    whole = ids.combine_chunks()
    if not len(whole):
        return np.zeros(0, "S32")
    return np.frombuffer(whole.cast(pa.binary(32)).buffers()[1], "S32")


def _flat(lists: pa.ChunkedArray) -> pa.Array:
    """The values of a column of lists."""
    return lists.combine_chunks().flatten()


def _coded(texts: pa.ChunkedArray | pa.Array) -> tuple[Numbers, list[str]]:
    """A column as numbers and the texts that these encode; -1 for null."""
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    coded = whole.dictionary_encode()
    return coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype("i4"), coded.dictionary.to_pylist()
