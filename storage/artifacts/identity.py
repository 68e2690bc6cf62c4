"""Identity: an artifact's id is the hash of its recipe, its digest the hash of its logical content.

Both hashes are SHA-256, which current CPUs accelerate, so it is faster than BLAKE2. Changing anything that is hashed
here changes every id in every lake; the golden tests contain the literal values.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from editflow.storage.errors import MissingParent
from editflow.storage.json_records import is_id

if TYPE_CHECKING:
    import pyarrow as pa


def canonical_json(value: object) -> bytes:
    """The RFC 8785 form of a JSON value: one byte string per value, independent of the order of keys.

    Raises ValueError for values that JSON cannot represent exactly: NaN, infinity, integers beyond 2^53, sets, objects.
    """
    import rfc8785

    return rfc8785.dumps(_plain(value))  # type: ignore[arg-type]


def recipe_id(kind: str, version: int, spec: Mapping[str, Any], parents: Mapping[str, str | Sequence[str]]) -> str:
    """The id of the artifact that version ``version`` of a stage computes from ``spec`` and ``parents``.

    ``parents`` maps a role to one id, or to a sequence of ids whose order matters. Returns 64 hexadecimal digits.
    Raises ValueError if a parent is not a full id or the spec has no canonical form.
    """
    for role, parent in parent_pairs(parents):
        if not is_id(parent):
            raise ValueError(f"parent {role!r} of {kind!r} is {parent!r}: pass full ids of 64 digits")
    recipe = {"recipe": 1, "kind": kind, "version": version, "spec": spec, "parents": parents}
    return hashlib.sha256(canonical_json(recipe)).hexdigest()


def parent_pairs(parents: Mapping[str, str | Sequence[str]]) -> list[tuple[str, str]]:
    """The parents as (role, id), roles in alphabetical order, the ids of one role in their given order."""
    return [
        (role, parent) for role, ids in sorted(parents.items()) for parent in ([ids] if isinstance(ids, str) else ids)
    ]


def parents_in(parents: Mapping[str, str | Sequence[str]], role: str) -> list[str]:
    """The ids of all parents in a role, in order; empty if there are none."""
    given = parents.get(role, [])
    return [given] if isinstance(given, str) else list(given)


def only_parent(parents: Mapping[str, str | Sequence[str]], role: str, whose: str = "a stage") -> str:
    """The id of the only parent in a role. Raises MissingParent, which names ``whose``, if there is none."""
    for parent in parents_in(parents, role):
        return parent
    raise MissingParent(whose, role)


def table_digest(table: "pa.Table") -> str:
    """The SHA-256 of a table's logical content: column names, types, and values in row order.

    It is independent of chunking, slices, compression, schema metadata, nullability, the names of list items, NaN
    payloads, and the memory under a null. -0.0 and 0.0 differ. Cost: about that of SHA-256; it works on buffers, chunk
    by chunk. Raises TypeError for a column type that no kind uses.
    """
    whole = hashlib.sha256(b"table-1\0%d\0" % table.num_rows)
    for field, column in zip(table.schema, table.columns, strict=True):
        column_hash = _ColumnHash(field.type)
        for chunk in column.chunks:
            column_hash.update(chunk)
        name = field.name.encode()
        whole.update(b"%d:%s" % (len(name), name) + column_hash.digest())
    return whole.hexdigest()


class _ColumnHash:
    """The running hash of one column or nested column, updated chunk by chunk.

    The positions of nulls are hashed separately and nulls are dropped, so memory under a null never matters. Lengths of
    lists and strings go to one hash, values to another or to the children, so chunking does not change the result.
    """

    def __init__(self, kind: "pa.DataType") -> None:
        import pyarrow.types as t

        self.rows = 0
        self.nulls, self.lengths, self.values = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        self.children: list[_ColumnHash] = []
        if t.is_list(kind) or t.is_large_list(kind):
            self.label, self._feed = "list", self._list
            self.children = [_ColumnHash(kind.value_type)]
        elif t.is_struct(kind):
            names = [kind.field(i).name for i in range(kind.num_fields)]
            self.label, self._feed = f"struct{names}", self._struct
            self.children = [_ColumnHash(kind.field(i).type) for i in range(kind.num_fields)]
        elif t.is_string(kind) or t.is_binary(kind):
            self.label, self._feed = str(kind), self._string
        elif t.is_integer(kind) or t.is_floating(kind) or t.is_boolean(kind):
            self.label, self._feed = str(kind), self._flat
        else:
            raise TypeError(f"no digest is defined for columns of type {kind}; use the types of kinds.py")

    def update(self, array: "pa.Array") -> None:
        if array.null_count:
            nulls = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))
            self.nulls.update(_bytes(nulls + self.rows, "<i8"))
        self.rows += len(array)
        self._feed(array.drop_null() if array.null_count else array)

    def digest(self) -> bytes:
        whole = hashlib.sha256(f"{self.label}\0{self.rows}\0".encode())
        for part in (self.nulls.digest(), self.lengths.digest(), self.values.digest()):
            whole.update(part)
        for child in self.children:
            whole.update(child.digest())
        return whole.digest()

    def _flat(self, array: "pa.Array") -> None:
        if str(array.type) == "bool":
            array = array.cast("uint8")
        values = array.to_numpy(zero_copy_only=True)
        if values.dtype.kind == "f" and np.isnan(values).any():
            values = np.where(np.isnan(values), values.dtype.type(np.nan), values)
        self.values.update(_bytes(values, values.dtype.newbyteorder("<")))

    def _string(self, array: "pa.Array") -> None:
        _, offsets, data = array.buffers()
        if len(array) == 0:
            return
        ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
        self.lengths.update(_bytes(np.diff(ends), "<i8"))
        if data is not None:
            self.values.update(memoryview(data)[ends[0] : ends[-1]])

    def _list(self, array: "pa.Array") -> None:
        self.lengths.update(_bytes(np.diff(array.offsets.to_numpy()), "<i8"))
        self.children[0].update(array.flatten())

    def _struct(self, array: "pa.Array") -> None:
        for child, part in zip(self.children, array.flatten(), strict=True):
            child.update(part)


def _bytes(values: npt.NDArray[Any], layout: npt.DTypeLike) -> memoryview:
    """The bytes of the array in a fixed layout, copied only if it has another one."""
    return np.ascontiguousarray(values, layout).data.cast("B") if len(values) else memoryview(b"")


def _plain(value: object) -> object:
    """The value with all mappings and sequences as the dicts and lists that rfc8785 supports."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
