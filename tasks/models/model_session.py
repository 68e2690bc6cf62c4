"""A loaded model that can be switched between recorded states.

A state is a link: its parent, and per edited tensor a change relative to that parent. Editing, resuming, evaluation,
rollback and export all replay the chain with this module, so their weights have the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from editflow.editing.linalg.projected_ridge import LowRank
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.loading import load, tensor_digest
from editflow.storage.artifacts.codec import vectors
from editflow.storage.artifacts.identity import recipe_id
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.tasks.console.progress import working
from editflow.tasks.errors import StateMismatch

CHECKPOINT_VERSION = 1


@dataclass
class ModelSession:
    """A loaded model, the current state of its weights, and the original of every weight that was ever changed."""

    model: EditableModel
    state: str | None = None
    originals: dict[int, Tensor] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, dtype: str, device: str) -> ModelSession:
        """Load the model of a folder. Weights are loaded nowhere else."""
        with working("loading the model"):
            return cls(load(folder, dtype, device))

    def load_base(self) -> EditableModel:
        """Switch to the base model."""
        for layer, weight in self.originals.items():
            self.model.replace(layer, weight)
        self.state = None
        return self.model

    def load_state(self, lake: Lake, state: str) -> EditableModel:
        """Switch to a recorded state, or to the base model for a model's id. Raises StateMismatch."""
        if self.state == state:
            return self.model
        chain = state_chain(lake, state)
        ids = [link.id for link in chain]
        if self.state in ids:
            chain = chain[ids.index(self.state) + 1 :]
        else:
            chain = chain[_last_checkpoint(lake, chain) :]
            self.load_base()
        self.state = None
        for link in chain:
            self._apply(lake, link)
        self._verify(lake, state)
        self.state = state
        return self.model

    def change(self, layer: int, change: LowRank | Tensor) -> None:
        """Change a weight in place. `state` is None from then on until `load_state` or `load_base`."""
        self._keep_original(layer)
        self.state = None
        self.model.write(layer, change)

    def base_weight(self, layer: int) -> Tensor:
        """A layer's weight (d_out, d_in) in the base model."""
        self._keep_original(layer)
        return self.originals[layer]

    @contextmanager
    def borrow(self, layers: Iterable[int]) -> Iterator[EditableModel]:
        """The model, for a block that changes the weights of these layers in place; restores them at its end."""
        state = self.state
        for layer in layers:
            self._keep_original(layer)
        before = {layer: self.model.weight(layer).clone() for layer in layers}
        self.state = None
        try:
            yield self.model
        finally:
            for layer, weight in before.items():
                self.model.replace(layer, weight)
            self.state = state

    @contextmanager
    def borrow_base(self) -> Iterator[EditableModel]:
        """The base model, for a block; restores the weights of the current state at its end."""
        with self.borrow(list(self.originals)) as model:
            for layer, weight in self.originals.items():
                model.replace(layer, weight)
            yield model

    def _keep_original(self, layer: int) -> None:
        """Keep a copy of a weight, if it is the original. Call this before any change."""
        if layer not in self.originals:
            self.originals[layer] = self.model.weight(layer).clone()

    def _apply(self, lake: Lake, link: Manifest) -> None:
        if link.kind == "model":
            return
        for layer, change in read_changes(lake, change_id(lake, link)).items():
            self.change(layer, change)

    def _verify(self, lake: Lake, state: str) -> None:
        manifest = lake.manifest(state)
        if manifest.kind == "model":
            return
        rows = lake.read(state, columns=["layer", "weight_digest"]).to_pylist()
        for row in rows:
            if tensor_digest(self.model.weight(row["layer"])) != row["weight_digest"]:
                raise StateMismatch(
                    f"state {state[:12]}: the replayed weight of layer {row['layer']} differs from the recorded one; "
                    f"it was made with {dict(manifest.environment)}: use those versions and threads, or a fresh lake"
                )


def state_chain(lake: Lake, state: str) -> list[Manifest]:
    """The chain from the model (first) to the state (last). Raises StateMismatch for a cycle."""
    chain: list[Manifest] = []
    seen: set[str] = set()
    here: str | None = state
    while here is not None:
        if here in seen:
            raise StateMismatch(f"state {here[:12]} is its own ancestor: run `editflow verify` to find the damage")
        seen.add(here)
        manifest = lake.manifest(here)
        chain.append(manifest)
        parent = manifest.parents.get("state") if manifest.kind == "state" else None
        here = parent if isinstance(parent, str) else None
    return chain[::-1]


def checkpoint_id(link: Manifest) -> str:
    """The id of a link's checkpoint, whether or not it exists.

    A checkpoint is a copy of weights that the chain determines. It is not a parent of its state, so the frequency of
    checkpoints changes no id.
    """
    parents = {role: link.parents.get(role, []) for role in ("state", "weight_change")}
    return recipe_id("weight_change", CHECKPOINT_VERSION, {"stage": "checkpoint"}, parents)


def change_id(lake: Lake, link: Manifest) -> str:
    """The id of the change that a link applies: its checkpoint if the lake has one, else its weight change."""
    checkpoint = checkpoint_id(link)
    if lake.find_and_touch(checkpoint) is not None:  # touched: it has no child to protect it
        return checkpoint
    return link.parent("weight_change")


def read_changes(lake: Lake, change: str) -> dict[int, LowRank | Tensor]:
    """The low-rank change by layer, or the whole new weight if the form is 'replaced'."""
    table = lake.read(change)
    factors: dict[tuple[int, str], Tensor] = {}
    layers, names = table["layer"].to_pylist(), table["factor"].to_pylist()
    starts = [n for n, i in enumerate(table["i"].to_pylist()) if i == 0]
    for start, end in zip(starts, [*starts[1:], len(names)], strict=True):
        rows = vectors(table["row"].slice(start, end - start))
        factors[layers[start], names[start]] = torch.from_numpy(rows.copy())
    changes: dict[int, LowRank | Tensor] = {}
    for layer in dict.fromkeys(layers):
        whole = factors.get((layer, "weight"))
        if whole is not None:
            changes[layer] = whole
        else:
            changes[layer] = LowRank(factors[layer, "left"].T.contiguous(), factors[layer, "right"].T.contiguous())
    return changes


def _last_checkpoint(lake: Lake, chain: list[Manifest]) -> int:
    """The position of the last link with a checkpoint; 0 if there is none."""
    kept = (n for n in range(len(chain) - 1, 0, -1) if lake.find_and_touch(checkpoint_id(chain[n])) is not None)
    return next(kept, 0)
