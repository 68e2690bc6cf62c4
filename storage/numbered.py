"""The index's artifacts as a graph: DuckDB gives ids their numbers, since it does so with all cores."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from storage.folders import Ids, hexadecimal
from storage.graph import Edges, Graph, Numbers


def indexed(connection: duckdb.DuckDBPyConnection) -> tuple[Graph, list[str]]:
    """Who was made from whom by delta_artifacts, edges in no order, and the ids that stand there more than once.

    Of these nothing is told: it is not known which row is right. Cost: a second or two for a million artifacts.
    """
    connection.execute("CREATE OR REPLACE TABLE unseen (id VARCHAR)")
    connection.execute("CREATE OR REPLACE VIEW counted AS SELECT id, kind, seconds, inputs FROM delta_artifacts")
    edges, ids = _numbered(connection)
    repeated = hexadecimal(np.unique(ids[1:][ids[1:] == ids[:-1]]))
    if repeated:
        connection.execute("CREATE OR REPLACE TABLE repeated AS SELECT unnest(?::VARCHAR[]) AS id", [repeated])
        connection.execute("INSERT INTO unseen FROM repeated")
        connection.execute(
            "CREATE OR REPLACE VIEW counted AS SELECT id, kind, seconds, inputs FROM delta_artifacts "
            "WHERE id NOT IN (FROM repeated)"
        )
    if repeated or edges["parent"].null_count:  # parents that are not there get numbers all the same
        connection.execute(
            "INSERT INTO unseen SELECT artifact FROM (SELECT unnest(inputs, recursive := true) FROM counted) "
            "WHERE artifact NOT IN (SELECT id FROM node)"
        )
        edges, ids = _numbered(connection)
    nodes = connection.sql("SELECT kind, seconds FROM node ORDER BY rowid").to_arrow_table()
    connection.execute("DROP TABLE node")
    kind, kinds = _coded(nodes["kind"])
    role, roles = _coded(edges["role"])
    child, parent = (edges[name].to_numpy() for name in ("child", "parent"))
    seconds = np.nan_to_num(nodes["seconds"].to_numpy())
    return Graph(ids, (), kind + 1, seconds, [None, *kinds], roles, (Edges(child, parent, role),)), repeated


def _numbered(connection: duckdb.DuckDBPyConnection) -> tuple[pa.Table, Ids]:
    """The edges by the numbers of their artifacts, row ids in a table `node`, and these in order.

    A parent that is not in it is null.
    """
    connection.execute(
        "CREATE OR REPLACE TABLE node AS SELECT id, kind, seconds FROM counted "
        "UNION ALL BY NAME SELECT DISTINCT id FROM unseen ORDER BY id"
    )
    edges = connection.sql(
        "SELECT c.rowid::INTEGER AS child, p.rowid::INTEGER AS parent, role "
        "FROM (SELECT id, unnest(inputs, recursive := true) FROM counted) i "
        "JOIN node c ON c.id = i.id LEFT JOIN node p ON p.id = i.artifact"
    ).to_arrow_table()
    return edges, _raw(connection.sql("SELECT unhex(id) AS id FROM node ORDER BY rowid").to_arrow_table()["id"])


def _raw(ids: pa.ChunkedArray) -> Ids:
    """A column of 32 bytes each as an array."""
    whole = ids.combine_chunks()
    if not len(whole):
        return np.zeros(0, "S32")
    return np.frombuffer(whole.cast(pa.binary(32)).buffers()[1], "S32")


def _coded(texts: pa.ChunkedArray) -> tuple[Numbers, list[str]]:
    """A column as numbers and the texts that they stand for; -1 for null."""
    coded = texts.combine_chunks().dictionary_encode()
    return coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype("i4"), coded.dictionary.to_pylist()
