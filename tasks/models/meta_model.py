"""A model without its weights: shapes from its configuration, and its id if the lake knows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from editflow.editing.models.editable import EditableModel
from editflow.editing.models.loading import load_gguf_meta_model, load_meta_model
from editflow.storage.artifacts.store import Lake
from editflow.tasks.models.model_description import ModelDescription
from editflow.tasks.models.model_download import cached_folder, configured_folder, local_path
from editflow.tasks.models.model_identity import known_model
from editflow.tasks.models.model_source import converted_folder, gguf_file


@dataclass(frozen=True)
class MetaModel:
    """A model on the meta device. `folder` is None if its files are not downloaded or not converted yet.

    `id` is the artifact that pins the model, None if this lake has not seen it; `missing` describes what a run must
    download or convert first.
    """

    model: EditableModel
    about: ModelDescription
    folder: Path | None
    id: str | None
    missing: str

    @property
    def block_parameters(self) -> int:
        """Number of parameters in all layers."""
        return sum(p.numel() for p in self.model.layers.parameters())

    @property
    def head_parameters(self) -> int:
        """Number of parameters that map a hidden state to logits: vocabulary × d."""
        return int(self.model.model.get_output_embeddings().weight.numel())


def meta_model(lake: Lake, source: str, dtype: str) -> MetaModel:
    """The meta model of the model that `model.source` names. Raises UnknownSource, UnknownModel or UnknownFamily.

    Converts nothing, and downloads only the configuration of a model on the hub.
    """
    gguf = gguf_file(source)
    if gguf is not None:
        folder = converted_folder(gguf)
        if not folder.is_dir():
            model = load_gguf_meta_model(gguf, dtype)
            return _meta_model(lake, model, dtype, str(gguf), None, f"{gguf.name} is converted on the first run")
        return _of_folder(lake, folder, dtype)
    path = local_path(source)
    if path.is_dir():
        return _of_folder(lake, path, dtype)
    return _of_hub(lake, source, dtype)


def _of_folder(lake: Lake, folder: Path, dtype: str) -> MetaModel:
    has_weights = any(folder.glob("*.safetensors"))
    missing = "" if has_weights else f"{folder} has no *.safetensors files: a plan is possible, a run is not"
    return _meta_model(lake, load_meta_model(folder, dtype), dtype, str(folder), folder, missing)


def _of_hub(lake: Lake, source: str, dtype: str) -> MetaModel:
    """The meta model of a hub model: from the cache if its weights are there, else from its configuration alone."""
    cached = cached_folder(source)
    if cached is not None and any(cached.glob("*.safetensors")):
        return _of_folder(lake, cached, dtype)
    model = load_meta_model(configured_folder(source), dtype)
    return _meta_model(lake, model, dtype, source, None, f"{source} is downloaded on the first run")


def _meta_model(
    lake: Lake, model: EditableModel, dtype: str, name: str, folder: Path | None, missing: str
) -> MetaModel:
    known = known_model(lake, folder.resolve(), dtype) if folder is not None else None
    return MetaModel(model, ModelDescription.of(model, name, dtype), folder, known, missing)
