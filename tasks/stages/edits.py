"""One batch of edits: contexts, target values, weight change, keys and the new state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from editflow.editing.editors.batch import LayerEdit, edit_batch
from editflow.editing.editors.contexts import sample_contexts
from editflow.editing.editors.facts import Fact, cost_order, prepare
from editflow.editing.editors.method import Training
from editflow.editing.editors.options import ContextOptions, MethodOptions, TargetValueOptions
from editflow.editing.editors.target_values import TargetValue, optimise
from editflow.editing.linalg.projected_ridge import LowRank
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.loading import tensor_digest
from editflow.storage.artifacts.codec import vectors, vectors_column
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.tasks.console.progress import bar, working
from editflow.tasks.environment import environment
from editflow.tasks.errors import StateMismatch
from editflow.tasks.models.model_session import CHECKPOINT_VERSION, read_changes, state_chain
from editflow.tasks.stages.requests import read_requests
from editflow.tasks.stages.solver_inputs import SolverInputs, method_of
from editflow.tasks.stages.stage import Stage, Work

CHUNK = 100
"""Most facts whose target values can be lost when a run is killed."""


def _contexts(work: Work) -> pa.Table:
    """Sampled context texts of the base model."""
    options = ContextOptions(**work.spec)
    texts = sample_contexts(work.model("model"), options)
    rows = [{"i": i, "template": text} for i, text in enumerate(texts)]
    return pa.Table.from_pylist(rows, schema=kind("contexts").schema)


def _target_values(work: Work) -> pa.Table:
    """z* of one chunk of a batch's facts, on the state before the batch."""
    options = TargetValueOptions(**work.spec["options"])
    z_layer, chunk, size = work.spec["z_layer"], work.spec["chunk"], work.spec["chunk_size"]
    model = work.model("state")
    facts = batch_facts(work, model, options.kl_prompt)[chunk * size : (chunk + 1) * size]
    with bar(work.label("target values"), len(facts), "facts") as advance:
        values = optimise(model, z_layer, facts, options, advance)
    rows = [_value_row(value, z_layer) for value in values]
    return pa.Table.from_pylist(rows, schema=kind("target_values").schema)


def batch_facts(work: Work, model: EditableModel, kl_prompt: str) -> list[Fact]:
    """The facts of the batch in the order that chunks are cut from, whatever order the requests came in."""
    contexts = work.table("contexts")["template"].to_pylist()
    requests = read_requests(work.lake, work.one("requests"))
    return cost_order([prepare(model.tokenizer, r, contexts, kl_prompt) for r in requests])


