"""The options of an edit, as frozen values validated where they are built. Imports no torch: specs read it too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from editing.errors import InvalidOption


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidOption(message)


@dataclass(frozen=True)
class ContextOptions:
    """Sampled texts that stand before a prompt, so that a key and a target value hold beyond the bare prompt.

    `count` texts of `tokens` tokens from the base model, sampled with `top_k` under `seed`.
    """

    count: int = 5
    tokens: int = 10
    top_k: int = 5
    seed: int = 0

    __pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False}  # noqa: RUF012

    def __post_init__(self) -> None:
        _require(0 <= self.count <= 50, f"contexts.count = {self.count}: choose 0…50")
        _require(1 <= self.tokens <= 100, f"contexts.tokens = {self.tokens}: choose 1…100")
        _require(self.top_k >= 1, f"contexts.top_k = {self.top_k}: choose at least 1")
        _require(0 <= self.seed < 2**53, f"contexts.seed = {self.seed}: choose 0…2^53 − 1")


@dataclass(frozen=True)
class TargetValueOptions:
    """How z* is optimised (ROME, arXiv 2202.05262, eq. 4; AlphaEdit's published settings differ per model).

    At most `steps` evaluations of the loss with Adam at `learning_rate` between them, fewer once it is under `stop_at`;
    ‖δ‖ ≤ `clamp`·‖h‖; `weight_decay`·‖δ‖/‖h‖² and `kl`·KL(edited ‖ base) join the mean NLL.
    Facts share passes of at most `tokens_per_pass` tokens, which bounds what a step holds and moves the last bits.
    `after_argmax` k > 0 stops a fact k steps after its whole target has become the most likely continuation in every
    context. `forward` "bfloat16" multiplies matrices in that type; δ, losses and sums stay as wide as the model.
    """

    learning_rate: float = 0.5
    steps: int = 25
    stop_at: float = 0.05
    clamp: float = 0.75
    weight_decay: float = 0.5
    kl: float = 0.0625
    kl_prompt: str = "{} is a"
    tokens_per_pass: int = 512
    after_argmax: int = field(default=0, metadata={"added": True})
    forward: Literal["model", "bfloat16"] = field(default="model", metadata={"added": True})

    __pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False}  # noqa: RUF012

    def __post_init__(self) -> None:
        _require(self.learning_rate > 0, f"target_values.learning_rate = {self.learning_rate}: must be above 0")
        _require(self.steps >= 1, f"target_values.steps = {self.steps}: must be at least 1")
        _require(self.clamp > 0, f"target_values.clamp = {self.clamp}: must be above 0, or nothing changes")
        _require(min(self.weight_decay, self.kl) >= 0, "target_values.weight_decay and .kl must not be negative")
        _require(
            self.kl_prompt.count("{}") == 1,
            f"target_values.kl_prompt = {self.kl_prompt!r}: needs exactly one {{}}",
        )
        _require(self.tokens_per_pass >= 1, f"target_values.tokens_per_pass = {self.tokens_per_pass}: at least 1")
        _require(
            self.forward in ("model", "bfloat16"),
            f"target_values.forward = {self.forward!r}: choose 'model' or 'bfloat16'",
        )
        _require(self.after_argmax >= 0, f"target_values.after_argmax = {self.after_argmax}: 0 (never) or more steps")
