"""Spectra and null spaces of a run's layers, and the share of the edits' keys in the null spaces."""

from __future__ import annotations

import numpy as np
import torch

from editflow.storage.artifacts.codec import vectors
from editflow.storage.artifacts.manifest import Manifest
from editflow.tasks.errors import NothingToReport
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.report.table_rows import NullSpaceSize, NullSpaceUse, SpectrumPoint
from editflow.tasks.stages.moments import read_null_space

MAX_POINTS = 160
"""Number of plotted eigenvalues per layer. The plot is too narrow to show more."""


def layers(run: RunResults) -> list[NullSpaceSize]:
    """One row per layer, by layer."""
    rows: list[NullSpaceSize] = []
    for manifest in run.of_kind("null_space"):
        layer, values = _eigenvalues(run, manifest.parent("spectrum"))
        free = _rank(run, manifest, len(values))
        share = 100 * float(values[:free].sum() / values.sum())
        rows.append({"layer": layer, "width": len(values), "free": free, "share": share, "limit": values[free - 1]})
    return sorted(rows, key=lambda row: row["layer"])


def spectrum_points(run: RunResults) -> list[SpectrumPoint]:
    """At most MAX_POINTS eigenvalues of each layer, evenly spaced by rank, the largest first."""
    rows: list[SpectrumPoint] = []
    for manifest in run.of_kind("null_space"):
        layer, values = _eigenvalues(run, manifest.parent("spectrum"))
        falling = np.maximum(values[::-1], np.finfo(float).tiny)
        places = np.unique(np.linspace(0, len(falling) - 1, MAX_POINTS).round().astype(int))
        used = len(values) - _rank(run, manifest, len(values))
        threshold = _threshold(manifest, falling, used)
        rows += [
            {"layer": layer, "edge": used, "threshold": threshold, "place": int(n) + 1, "eigenvalue": float(falling[n])}
            for n in places
        ]
    return rows


def _rank(run: RunResults, manifest: Manifest, width: int) -> int:
    """The dimension of a null space, 1 to `width`. Raises NothingToReport if no valid one is recorded."""
    rank = manifest.about.get("rank")
    if not isinstance(rank, int) or not 0 < rank <= width:
        raise NothingToReport(run.record.run_id, f"rank from 1 to {width} of null_space {manifest.id[:12]}")
    return rank


def _threshold(space: Manifest, falling: np.ndarray, used: int) -> float:
    """The threshold as an eigenvalue: the absolute threshold, or with another rule the largest of the null space."""
    return float(space.spec["value"] if space.spec["rule"] == "absolute" else falling[used])


def _eigenvalues(run: RunResults, spectrum: str) -> tuple[int, np.ndarray]:
    """(layer, ascending eigenvalues) of a spectrum."""
    table = run.lake.read(spectrum, ["layer", "eigenvalue"])
    return int(table["layer"][0].as_py()), table["eigenvalue"].to_numpy()


def null_space_use(run: RunResults) -> list[NullSpaceUse]:
    """One row per batch and layer. Edits can act only on the part of a key in the null space, P k.

    Empty for a method without null spaces.
    """
    spaces = dict(read_null_space(run.lake, manifest.id) for manifest in run.of_kind("null_space"))
    rows: list[NullSpaceUse] = []
    for manifest in run.of_kind("keys") if spaces else ():
        table = run.lake.read(manifest.id)
        batch = run.state_number(manifest) + 1
        keys, layer_of_key = torch.from_numpy(vectors(table["key"]).copy()).T, table["layer"].to_numpy()
        for layer in np.unique(layer_of_key):
            in_layer = keys[:, torch.from_numpy(layer_of_key == layer)]
            share = spaces[int(layer)].project(in_layer).square().sum(0) / in_layer.square().sum(0)
            rows.append({"batch": batch, "layer": int(layer), "share": 100 * float(share.mean())})
    return rows
