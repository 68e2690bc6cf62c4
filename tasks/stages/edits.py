"""One batch of edits: contexts, target values, weight change, keys and the new state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from editflow.editing.editors.batch import LayerEdit, edit_batch
from editflow.editing.editors.contexts import sample_contexts
from editflow.editing.editors.facts import Fact, sort_by_length, tokenize_fact
from editflow.editing.editors.method import Training
from editflow.editing.editors.methods import method
from editflow.editing.editors.options import ContextOptions, TargetValueOptions
from editflow.editing.editors.target_values import TargetValue, optimise
from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.projected_ridge import LowRank
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.loading import tensor_digest
from editflow.storage.artifacts.codec import vectors, vectors_column
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.tasks.console.progress import bar, working
from editflow.tasks.errors import StateMismatch
from editflow.tasks.models.model_session import CHECKPOINT_VERSION, read_changes, state_chain
from editflow.tasks.stages.requests import read_requests
from editflow.tasks.stages.settings import NoSettings
from editflow.tasks.stages.solver_inputs import SolverInputs, WeightChangeSettings
from editflow.tasks.stages.stage import Stage, Work

CHUNK = 100
"""Number of facts per artifact of target values: at most this many are lost if a run is killed."""


@dataclass(frozen=True)
class TargetValuesSettings:
    """The optimisation at the z layer, and the number of the chunk of the batch's facts."""

    options: TargetValueOptions
    z_layer: int
    chunk: int
    chunk_size: int = CHUNK


def _contexts(work: Work[ContextOptions]) -> pa.Table:
    """Context templates, sampled from the base model."""
    texts = sample_contexts(work.model("model"), work.settings)
    rows = [{"i": i, "template": text} for i, text in enumerate(texts)]
    return pa.Table.from_pylist(rows, schema=kind("contexts").schema)


def _target_values(work: Work[TargetValuesSettings]) -> pa.Table:
    """The target values z* for one chunk of a batch's facts, on the state before the batch."""
    options, z_layer = work.settings.options, work.settings.z_layer
    start = work.settings.chunk * work.settings.chunk_size
    model = work.model("state")
    facts = batch_facts(work, model, options.kl_prompt)[start : start + work.settings.chunk_size]
    with bar(work.label("target values"), len(facts), "facts") as advance:
        values = optimise(model, z_layer, facts, options, advance)
    rows = [{**vars(v), "request": v.request_id, "layer": z_layer, "z": v.z.double().tolist()} for v in values]
    return pa.Table.from_pylist(rows, schema=kind("target_values").schema)


def batch_facts(work: Work[Any], model: EditableModel, kl_prompt: str) -> list[Fact]:
    """The facts of the batch in the order of the chunks; the order of the requests does not matter."""
    contexts = work.table("contexts")["template"].to_pylist()
    requests = read_requests(work.lake, work.one("requests"))
    return sort_by_length([tokenize_fact(model.tokenizer, r, contexts, kl_prompt) for r in requests])


