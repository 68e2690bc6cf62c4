"""Load a causal language model from a folder or a GGUF file, and compute the digests that identify it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from editflow.editing.errors import InvalidOption, NonFinite, UnknownModel, first_line
from editflow.editing.models import library
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.family import family_of
from editflow.editing.models.folder import examine, require_whole
from editflow.editing.models.tokens import remember_embedding_rows
from editflow.editing.models.weights import check_all_loaded, check_parameter_count, read_headers

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
TOKENIZER_FILES = ("tokenizer", "vocab", "merges", "special_tokens", "added_tokens", "chat_template")


@dataclass(frozen=True)
class TensorDigest:
    """Name, dtype, shape and SHA-256 of one tensor of a state dict."""

    tensor: str
    dtype: str
    shape: list[int]
    digest: str


def load(folder: Path, dtype: str = "float32", device: str = "cpu") -> EditableModel:
    """Load the model and fast tokenizer of a local folder in transformers' layout, without running code from it.

    Raises UnknownModel if the files do not contain exactly the model's tensors. Raises UnknownFamily for an undeclared
    architecture, before it reads any weight.
    """
    require_device(device)
    files = examine(folder, whole=False)
    config = library.config_of(files)
    family = family_of(config.model_type)
    require_whole(files)
    stored = read_headers(files)
    check_parameter_count(files, stored, library.meta_model_of(config, DTYPES[dtype], folder))
    model, report = library.model_of(files, DTYPES[dtype])
    _check_complete(folder, report)
    check_all_loaded(files, stored, model, report["unexpected_keys"])
    tokenizer = library.tokenizer_of(files)
    remember_embedding_rows(tokenizer, int(model.get_input_embeddings().weight.shape[0]))
    return as_editable(model.to(device), tokenizer, family)


def load_meta_model(folder: Path, dtype: str = "float32") -> EditableModel:
    """Build a folder's model on torch's meta device: names and shapes, without weights and tokenizer.

    A configuration is enough. Raises UnknownModel for anything that `load` refuses without reading a weight, and
    UnknownFamily for an undeclared architecture.
    """
    files = examine(folder, whole=False)
    config = library.config_of(files)
    family = family_of(config.model_type)
    read_headers(files)
    return as_editable(library.meta_model_of(config, DTYPES[dtype], folder), None, family)


def load_gguf_meta_model(gguf: Path, dtype: str = "float32") -> EditableModel:
    """Build a GGUF file's model on torch's meta device."""
    _check_single_part(gguf)
    config = library.config_of_gguf(gguf)
    family = family_of(config.model_type)
    return as_editable(library.meta_model_of(config, DTYPES[dtype], gguf.name), None, family)


def as_editable(model: Any, tokenizer: Any, family: Any = None) -> EditableModel:
    """Wrap a transformers model for editing: evaluation mode, no parameter gradients."""
    model.eval()
    model.requires_grad_(False)
    return EditableModel(model, tokenizer, family or family_of(model.config.model_type))


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Dequantise a GGUF file to float32 and save the model and its tokenizer in `folder` (takes about 20 s).

    Raises UnknownFamily for an undeclared architecture, before it reads any weight.
    """
    meta_model = load_gguf_meta_model(gguf).model
    if sum(p.numel() for p in meta_model.parameters()) > 16 * gguf.stat().st_size:
        raise UnknownModel(f"{gguf} is too small for a model of its shapes: fetch it again")
    model, report, tokenizer = library.gguf_of(gguf)
    _check_complete(gguf, report)
    if unused := sorted(report["unexpected_keys"]):
        raise UnknownModel(
            f"{gguf} holds {len(unused)} tensors that the model has no place for, first {unused[0]}: they would be "
            "ignored; give the model without them"
        )
    # The weights are plain float32 now; with the flag of their former quantisation, transformers refuses to save.
    model.hf_quantizer, model.is_quantized = None, False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    library.save(model, tokenizer, folder)


def tensor_digests(model: EditableModel) -> Iterator[TensorDigest]:
    """Yield one digest per tensor of the state dict, in name order. Raises NonFinite naming the tensor."""
    for name, tensor in sorted(model.model.state_dict().items()):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise NonFinite(f"tensor {name} holds NaN or infinity: its files are damaged or its dtype is too narrow")
        yield TensorDigest(name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape), tensor_digest(tensor))


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 of dtype, shape and values in row-major order; does not depend on strides or device."""
    data = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{data.dtype}{tuple(data.shape)}".encode())
    digest.update(data.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def files_digest(folder: Path) -> str:
    """SHA-256 of a model folder's configuration and tokenizer files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if (path.name == "config.json" or path.name.startswith(TOKENIZER_FILES)) and path.is_file():
            with path.open("rb") as file:
                digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _check_complete(name: Path, report: Mapping[str, Any]) -> None:
    """Raise UnknownModel if a tensor is missing, which transformers would fill with random numbers."""
    missing = sorted([*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])])
    if missing:
        raise UnknownModel(
            f"{name} cannot be loaded as a causal language model: its files are missing {len(missing)} tensors that "
            f"its configuration asks for, first {missing[0]}"
        )


def _check_single_part(gguf: Path) -> None:
    metadata, _ = library.gguf_metadata(gguf)
    parts = metadata.get("split.count")
    if isinstance(parts, int) and parts > 1:
        raise UnknownModel(
            f"{gguf} is one of {parts} parts of a model: merge them into one file (llama-gguf-split --merge), and use "
            "that file"
        )


def require_device(device: str) -> None:
    """Raise InvalidOption for a device that is not available or has no values, such as `meta`."""
    try:
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError) as error:  # torch raises either for a device that it was not built for
        raise InvalidOption(f"model.device = {device!r} is not available: {first_line(error)}") from None
