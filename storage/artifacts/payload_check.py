"""Checks of a payload against its manifest, down to single bits."""

from __future__ import annotations

import contextlib
import hashlib

from editflow.storage.artifacts.identity import table_digest
from editflow.storage.artifacts.kinds import kind as kind_named
from editflow.storage.artifacts.manifest import Manifest, folder_name
from editflow.storage.errors import ForeignFile
from editflow.storage.files import Files


def contradicts_payload(files: Files, manifest: Manifest) -> bool:
    """Whether a manifest's content digest differs from the content of the file whose SHA-256 it records.

    Cost: SHA-256 of the artifact's payloads, and the digest of one.
    """
    import pyarrow as pa
    from pyarrow import parquet

    folder = folder_name(manifest.id)
    for name in files.list(folder):
        if name.startswith("payload-") and name.endswith(".parquet"):
            with contextlib.suppress(ForeignFile, FileNotFoundError, pa.ArrowException, ValueError, TypeError):
                data = files.buffer(f"{folder}/{name}")
                if hashlib.sha256(data).hexdigest() == manifest.sha256:
                    return table_digest(parquet.ParquetFile(pa.BufferReader(data)).read()) != manifest.digest
    return False


def has_original_bytes(files: Files, manifest: Manifest) -> bool:
    """Whether a payload's file is byte-identical to the file as first written. Cost: its SHA-256."""
    try:
        return hashlib.sha256(files.buffer(manifest.payload)).hexdigest() == manifest.sha256
    except (FileNotFoundError, ForeignFile):
        return False


def reencode_if_corrupt(files: Files, manifest: Manifest, *, write: bool) -> bool:
    """Whether a payload with the right content is byte-identical to a fresh encoding of that content.

    With `write`, a payload that is not identical is set aside and written again from its own content. A payload whose
    columns cannot be cast to the types of its kind is left unchanged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    data = files.buffer(manifest.payload)
    table = parquet.ParquetFile(pa.BufferReader(data)).read().replace_schema_metadata(None)
    schema = kind_named(manifest.kind).schema
    if table.schema.names == schema.names:  # else it is from an older version of its kind
        try:
            table = table.cast(schema)
        except (pa.ArrowException, ValueError):
            return False
    is_identical = hashlib.sha256(data).hexdigest() in {manifest.sha256, files.parquet_digest(table)}
    if write and not is_identical:
        files.set_aside(manifest.payload)
        files.write_parquet(manifest.payload, table)
    return is_identical
