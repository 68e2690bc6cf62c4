"""Checks of a payload against its manifest, down to single bits."""

from __future__ import annotations

import contextlib
import hashlib

from editflow.storage.artifacts.identity import table_digest
from editflow.storage.artifacts.kinds import kind as kind_named
from editflow.storage.artifacts.manifest import Manifest, folder_name
from editflow.storage.errors import ForeignFile
from editflow.storage.files import Files


def contradicts_payload(files: Files, made: Manifest) -> bool:
    """Whether a manifest's content digest differs from the content of the very file whose SHA-256 it records.

    Cost: one pass over the artifact's payloads, and the content of one.
    """
    import pyarrow as pa
    from pyarrow import parquet

    folder = folder_name(made.id)
    for name in files.list(folder):
        if name.startswith("payload-") and name.endswith(".parquet"):
            with contextlib.suppress(ForeignFile, FileNotFoundError, pa.ArrowException, ValueError, TypeError):
                data = files.buffer(f"{folder}/{name}")
                if hashlib.sha256(data).hexdigest() == made.sha256:
                    return table_digest(parquet.ParquetFile(pa.BufferReader(data)).read()) != made.digest
    return False


def has_first_bytes(files: Files, made: Manifest) -> bool:
    """Whether a payload's file is byte-identical to the first written one. Cost: one pass of SHA-256 over it."""
    try:
        return hashlib.sha256(files.buffer(made.payload)).hexdigest() == made.sha256
    except (FileNotFoundError, ForeignFile):
        return False


def reencode_if_corrupt(files: Files, made: Manifest, *, write: bool) -> bool:
    """Whether a payload with the right content is byte-identical to a fresh encoding of that content.

    With `write`, a payload that is not is set aside and written again from its own content. A payload whose columns
    cannot have their kind's types, as in a lake from elsewhere, is left unchanged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    data = files.buffer(made.payload)
    table = parquet.ParquetFile(pa.BufferReader(data)).read().replace_schema_metadata(None)
    schema = kind_named(made.kind).schema
    if table.schema.names == schema.names:  # else it is of an older version of its kind
        try:
            table = table.cast(schema)
        except (pa.ArrowException, ValueError):
            return False
    identical = hashlib.sha256(data).hexdigest() in {made.sha256, files.parquet_digest(table)}
    if write and not identical:
        files.set_aside(made.payload)
        files.write_parquet(made.payload, table)
    return identical
