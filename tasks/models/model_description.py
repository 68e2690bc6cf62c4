"""The description that is recorded of a model, and checks of a spec against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from editflow.editing.errors import InvalidOption
from editflow.tasks.errors import StateMismatch

if TYPE_CHECKING:
    from editflow.editing.models.editable import EditableModel
    from editflow.storage.artifacts.manifest import Manifest


@dataclass(frozen=True)
class ModelDescription:
    """`key_width` is d_in of the first layer's down-projection; `positions` is None if the model has no limit."""

    folder: str
    dtype: str
    model_type: str
    depth: int
    key_width: int
    positions: int | None
    parameters: int

    @classmethod
    def of(cls, model: EditableModel, folder: str, dtype: str) -> ModelDescription:
        """Describe a model that is loaded or on the meta device."""
        config = model.model.config
        return cls(
            folder, dtype, config.model_type, model.depth, model.key_width(0),
            getattr(config, "max_position_embeddings", None), sum(p.numel() for p in model.model.parameters()),
        )  # fmt: skip

    @classmethod
    def read(cls, model: Manifest) -> ModelDescription:
        """Read the description of a pinned model. Raises StateMismatch if a field is missing or not a number."""
        about = model.about
        for name in ("folder", "dtype", "model_type"):
            if not isinstance(about.get(name), str):
                raise StateMismatch(f"the lake records no {name} of model {model.id[:12]}: use a fresh lake")
        positions = None if about.get("positions") is None else _number(about, "positions")
        parameters = about.get("parameters")
        return cls(
            str(about["folder"]), str(about["dtype"]), str(about["model_type"]), _number(about, "depth"),
            _number(about, "key_width"), positions, parameters if isinstance(parameters, int) else 0,
        )  # fmt: skip

    def check_layers(self, layers: list[int], z_layer: int, keys: str = "edit.layers or edit.z_layer") -> None:
        """Raise InvalidOption if the model does not have one of the layers."""
        wrong = [layer for layer in [*layers, z_layer] if not 0 <= layer < self.depth]
        if wrong:
            raise InvalidOption(
                f"{keys} {sorted(set(wrong))} out of range: {Path(self.folder).name} has layers 0…{self.depth - 1}"
            )

    def check_target(self, layers: list[int], z_layer: int) -> None:
        """Raise InvalidOption if target values at the z layer do not determine the edited layers' outputs."""
        from editflow.editing.models.family import check_target, family_of

        check_target(family_of(self.model_type), layers, z_layer)

    def check_window(self, window: int) -> None:
        """Raise InvalidOption if a window of the corpus is longer than the model's maximum number of positions."""
        if self.positions is not None and window > self.positions:
            name = Path(self.folder).name
            raise InvalidOption(f"corpus.window = {window}: {name} has {self.positions} positions; choose at most that")


def _number(about: Mapping[str, object], key: str) -> int:
    """A recorded number. Raises StateMismatch for anything else, which an untrusted lake may contain."""
    value = about.get(key)
    if not isinstance(value, int) or not 0 < value < 2**53:
        raise StateMismatch(f"the lake records no valid {key} of model {about.get('folder')!r}: use a fresh lake")
    return value
