"""A loaded causal language model, with access to the parts that editing needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from editflow.editing.linalg.projected_ridge import LowRank
from editflow.editing.models.family import Family


@dataclass(frozen=True)
class EditableModel:
    """`model` is a transformers causal LM in evaluation mode, `tokenizer` its fast tokenizer."""

    model: Any
    tokenizer: Any
    family: Family

    @property
    def base(self) -> nn.Module:
        """The model below its head: embeddings, layers, final norm."""
        return self.model.base_model  # type: ignore[no-any-return]

    @property
    def layers(self) -> nn.ModuleList:
        """The decoder layers in order."""
        return self.base.get_submodule(self.family.layers)  # type: ignore[return-value]

    @property
    def depth(self) -> int:
        """Number of decoder layers."""
        return len(self.layers)

    @property
    def device(self) -> torch.device:
        """The device that inputs must be on."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    def down_projection(self, layer: int) -> nn.Module:
        """The linear module whose input is the layer's key and whose output joins the residual stream."""
        return self.layers[layer].get_submodule(self.family.down_projection)

    def target_module(self, layer: int) -> nn.Module:
        """The module whose output the target values describe.

        The layer, unless a norm follows its down-projection; then the down-projection.
        """
        return self.layers[layer] if self.family.norm_after is None else self.down_projection(layer)

    def output_shift(self, layer: int, at: Tensor, delta: Tensor) -> Tensor:
        """Change of the layer's output (…, d) when δ (…, d) is added to `at` (…, d), the target module's output."""
        if self.family.norm_after is None:
            return delta
        norm = self.layers[layer].get_submodule(self.family.norm_after)
        return norm(at + delta) - norm(at)  # type: ignore[no-any-return]

    def tensor_name(self, layer: int) -> str:
        """The edited parameter's name in the model's state dict."""
        prefix = self.model.base_model_prefix
        return f"{prefix}.{self.family.layers}.{layer}.{self.family.down_projection}.weight"

    def weight(self, layer: int) -> Tensor:
        """W (d_out, d_in): the edited parameter's data as a view in canonical orientation."""
        data: Tensor = self.down_projection(layer).weight.data  # type: ignore[assignment]
        return data.T if self.family.transposed else data

    def key_width(self, layer: int) -> int:
        """d_in, the width of the layer's keys."""
        return self.weight(layer).shape[1]

    def add(self, layer: int, change: LowRank) -> None:
        """W ← W + Δ: product and sum in float64 on the CPU, rounded once to the weight's dtype.

        All code adds factors to weights here, so replaying a state from the lake gives the bits of the edited model.
        """
        W = self.weight(layer)
        W.copy_((W.to("cpu", torch.float64) + change.dense()).to(W.dtype))

    def replace(self, layer: int, weight: Tensor) -> None:
        """W ← weight (d_out, d_in)."""
        W = self.weight(layer)
        W.copy_(weight.to(W.dtype))

    def write(self, layer: int, change: LowRank | Tensor) -> None:
        """Write a change: add Δ if given as factors, or replace the weight by a whole one (d_out, d_in)."""
        if isinstance(change, LowRank):
            self.add(layer, change)
        else:
            self.replace(layer, change)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of final hidden states, (…, d) → (…, vocabulary), capped if the architecture caps them."""
        logits: Tensor = self.model.get_output_embeddings()(hidden)
        cap = getattr(self.model.config, self.family.logit_cap) if self.family.logit_cap else None
        return logits if cap is None else (logits / cap).tanh() * cap
