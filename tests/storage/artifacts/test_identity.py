"""Ids depend only on the recipe, digests only on the logical content."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from editflow.storage.artifacts.identity import canonical_json, parent_pairs, recipe_id, table_digest

A, B = "a" * 64, "b" * 64
MIXED = pa.schema(
    [
        ("whole", pa.int64()), ("number", pa.float64()), ("flag", pa.bool_()), ("text", pa.string()),
        ("small", pa.list_(pa.float32())), ("texts", pa.list_(pa.string())), ("ids", pa.list_(pa.int32())),
        ("pairs", pa.list_(pa.struct([("role", pa.string()), ("value", pa.float64())]))),
    ]
)  # fmt: skip


def test_golden_ids() -> None:
    """An accidental change of the recipe's form would orphan every artifact of every lake."""
    assert recipe_id("model", 1, {}, {}) == "482b2a9a11cbd413d20382709031a9c1e24ee4ad06fbd2d83b19c3966d05ffa8"
    spec = {"layers": [3, 4], "threshold": 0.02, "dtype": "float64", "name": "é"}
    parents = {"spectrum": A, "more": [A, B]}
    assert (
        recipe_id("null_space", 2, spec, parents) == "a39cf0d58e1c669c289748d03ea956dafbe43166d1d3d766a06b3bf066fba37c"
    )


def test_golden_digest() -> None:
    table = _mixed([_ROW, dict.fromkeys(MIXED.names)])
    assert table_digest(table) == "7dfd5eadf8b253b0122160fc7b39ab82deefce596b14a426baebb92c4aeddf32"


def test_an_id_depends_on_everything_except_the_order_of_keys() -> None:
    base = recipe_id("k", 1, {"a": 1, "b": 2}, {"x": A, "y": B})
    assert recipe_id("k", 1, {"b": 2, "a": 1}, {"y": B, "x": A}) == base
    others = [
        recipe_id("l", 1, {"a": 1, "b": 2}, {"x": A, "y": B}),
        recipe_id("k", 2, {"a": 1, "b": 2}, {"x": A, "y": B}),
        recipe_id("k", 1, {"a": 1, "b": 2, "c": None}, {"x": A, "y": B}),
        recipe_id("k", 1, {"a": 1, "b": "2"}, {"x": A, "y": B}),
        recipe_id("k", 1, {"a": 1, "b": 2}, {"x": B, "y": A}),
        recipe_id("k", 1, {"a": 1, "b": 2}, {"x": A, "y": B, "z": A}),
        recipe_id("k", 1, {"a": 1, "b": 2}, {"x": [A, B], "y": B}),
        recipe_id("k", 1, {"a": 1, "b": 2}, {"x": [B, A], "y": B}),
    ]
    assert len({base, *others}) == len(others) + 1


def test_tuples_and_lists_are_one_sequence() -> None:
    assert recipe_id("k", 1, {"a": (1, 2)}, {"x": (A, B)}) == recipe_id("k", 1, {"a": [1, 2]}, {"x": [A, B]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**60, {1, 2}, object()])
def test_values_that_json_cannot_represent_are_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical_json({"a": value})


def test_a_parent_must_be_a_full_id() -> None:
    with pytest.raises(ValueError, match="full ids"):
        recipe_id("k", 1, {}, {"x": A[:12]})


def test_parent_pairs_keep_the_order_within_a_role() -> None:
    assert parent_pairs({"y": [B, A], "x": A}) == [("x", A), ("y", B), ("y", A)]


_ROW: dict[str, Any] = {
    "whole": -3, "number": 0.5, "flag": True, "text": "héllo", "small": [1.5, None], "texts": ["", None, "z"],
    "ids": [1, 2], "pairs": [{"role": "r", "value": 1.0}, None, {"role": None, "value": None}],
}  # fmt: skip