def chunk_count(facts: int) -> int:
    """Number of target value chunks of a batch."""
    return -(-facts // CHUNK)


def _weight_change(work: Work) -> pa.Table:
    """The change of every edited layer; the keys of a closed form are archived beside it under the same parents."""
    chosen, options = method_of(work)
    if isinstance(chosen, Training):
        return _change_table(work.model("state"), _trained(work, chosen, options))
    edits, requests = _edit(work)
    keys = _keys_table(edits, requests)
    # Same recipe, other kind: the two come from one computation and are each found by their own id.
    work.lake.write(
        "keys", KEYS.version, {"stage": KEYS.name, **work.spec}, work.parents, keys,
        created_by=work.how.get("run"), environment=environment(str(work.how.get("device", "cpu"))),
    )  # fmt: skip
    return _change_table(work.model("state"), {layer: edit.change for layer, edit in edits.items()})


def _trained(work: Work, chosen: Training, options: MethodOptions) -> dict[int, Tensor]:
    """The new weights by layer, trained on the batch's facts in their plain prompts; the model is put back."""
    model = work.model("state")
    facts = cost_order(
        [prepare(model.tokenizer, r, (), r.prompt) for r in read_requests(work.lake, work.one("requests"))]
    )
    with working("fine-tuning"), work.live("state").borrow(work.spec["layers"]) as lent:
        return chosen.train(lent, work.spec["layers"], facts, options)


def _keys(work: Work) -> pa.Table:
    """The batch's keys alone, for when they were lost."""
    return _keys_table(*_edit(work))


def _edit(work: Work) -> tuple[dict[int, LayerEdit], list[str]]:
    """The batch's edit by layer and its requests in column order.

    It runs on the state before the batch and puts the weights back: the new state is made from the archive.
    """
    spec = work.spec
    model = work.model("state")
    facts = batch_facts(work, model, spec["kl_prompt"])
    values: Sequence[TargetValue]
    values = [value for chunk in work.many("target_values") for value in _read_values(work.lake, chunk)]
    requests = [value.request_id for value in values]
    if requests != [fact.request.request_id for fact in facts]:
        raise StateMismatch("the archived target values are not those of the batch's facts: use a fresh lake")
    live = work.live("state")
    solving = SolverInputs.of(work, live)
    solvers = solving.solvers()
    for keys in _previous_keys(work.lake, work.one("state")):
        for layer, solver in solvers.items():
            solver.extend(keys[layer])
    values = solving.values(live, facts, values, spec["z_layer"])
    with working("weight change"), live.borrow(solvers) as lent:
        return edit_batch(lent, facts, values, solvers, spec["z_layer"], solving.finish), requests


def _checkpoint(work: Work) -> pa.Table:
    """The whole edited weights after a batch, so that a state does not need the chain behind it."""
    model, changes = _applied(work)
    return _change_table(model, {layer: model.weight(layer) for layer in changes})


def _state(work: Work) -> pa.Table:
    """The new link: per edited tensor the form and norm of its change and the digest of the resulting weight."""
    model, changes = _applied(work)
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
    # The weights are the new state's own, put together the one way there is: no need to replay them for the next stage.
    work.live("state").state = STATE.id(work.spec, work.parents)
    return pa.Table.from_pylist(rows, schema=kind("state").schema)


def _applied(work: Work) -> tuple[EditableModel, dict[int, tuple[str, float]]]:
    """The model after this link's change, put together from the archive; by layer the change's form and norm."""
    live = work.live("state")
    model = live.load_state(work.lake, work.one("state"))
    changes = {}
    for layer, change in read_changes(work.lake, work.one("weight_change")).items():
        changes[layer] = (form_of(change), _norm(change, model.weight(layer)))
        live.change(layer, change)
    return model, changes


def form_of(change: LowRank | Tensor) -> str:
    """How a change is stored: `low_rank` factors, or `replaced`, the whole new weight."""
    return "low_rank" if isinstance(change, LowRank) else "replaced"


def _norm(change: LowRank | Tensor, weight: Tensor) -> float:
    """‖Δ‖ of a change to a weight as it was before."""
    if isinstance(change, LowRank):
        return change.norm()
    return float((change.to("cpu", torch.float64) - weight.to("cpu", torch.float64)).norm())


def _previous_keys(lake: Lake, state: str) -> Iterator[dict[int, Tensor]]:
    """Keys (d_in, n) by layer of every batch behind a state, oldest first."""
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
    """Matrices as rows: of low-rank factors the columns, one a fact; of a whole weight its rows."""
    parts = [
        (layer, form_of(change), factor, matrix)
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
    """What is stored of a change, in rows."""
    if isinstance(change, LowRank):
        return {"left": change.left.T, "right": change.right.T}
    return {"weight": change.to("cpu", torch.float64)}


def _value_row(value: TargetValue, layer: int) -> dict[str, Any]:
    row = {**vars(value), "request": value.request_id, "layer": layer, "z": value.z.double().tolist()}
    del row["request_id"]
    return row


def _read_values(lake: Lake, artifact: str) -> Iterator[TargetValue]:
    for row in lake.read(artifact).to_pylist():
        row["request_id"], row["z"] = row.pop("request"), torch.tensor(row["z"], dtype=torch.float64)
        del row["layer"]
        yield TargetValue(**row)


CONTEXTS = Stage("contexts", "contexts", 1, _contexts)
TARGET_VALUES = Stage("target-values", "target_values", 3, _target_values)
WEIGHT_CHANGE = Stage("weight-change", "weight_change", 2, _weight_change)
KEYS = Stage("keys", "keys", 2, _keys)
CHECKPOINT = Stage("checkpoint", "weight_change", CHECKPOINT_VERSION, _checkpoint)
STATE = Stage("state", "state", 1, _state)
