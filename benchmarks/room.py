"""`python -m benchmarks.room RUN`: which directions a long run of edits has used up, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from cyclopts import App
from torch import Tensor

from benchmarks.key_interference import outweighed, room
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

app = App(help="Measure which directions a run's edits have used up.")
Whiten = Callable[[Tensor], Tensor]


@app.default
def show(run: str, /, *, every: int = 5, json: bool = False, lake: LakeFlag = None) -> None:
    """Print, layer by layer and every so many batches, what the keys of a run's edits left to the next batch.

    Parameters
    ----------
    run
        A completed run of a method that holds earlier keys, or could: alphaedit, memit, rect, prune.
    every
        Batches between the rows.
    """
    store = open_lake(lake)
    rows = list(used(RunResults.of(store, find_run(store, run, edited=True).run_id), every))
    if json:
        print_json(rows)
    else:
        print_table(rows)


def used(course: RunResults, every: int) -> Iterator[dict[str, Any]]:
    """One row per layer and `every` batches: facts edited so far, directions that may be used, those in which the
    edits' keys outweigh all else, and the mean room in percent that the next batch's keys found."""
    keys = _keys(course)
    for layer, (free, whiten) in _layers(course).items():
        white = [whiten(keys[n][layer]) for n in sorted(keys)]
        for n in range(0, len(white), every):
            held = torch.cat(white[:n], 1) if n else white[0][:, :0]
            yield {
                "layer": layer,
                "free directions": free,
                "facts": held.shape[1],
                "outweighed": outweighed(held) if n else 0,
                "room %": round(100 * float(room(held, white[n]).mean()), 1),
            }


def _keys(course: RunResults) -> dict[int, dict[int, Tensor]]:
    """{batch: {layer: keys (d, n)}}."""
    found: dict[int, dict[int, Tensor]] = {}
    for manifest in course.of_kind("keys"):
        table = course.lake.read(manifest.id)
        keys, at = torch.from_numpy(vectors(table["key"]).copy()).T, table["layer"].to_numpy()
        batch = course.number(manifest) + 1
        found[batch] = {int(layer): keys[:, torch.from_numpy(at == layer)].double() for layer in np.unique(at)}
    return found


def _layers(course: RunResults) -> dict[int, tuple[int, Whiten]]:
    """{layer: (directions that may be used, what makes of keys those beside which all else counts as the identity)}."""
    edit = with_new_names(course.record.spec)["edit"]
    chosen = method(edit["method"])
    options = parse_options(chosen.name, {k: edit[k] for k in chosen.option_names if edit.get(k) is not None})
    if not isinstance(options, ClosedFormOptions):
        raise InvalidOption(f"{chosen.name} keeps no keys")
    if not isinstance(options, MomentOptions):
        spaces = dict(read_null_space(course.lake, manifest.id) for manifest in course.of_kind("null_space"))
        return {n: (s.rank, _divided(s.project, options.ridge)) for n, s in sorted(spaces.items())}
    merged = next(m for m in course.of_kind("second_moment") if "partition" not in m.spec)
    factors = {
        layer: cholesky_factor(moment.mean(), options.alpha, options.ridge)
        for layer, moment in sorted(read_moments(course.lake, merged.id).items())
    }
    return {layer: (len(factor), _solved(factor)) for layer, factor in factors.items()}


def _divided(project: Whiten, ridge: float) -> Whiten:
    return lambda keys: project(keys) / ridge**0.5


def _solved(factor: Tensor) -> Whiten:
    return lambda keys: torch.linalg.solve_triangular(factor, keys, upper=False)


if __name__ == "__main__":
    app()
