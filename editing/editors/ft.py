"""Fine-tuning with a norm constraint, the baseline for editing methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from editflow.editing.editors.method import Training
from editflow.editing.editors.options import MethodOptions
from editflow.editing.errors import InvalidOption

if TYPE_CHECKING:
    from torch import Tensor

    from editflow.editing.editors.facts import Fact
    from editflow.editing.models.editable import EditableModel


@dataclass(frozen=True)
class FtOptions(MethodOptions):
    """Options of fine-tuning."""

    learning_rate: float = 5e-4
    """Adam's learning rate, above 0."""
    steps: int = 25
    """Maximum number of Adam steps, 1 to 100,000."""
    stop_at: float = 1e-2
    """Training stops when the mean loss of a batch's facts is below this value, 0 or more."""
    max_change: float = 5e-4
    """Maximum change of any single weight in a batch, above 0."""

    def __post_init__(self) -> None:
        for name, is_valid, remedy in (
            ("learning_rate", self.learning_rate > 0, "must be above 0"),
            ("steps", 1 <= self.steps <= 100_000, "choose 1…100000, at least 1"),
            ("stop_at", self.stop_at >= 0, "must not be negative"),
            ("max_change", self.max_change > 0, "must be above 0, or nothing changes"),
        ):
            if not is_valid:
                raise InvalidOption(f"edit.{name} = {getattr(self, name)}: {remedy}")


def _train(model: EditableModel, layers: Sequence[int], facts: Sequence[Fact], options: FtOptions) -> dict[int, Tensor]:
    from editflow.editing.editors.fine_tuning import fine_tune

    return fine_tune(model, layers, facts, **asdict(options))


FT = Training(
    name="ft",
    source="FT-L, the baseline of ROME (arXiv 2202.05262), after Zhu et al. (arXiv 2012.00363)",
    about="Adam on the weights themselves; no weight moves further than `max_change` in a batch",
    options=FtOptions,
    train=_train,
)
