"""Spectra and null spaces of a run's layers, and the share of the edits' keys inside them."""

from __future__ import annotations

import numpy as np
import torch

from editflow.storage.artifacts.codec import vectors
from editflow.storage.artifacts.manifest import Manifest
from editflow.tasks.errors import NothingToReport
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.report.table_rows import NullSpaceSize, NullSpaceUse, SpectrumPoint
from editflow.tasks.stages.moments import read_null_space

POINTS = 160
"""Eigenvalues drawn of each layer: more than a picture of this width can show."""


def layers(run: RunResults) -> list[NullSpaceSize]:
    """One row per layer: width, directions that may be used, their share of the trace, and the largest one's value."""
    rows: list[NullSpaceSize] = []
    for manifest in run.of_kind("null_space"):
        layer, values = eigenvalues(run, manifest.parent("spectrum"))
        free = _rank(run, manifest, len(values))
        share = 100 * float(values[:free].sum() / values.sum())
        rows.append({"layer": layer, "width": len(values), "free": free, "share": share, "limit": values[free - 1]})
    return sorted(rows, key=lambda row: row["layer"])


def spectrum_points(run: RunResults) -> list[SpectrumPoint]:
    """Some eigenvalues of each layer, the greatest first, with the place where the null space begins."""
    rows: list[SpectrumPoint] = []
    for manifest in run.of_kind("null_space"):
        layer, values = eigenvalues(run, manifest.parent("spectrum"))
        falling = np.maximum(values[::-1], np.finfo(float).tiny)
        places = np.unique(np.linspace(0, len(falling) - 1, POINTS).round().astype(int))
        used = len(values) - _rank(run, manifest, len(values))
        threshold = _threshold(manifest, falling, used)
        rows += [
            {"layer": layer, "edge": used, "threshold": threshold, "place": int(n) + 1, "eigenvalue": float(falling[n])}
            for n in places
        ]
    return rows


def _rank(run: RunResults, manifest: Manifest, width: int) -> int:
    """The directions that may be used, of so many. Raises NothingToReport if it is recorded in another form."""
    rank = manifest.about.get("rank")
    if not isinstance(rank, int) or not 0 < rank <= width:
        raise NothingToReport(run.record.run_id, f"rank, of 1 to {width}, of null_space {manifest.id[:12]}")
    return rank


def _threshold(space: Manifest, falling: np.ndarray, used: int) -> float:
    """The threshold as an eigenvalue: the one given, or for the other rules the greatest that is free."""
    return float(space.spec["value"] if space.spec["rule"] == "absolute" else falling[used])


def eigenvalues(run: RunResults, spectrum: str) -> tuple[int, np.ndarray]:
    """(layer, ascending eigenvalues) of a spectrum."""
    table = run.lake.read(spectrum, ["layer", "eigenvalue"])
    return int(table["layer"][0].as_py()), table["eigenvalue"].to_numpy()


def null_space_use(run: RunResults) -> list[NullSpaceUse]:
    """One row per batch and layer: the mean share ‖P k‖² / ‖k‖² of its keys, which is what an edit can act on.

    None for a method that knows no null space.
    """
    spaces = dict(read_null_space(run.lake, manifest.id) for manifest in run.of_kind("null_space"))
    rows: list[NullSpaceUse] = []
    if not spaces:
        return rows
    for manifest in run.of_kind("keys"):
        table = run.lake.read(manifest.id)
        batch = run.number(manifest) + 1
        keys, at = torch.from_numpy(vectors(table["key"]).copy()).T, table["layer"].to_numpy()
        for layer in np.unique(at):
            mine = keys[:, torch.from_numpy(at == layer)]
            share = spaces[int(layer)].project(mine).square().sum(0) / mine.square().sum(0)
            rows.append({"batch": batch, "layer": int(layer), "share": 100 * float(share.mean())})
    return rows
