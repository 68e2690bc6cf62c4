"""The round trip of arrays through tables preserves every bit."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from editflow.storage.artifacts.codec import (  # fmt: skip
    matrices,
    matrix_rows,
    pack_upper,
    packed_matrices,
    packed_rows,
    unpack_upper,
    vectors,
    vectors_column,
)
from editflow.storage.artifacts.kinds import kind

_shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)
_doubles = hnp.arrays(np.float64, _shapes, elements=st.floats(width=64))


@settings(deadline=None, max_examples=50)
@given(st.lists(_doubles, max_size=4))
def test_matrices_round_trip(arrays: list[np.ndarray]) -> None:
    entries = [(i, f"m{i % 2}", array) for i, array in enumerate(arrays)]
    table = matrix_rows(entries)
    kind("null_space").check(table)
    back = matrices(table)
    assert list(back) == [(layer, name) for layer, name, _ in entries]
    for layer, name, array in entries:
        assert back[layer, name].tobytes() == array.tobytes()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_packed_triangles_round_trip(n: int, seed: int) -> None:
    half = np.random.default_rng(seed).standard_normal((n, n))
    full = half + half.T
    full[full < -2] = -0.0
    assert len(pack_upper(full).flatten()) == n * (n + 1) // 2
    assert unpack_upper(pack_upper(full)).tobytes() == full.tobytes()


def test_a_moment_and_its_count_share_a_table() -> None:
    moment, count = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[7.0]])
    table = packed_rows([(4, "moment", moment), (4, "count", count)])
    kind("second_moment").check(table)
    back = packed_matrices(table)
    np.testing.assert_array_equal(back[4, "moment"], moment)
    np.testing.assert_array_equal(back[4, "count"], count)


def test_an_asymmetric_matrix_is_not_packed() -> None:
    with pytest.raises(ValueError, match="symmetric"):
        pack_upper(np.array([[1.0, 2.0], [2.1, 1.0]]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_keep_their_dtype_through_slices_and_chunks(dtype: type) -> None:
    array: np.ndarray = np.arange(12, dtype=dtype).reshape(4, 3)
    column = vectors_column(array)
    assert vectors(column).dtype == dtype
    np.testing.assert_array_equal(vectors(column.slice(1, 2)), array[1:3])
    np.testing.assert_array_equal(vectors(pa.chunked_array([column, column])), np.vstack([array, array]))


def test_rows_of_other_lengths_are_refused() -> None:
    ragged = pa.array([[1.0], [2.0, 3.0]])
    with pytest.raises(ValueError, match="different lengths"):
        vectors(ragged)
    with pytest.raises(ValueError, match="packed upper"):
        unpack_upper(ragged)


def test_shuffled_rows_are_refused() -> None:
    table = matrix_rows([(0, "m", np.eye(3))])
    with pytest.raises(ValueError, match="not in order"):
        matrices(table.take([1, 0, 2]))
