"""`python -m benchmarks.room RUN`: how many key directions the edits of a run have used up, per layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from cyclopts import App
from torch import Tensor

from benchmarks.key_interference import count_outweighed, free_share
from editflow.editing.editors.methods import method, parse_options
from editflow.editing.editors.options import ClosedFormOptions, MomentOptions
from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.moment_solvers import cholesky_factor
from editflow.flows.cli.common.flags import LakeFlag
from editflow.flows.cli.common.lookup import find_run, open_lake
from editflow.flows.console.output import print_json, print_table
from editflow.storage.artifacts.codec import vectors
from editflow.storage.records.renamed_keys import with_new_names
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.stages.moments import read_moments, read_null_space

app = App(help="Measure how many key directions the edits of a run have used up.")
Whiten = Callable[[Tensor], Tensor]


@app.default
def show(run: str, /, *, every: int = 5, json: bool = False, lake: LakeFlag = None) -> None:
    """Print, per layer and every few batches, the room that the keys of earlier edits left for the next batch.

    Parameters
    ----------
    run
        A completed run of a method that can keep earlier keys: alphaedit, memit, rect, prune.
    every
        Number of batches between rows.
    """
    store = open_lake(lake)
    rows = list(measure_room(RunResults.load(store, find_run(store, run, edited=True).run_id), every))
    if json:
        print_json(rows)
    else:
        print_table(rows)


def measure_room(results: RunResults, every: int) -> Iterator[dict[str, Any]]:
    """One row per layer and `every` batches.

    A row has the number of facts edited so far, of directions that edits may use, and of those that the keys of earlier
    edits outweigh, and the mean free share of the next batch's keys in percent.
    """
    keys = _read_keys(results)
    for layer, (free, whiten) in _layers(results).items():
        white = [whiten(keys[n][layer]) for n in sorted(keys)]
        for n in range(0, len(white), every):
            held = torch.cat(white[:n], 1) if n else white[0][:, :0]
            yield {
                "layer": layer,
                "free directions": free,
                "facts": held.shape[1],
                "outweighed": count_outweighed(held) if n else 0,
                "room %": round(100 * float(free_share(held, white[n]).mean()), 1),
            }


def _read_keys(results: RunResults) -> dict[int, dict[int, Tensor]]:
    """{batch: {layer: keys (d, n)}}."""
    found: dict[int, dict[int, Tensor]] = {}
    for manifest in results.of_kind("keys"):
        table = results.lake.read(manifest.id)
        keys, layers = torch.from_numpy(vectors(table["key"]).copy()).T, table["layer"].to_numpy()
        batch = results.state_number(manifest) + 1
        found[batch] = {int(layer): keys[:, torch.from_numpy(layers == layer)].double() for layer in np.unique(layers)}
    return found


def _layers(results: RunResults) -> dict[int, tuple[int, Whiten]]:
    """{layer: (number of directions that edits may use, function that whitens keys)}."""
    edit = with_new_names(results.record.spec)["edit"]
    chosen = method(edit["method"])
    options = parse_options(chosen.name, {k: edit[k] for k in chosen.option_names if edit.get(k) is not None})
    if not isinstance(options, ClosedFormOptions):
        raise InvalidOption(f"{chosen.name} keeps no keys")
    if not isinstance(options, MomentOptions):
        spaces = dict(read_null_space(results.lake, manifest.id) for manifest in results.of_kind("null_space"))
        return {n: (s.rank, _whiten_by_projection(s.project, options.ridge)) for n, s in sorted(spaces.items())}
    merged = next(m for m in results.of_kind("second_moment") if "partition" not in m.spec)
    factors = {
        layer: cholesky_factor(moment.mean(), options.alpha, options.ridge)
        for layer, moment in sorted(read_moments(results.lake, merged.id).items())
    }
    return {layer: (len(factor), _whiten_by_factor(factor)) for layer, factor in factors.items()}


def _whiten_by_projection(project: Whiten, ridge: float) -> Whiten:
    return lambda keys: project(keys) / ridge**0.5


def _whiten_by_factor(factor: Tensor) -> Whiten:
    return lambda keys: torch.linalg.solve_triangular(factor, keys, upper=False)


if __name__ == "__main__":
    app()