_rows = st.lists(
    st.fixed_dictionaries(
        {
            "whole": st.none() | st.integers(-(2**40), 2**40),
            "number": st.none() | st.floats(),
            "flag": st.none() | st.booleans(),
            "text": st.none() | st.text(max_size=4),
            "small": st.none() | st.lists(st.none() | st.floats(width=32), max_size=3),
            "texts": st.none() | st.lists(st.none() | st.text(max_size=2), max_size=3),
            "ids": st.none() | st.lists(st.integers(0, 9), max_size=3),
            "pairs": st.none()
            | st.lists(
                st.none()
                | st.fixed_dictionaries({"role": st.none() | st.text(max_size=2), "value": st.none() | st.floats()}),
                max_size=3,
            ),
        }
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(_rows, st.integers(0, 8), st.integers(0, 8))
def test_digest_ignores_chunks_slices_and_files(rows: list[dict[str, Any]], cut: int, pad: int) -> None:
    whole = _mixed(rows)
    digest = table_digest(whole)
    cut = min(cut, len(rows))
    chunked = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])
    padded = _mixed([_ROW] * pad + rows + [_ROW]).slice(pad, len(rows))
    assert [table_digest(t) for t in (chunked, chunked.combine_chunks(), padded)] == [digest] * 3
    for compression in ("zstd", "none"):
        stream = io.BytesIO()
        parquet.write_table(whole, stream, compression=compression)
        assert table_digest(parquet.read_table(pa.BufferReader(stream.getvalue()))) == digest


@settings(deadline=None, max_examples=60)
@given(_rows.filter(bool), st.data())
def test_digest_sees_every_value(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    """The control for the test above: another value anywhere changes the digest."""
    index = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(MIXED.names))
    changed = [dict(row) for row in rows]
    other: dict[str, Any] = {
        "whole": 2**41, "number": 0.1234567, "flag": None if rows[index]["flag"] is not None else True,
        "text": "longer text", "small": [9.0] * 4, "texts": ["x"] * 4, "ids": [7] * 4,
        "pairs": [{"role": "rrr", "value": 0.0}],
    }  # fmt: skip
    changed[index][column] = other[column]
    assert table_digest(_mixed(changed)) != table_digest(_mixed(rows))


def test_digest_ignores_memory_under_a_null_and_the_payload_of_nan() -> None:
    validity = pa.array([True, False, True]).buffers()[1]
    hidden = [pa.py_buffer(np.array([1.0, garbage, 3.0])) for garbage in (0.0, 7.0)]
    tables = [pa.table({"a": pa.Array.from_buffers(pa.float64(), 3, [validity, b])}) for b in hidden]
    assert table_digest(tables[0]) == table_digest(tables[1]) == table_digest(pa.table({"a": [1.0, None, 3.0]}))
    odd = np.array([0x7FF8000000000123], np.uint64).view(np.float64)
    assert table_digest(pa.table({"a": odd})) == table_digest(pa.table({"a": [float("nan")]}))
    texts = [pa.py_buffer(text) for text in (b"a??b", b"a!!b")]
    offsets = pa.py_buffer(np.array([0, 1, 3, 4], np.int32))
    strings = [pa.Array.from_buffers(pa.string(), 3, [validity, offsets, text]) for text in texts]
    assert len({table_digest(pa.table({"a": s})) for s in [*strings, pa.array(["a", None, "b"])]}) == 1


def test_digest_distinguishes_types_names_shapes_and_signs() -> None:
    tables = [pa.table({"a": pa.array([0], t)}) for t in (pa.int32(), pa.int64(), pa.float32(), pa.float64())] + [
        pa.table({"b": pa.array([0], pa.int32())}),
        pa.table({"a": [-0.0]}),
        pa.table({"a": pa.array([None], pa.float64())}),
        pa.table({"a": ["ab", "c"]}),
        pa.table({"a": ["a", "bc"]}),
        pa.table({"a": [[1], [2, 3]]}),
        pa.table({"a": [[1, 2], [3]]}),
        pa.table({"a": [[1, 2, 3]]}),
        pa.table({"a": [[], [1, 2, 3]]}),
        pa.table({"a": [None, [1, 2, 3]]}),
        pa.table({"a": [{"x": 1}]}),
        pa.table({"a": [{"y": 1}]}),
    ]
    assert len({table_digest(t) for t in tables}) == len(tables)


def test_digest_ignores_metadata_and_the_names_of_list_items() -> None:
    plain = pa.table({"a": pa.array([[1.0]], pa.list_(pa.float64()))})
    named = pa.table({"a": pa.array([[1.0]], pa.list_(pa.field("entry", pa.float64(), nullable=False)))})
    assert table_digest(plain) == table_digest(named) == table_digest(plain.replace_schema_metadata({"k": "v"}))


def test_digest_refuses_a_type_without_a_rule() -> None:
    with pytest.raises(TypeError, match="no digest"):
        table_digest(pa.table({"a": pa.array(["x"]).dictionary_encode()}))


def _mixed(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=MIXED)