def chunk_count(facts: int) -> int:
    """Number of chunks of target values of a batch."""
    return -(-facts // CHUNK)


def _weight_change(work: Work[WeightChangeSettings]) -> pa.Table:
    """The change of every edited layer; a closed form also stores the batch's keys."""
    chosen = method(work.settings.method)
    if isinstance(chosen, Training):
        return _change_table(work.model("state"), _train(work, chosen))
    edits, requests = _edit(work)
    work.also[KEYS.name] = _keys_table(edits, requests)
    return _change_table(work.model("state"), {layer: edit.change for layer, edit in edits.items()})


def _train(work: Work[WeightChangeSettings], chosen: Training[Any]) -> dict[int, Tensor]:
    """The new weights by layer, trained on the batch's facts in their plain prompts; restores the model."""
    model, layers = work.model("state"), work.settings.layers or ()
    requests = read_requests(work.lake, work.one("requests"))
    facts = sort_by_length([tokenize_fact(model.tokenizer, r, (), r.prompt) for r in requests])
    with working("fine-tuning"), work.session("state").borrow(layers) as borrowed:
        return chosen.train(borrowed, layers, facts, work.settings.options)


def _keys(work: Work[WeightChangeSettings]) -> pa.Table:
    """The batch's keys alone, to recompute lost ones."""
    return _keys_table(*_edit(work))


def _edit(work: Work[WeightChangeSettings]) -> tuple[dict[int, LayerEdit], list[str]]:
    """The batch's edit by layer, and its request ids in the order of the columns.

    Edits the state before the batch and restores the weights: `_state` creates the new state from the lake.
    """
    z_layer, kl_prompt = work.settings.z_layer, work.settings.kl_prompt
    if z_layer is None or kl_prompt is None:
        raise InvalidOption(
            f"{work.settings.method}: its recipe has no z_layer and kl_prompt, which a closed form needs"
        )
    model = work.model("state")
    facts = batch_facts(work, model, kl_prompt)
    values: Sequence[TargetValue] = [
        value for chunk in work.many("target_values") for value in _read_values(work.lake, chunk)
    ]
    requests = [value.request_id for value in values]
    if requests != [fact.request.request_id for fact in facts]:
        raise StateMismatch("the stored target values belong to other facts than the batch's: use a fresh lake")
    session = work.session("state")
    inputs = SolverInputs.of(work, session)
    solvers = inputs.solvers()
    for keys in _previous_keys(work.lake, work.one("state")):
        for layer, solver in solvers.items():
            solver.extend(keys[layer])
    values = inputs.values(session, facts, values, z_layer)
    with working("weight change"), session.borrow(solvers) as borrowed:
        return edit_batch(borrowed, facts, values, solvers, z_layer, inputs.finish), requests


def _checkpoint(work: Work[NoSettings]) -> pa.Table:
    """The whole edited weights after a batch, so that later states do not need the chain before it."""
    model, changes = _apply(work)
    return _change_table(model, {layer: model.weight(layer) for layer in changes})


def _state(work: Work[NoSettings]) -> pa.Table:
    """The new link: per edited tensor the form and norm of its change, and the digest of the resulting weight."""
    model, changes = _apply(work)
    rows = []
    for layer, (form, norm) in changes.items():
        weight = model.weight(layer)
        rows.append(
            {
                "layer": layer,
                "tensor": model.tensor_name(layer),
                "form": form,
                "weight_digest": tensor_digest(weight),
                "change_norm": norm,
                "weight_norm": float(weight.double().norm()),
            }
        )
    # The session now has the weights of the new state, so the next stage need not replay them.
    work.session("state").state = STATE.id(work.settings, work.parents)
    return pa.Table.from_pylist(rows, schema=kind("state").schema)


def _apply(work: Work[NoSettings]) -> tuple[EditableModel, dict[int, tuple[str, float]]]:
    """Apply this link's change from the lake; return the model, and by layer the form and norm of the change."""
    session = work.session("state")
    model = session.load_state(work.lake, work.one("state"))
    changes = {}
    for layer, change in read_changes(work.lake, work.one("weight_change")).items():
        changes[layer] = (change_form(change), _norm(change, model.weight(layer)))
        session.change(layer, change)
    return model, changes


def change_form(change: LowRank | Tensor) -> str:
    """The form in which a change is stored: `low_rank` factors, or `replaced`, the whole new weight."""
    return "low_rank" if isinstance(change, LowRank) else "replaced"


def _norm(change: LowRank | Tensor, weight: Tensor) -> float:
    """‖Δ‖ of a change; `weight` is the weight before it."""
    if isinstance(change, LowRank):
        return change.norm()
    return float((change.to("cpu", torch.float64) - weight.to("cpu", torch.float64)).norm())


def _previous_keys(lake: Lake, state: str) -> Iterator[dict[int, Tensor]]:
    """Keys (d_in, n) by layer of every batch up to a state, oldest first."""
    for link in state_chain(lake, state):
        if link.kind == "state":
            table = lake.read(link.parent("keys"))
            layers = table["layer"].to_numpy()
            rows = torch.from_numpy(vectors(table["key"]).copy())
            yield {int(n): rows[torch.from_numpy(layers == n)].T for n in np.unique(layers)}


def _keys_table(edits: Mapping[int, LayerEdit], requests: list[str]) -> pa.Table:
    return pa.concat_tables(
        pa.table(
            {
                "layer": pa.array(np.full(len(requests), layer, np.int32)),
                "request": pa.array(requests),
                "key": vectors_column(edit.keys.T.contiguous().numpy()),
            },
            schema=kind("keys").schema,
        )
        for layer, edit in sorted(edits.items())
    )


def _change_table(model: EditableModel, changes: Mapping[int, LowRank | Tensor]) -> pa.Table:
    """Matrices as rows: the columns of low-rank factors, one per fact, or the rows of a whole weight."""
    parts = [
        (layer, change_form(change), factor, matrix)
        for layer, change in sorted(changes.items())
        for factor, matrix in _matrices(change).items()
    ]
    return pa.concat_tables(
        pa.table(
            {
                "layer": pa.array(np.full(len(matrix), layer, np.int32)),
                "tensor": pa.array([model.tensor_name(layer)] * len(matrix)),
                "form": pa.array([form] * len(matrix)),
                "factor": pa.array([factor] * len(matrix)),
                "i": pa.array(np.arange(len(matrix), dtype=np.int32)),
                "row": vectors_column(np.ascontiguousarray(matrix.numpy())),
            },
            schema=kind("weight_change").schema,
        )
        for layer, form, factor, matrix in parts
    )


def _matrices(change: LowRank | Tensor) -> dict[str, Tensor]:
    """The matrices of a change by name, as stored."""
    if isinstance(change, LowRank):
        return {"left": change.left.T, "right": change.right.T}
    return {"weight": change.to("cpu", torch.float64)}


def _read_values(lake: Lake, artifact: str) -> Iterator[TargetValue]:
    for row in lake.read(artifact).to_pylist():
        row["request_id"], row["z"] = row.pop("request"), torch.tensor(row["z"], dtype=torch.float64)
        del row["layer"]
        yield TargetValue(**row)


_EDIT_ROLES = ("state", "requests", "contexts", "target_values", "null_space", "second_moment")
CONTEXTS = Stage("contexts", "contexts", 1, ContextOptions, _contexts, ("model",))
TARGET_VALUES = Stage(
    "target-values", "target_values", 3, TargetValuesSettings, _target_values, ("state", "requests", "contexts")
)
KEYS = Stage("keys", "keys", 2, WeightChangeSettings, _keys, _EDIT_ROLES)
WEIGHT_CHANGE = Stage("weight-change", "weight_change", 2, WeightChangeSettings, _weight_change, _EDIT_ROLES, also=KEYS)
CHECKPOINT = Stage(
    "checkpoint", "weight_change", CHECKPOINT_VERSION, NoSettings, _checkpoint, ("state", "weight_change")
)
STATE = Stage("state", "state", 1, NoSettings, _state, ("state", "requests", "weight_change", "keys"))
