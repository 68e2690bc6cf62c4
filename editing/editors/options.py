"""Options of an edit: frozen values, validated when they are built. Imports no torch, because specs read it too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from editflow.editing.errors import InvalidOption

PYDANTIC = {"extra": "forbid", "allow_inf_nan": False, "use_attribute_docstrings": True}
"""pydantic's configuration for validating specs. The text below an option is its description in docs/commands.md."""


def omitted(*, default: Any, recipe: str = "") -> Any:
    """A field that recipes leave out at its default, so that artifact ids from before the option stay the same.

    `recipe` is the field's name in recipes, if it differs.
    """
    return field(default=default, metadata={"added": True, **({"recipe": recipe} if recipe else {})})


def renamed(*, default: Any, recipe: str) -> Any:
    """A field that keeps its former name in recipes, so that artifact ids stay the same."""
    return field(default=default, metadata={"recipe": recipe})


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidOption(message)


@dataclass(frozen=True)
class ContextOptions:
    """Texts sampled from the base model, put before a prompt so that keys and target values generalise beyond it."""

    count: int = 5
    """Number of texts, 0 to 50."""
    tokens: int = 10
    """Number of tokens of each text, 1 to 100."""
    top_k: int = 5
    """Each token is drawn from this many most likely tokens."""
    seed: int = 0
    """Seed of the sampling."""

    __pydantic_config__ = PYDANTIC

    def __post_init__(self) -> None:
        _require(0 <= self.count <= 50, f"contexts.count = {self.count}: choose 0…50")
        _require(1 <= self.tokens <= 100, f"contexts.tokens = {self.tokens}: choose 1…100")
        _require(self.top_k >= 1, f"contexts.top_k = {self.top_k}: choose at least 1")
        _require(0 <= self.seed < 2**53, f"contexts.seed = {self.seed}: choose 0…2^53 − 1")


@dataclass(frozen=True)
class TargetValueOptions:
    """How z* is optimised (ROME, arXiv 2202.05262, eq. 4; AlphaEdit's published settings differ per model).

    ‖δ‖ ≤ `clamp`·‖h‖; `weight_decay`·‖δ‖/‖h‖² and `kl`·KL(edited ‖ base) join the mean NLL.
    """

    learning_rate: float = 0.5
    """Adam's learning rate."""
    steps: int = 25
    """Maximum number of loss evaluations, with an Adam step between each two."""
    stop_at: float = 0.05
    """A fact is finished when its loss is below this value."""
    clamp: float = 0.75
    """Maximum ‖δ‖ as a share of ‖h‖: a larger value writes facts more strongly and disturbs neighbours more."""
    weight_decay: float = 0.5
    """The weight of ‖δ‖/‖h‖²."""
    kl: float = 0.0625
    """The weight of the KL divergence at the subject in `kl_prompt`, which preserves the subject's essence."""
    kl_prompt: str = "{} is a"
    """A neutral prompt about the subject."""
    tokens_per_pass: int = 512
    """Maximum number of tokens per forward pass, shared by facts: bounds memory, changes the last bits."""
    after_argmax: int = omitted(default=0)
    """k > 0 stops a fact k steps after its whole target has become the most likely continuation in every context."""
    forward: Literal["model", "bfloat16"] = omitted(default="model")
    """`bfloat16` multiplies matrices in bfloat16; δ, losses and sums keep the model's precision."""

    __pydantic_config__ = PYDANTIC

    def __post_init__(self) -> None:
        _require(self.learning_rate > 0, f"target_values.learning_rate = {self.learning_rate}: must be above 0")
        _require(1 <= self.steps <= 100_000, f"target_values.steps = {self.steps}: choose 1…100000, at least 1")
        _require(self.clamp > 0, f"target_values.clamp = {self.clamp}: must be above 0, or nothing changes")
        _require(min(self.weight_decay, self.kl) >= 0, "target_values.weight_decay and .kl must not be negative")
        _require(
            self.kl_prompt.count("{}") == 1,
            f"target_values.kl_prompt = {self.kl_prompt!r}: needs exactly one {{}}",
        )
        _require(
            1 <= self.tokens_per_pass <= 2**24,
            f"target_values.tokens_per_pass = {self.tokens_per_pass}: at least 1, at most 2^24",
        )
        _require(
            self.forward in ("model", "bfloat16"),
            f"target_values.forward = {self.forward!r}: choose 'model' or 'bfloat16'",
        )
        _require(self.after_argmax >= 0, f"target_values.after_argmax = {self.after_argmax}: 0 (never) or more steps")


@dataclass(frozen=True)
class MethodOptions:
    """Base of a method's options; the fields of the subclasses are keys of `[edit]`."""

    __pydantic_config__ = PYDANTIC


@dataclass(frozen=True)
class ClosedFormOptions(MethodOptions):
    """Options of every closed form."""

    ridge: float = 0.0
    """λ of the closed form, 0 or more (alphaedit: above 0): a larger value changes less."""
    anchor: bool = omitted(default=False)
    """Whether z* is rescaled to the norm of the fact's hidden state in the unedited model."""
    protected_energy: float = omitted(default=0.0, recipe="filter")
    """The share of the weight's energy whose singular directions are protected from changes, 0 (none) to below 1."""

    def __post_init__(self) -> None:
        _require(self.ridge >= 0, f"edit.ridge = {self.ridge}: must not be negative")
        share = self.protected_energy
        _require(0 <= share < 1, f"edit.protected_energy = {share}: choose a share from 0 (none) to below 1")


@dataclass(frozen=True)
class MomentOptions(ClosedFormOptions):
    """Options of methods that start from MEMIT's change."""

    alpha: float = 15_000.0
    """The weight of the second moment of the corpus's keys, relative to the facts' keys; above 0."""
    previous_keys: bool = False
    """Whether the keys of earlier batches are also preserved."""
    projected: bool = False
    """Whether the change is projected onto the null space."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.alpha > 0, f"edit.alpha = {self.alpha}: must be above 0, or nothing preserves the rest")
