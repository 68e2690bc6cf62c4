"""Spectra are read from the lake unchanged, and one with missing or swapped rows is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from editflow.editing.linalg.spectrum import Spectrum, decompose
from editflow.storage.artifacts.store import Lake
from editflow.tasks.stages.moments import read_spectrum, spectrum_table

D = 40


@pytest.fixture
def spectrum() -> Spectrum:
    keys = torch.randn(D, 90, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return decompose(keys @ keys.T / 90)


def stored(lake: Lake, table: pa.Table) -> str:
    return lake.write("spectrum", 2, {}, {}, table).id


def test_a_round_trip_keeps_every_bit(spectrum: Spectrum, tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    layer, found = read_spectrum(lake, stored(lake, spectrum_table(3, spectrum)))
    assert layer == 3
    assert torch.equal(found.eigenvalues, spectrum.eigenvalues)
    assert torch.equal(found.reduced.tril(), spectrum.reduced.tril())
    for first, last in ((0, 12), (30, D), (D, D)):
        assert torch.equal(found.eigenvectors(first, last), spectrum.eigenvectors(first, last))


@pytest.mark.parametrize("d", [1, 2])
def test_the_smallest_spectra(d: int, tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    _, found = read_spectrum(lake, stored(lake, spectrum_table(0, decompose(2 * torch.eye(d, dtype=torch.float64)))))
    assert torch.equal(found.eigenvectors(0, d), torch.eye(d, dtype=torch.float64))


@pytest.mark.parametrize(
    "rows", [[*range(D - 1)], [*range(1, D)], [1, 0, *range(2, D)], []], ids=["last", "first", "swapped", "none"]
)
def test_missing_or_swapped_rows_are_refused(spectrum: Spectrum, rows: list[int], tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    artifact = stored(lake, spectrum_table(3, spectrum).take(pa.array(rows, pa.int64())))
    with pytest.raises(ValueError, match="not in order|not a packed upper triangle"):
        read_spectrum(lake, artifact)
