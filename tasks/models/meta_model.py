"""What is known of a model before its weights are read: shapes from its configuration, its id where a lake has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from editflow.editing.models.editable import EditableModel
from editflow.editing.models.loading import load_gguf_meta_model, load_meta_model
from editflow.storage.artifacts.store import Lake
from editflow.tasks.errors import UnknownSource
from editflow.tasks.models.model_description import ModelDescription
from editflow.tasks.models.model_download import cached_folder, configured_folder, local
from editflow.tasks.models.model_identity import remembered
from editflow.tasks.models.model_source import converted_folder
from editflow.tasks.sources.packaged_data import MODEL


@dataclass(frozen=True)
class Outline:
    """A model on the meta device. `folder` is where its files are, None where they are not here or not converted yet.

    `id` is the artifact that pins the model, None where this lake never read it; `lacking` names what a run must
    download.
    """

    model: EditableModel
    about: ModelDescription
    folder: Path | None
    id: str | None
    lacking: str

    @property
    def blocks(self) -> int:
        """Parameters of all layers."""
        return sum(p.numel() for p in self.model.layers.parameters())

    @property
    def head(self) -> int:
        """Parameters that turn a hidden state into logits: vocabulary × d."""
        return int(self.model.model.get_output_embeddings().weight.numel())


def outline(lake: Lake, source: str, dtype: str) -> Outline:
    """The outline of the model that `model.source` names. Raises UnknownSource, UnknownModel or UnknownFamily.

    Nothing is converted, and of a model on the hub nothing but its configuration is fetched.
    """
    gguf = _gguf_of(source)
    if gguf is not None:
        folder = converted_folder(gguf)
        if not folder.is_dir():
            model = load_gguf_meta_model(gguf, dtype)
            return _outline(lake, model, dtype, str(gguf), None, f"{gguf.name} is converted on the first run")
        return _of_folder(lake, folder, dtype)
    path = local(source)
    if path.is_dir():
        return _of_folder(lake, path, dtype)
    return _of_hub(lake, source, dtype)


def _gguf_of(source: str) -> Path | None:
    """The GGUF file that a source is, if it is one."""
    if source == MODEL.name:
        if not MODEL.path.is_file():
            raise UnknownSource(
                f"model {source!r} is not in the cache ({MODEL.path.parent}): run `editflow fetch` first"
            )
        return MODEL.path
    path = local(source)
    return path if path.suffix == ".gguf" and path.is_file() else None


def _of_folder(lake: Lake, folder: Path, dtype: str) -> Outline:
    weights = any(folder.glob("*.safetensors"))
    lacking = "" if weights else f"{folder} holds no *.safetensors: it can be planned with, not run"
    return _outline(lake, load_meta_model(folder, dtype), dtype, str(folder), folder, lacking)


def _of_hub(lake: Lake, source: str, dtype: str) -> Outline:
    """From the hub's cache where the model is there, else from its configuration alone."""
    cached = cached_folder(source)
    if cached is not None and any(cached.glob("*.safetensors")):
        return _of_folder(lake, cached, dtype)
    model = load_meta_model(configured_folder(source), dtype)
    return _outline(lake, model, dtype, source, None, f"{source} is downloaded on the first run")


def _outline(lake: Lake, model: EditableModel, dtype: str, name: str, folder: Path | None, lacking: str) -> Outline:
    known = remembered(lake, folder.resolve(), dtype) if folder is not None else None
    return Outline(model, ModelDescription.of(model, name, dtype), folder, known, lacking)
