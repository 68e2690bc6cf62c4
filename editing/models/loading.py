"""Loading a causal language model from a folder or a GGUF file, and identifying it by its content."""

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
from editflow.editing.models.tokens import bound
from editflow.editing.models.weights import check_room, check_taken, headers

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
    """Load the model and fast tokenizer of a local folder in transformers' layout; never runs code from it.

    Raises UnknownModel if a file misses tensors of the model or has tensors without a place in it, and UnknownFamily
    before any weight is read.
    """
    require_device(device)
    files = examine(folder, whole=False)
    config = library.config_of(files)
    family = family_of(config.model_type)
    require_whole(files)
    held = headers(files)
    check_room(files, held, library.outline_of(config, DTYPES[dtype], folder))
    model, found = library.model_of(files, DTYPES[dtype])
    _check_whole(folder, found)
    check_taken(files, held, model, found["unexpected_keys"])
    tokenizer = library.tokenizer_of(files)
    bound(tokenizer, int(model.get_input_embeddings().weight.shape[0]))
    return as_editable(model.to(device), tokenizer, family)


def load_outline(folder: Path, dtype: str = "float32") -> EditableModel:
    """The model of a folder's configuration on torch's meta device: every name and shape, no weight, no tokenizer.

    The folder may hold its configuration alone. Raises UnknownModel for what `load` would refuse without reading a
    weight, and UnknownFamily for an architecture that is not declared.
    """
    files = examine(folder, whole=False)
    config = library.config_of(files)
    family = family_of(config.model_type)
    headers(files)
    return as_editable(library.outline_of(config, DTYPES[dtype], folder), None, family)


def load_gguf_outline(gguf: Path, dtype: str = "float32") -> EditableModel:
    """The same of a GGUF file."""
    _check_one_part(gguf)
    config = library.config_of_gguf(gguf)
    family = family_of(config.model_type)
    return as_editable(library.outline_of(config, DTYPES[dtype], gguf.name), None, family)


def as_editable(model: Any, tokenizer: Any, family: Any = None) -> EditableModel:
    """Wrap a transformers model for editing: evaluation mode, no parameter gradients."""
    model.eval()
    model.requires_grad_(False)
    return EditableModel(model, tokenizer, family or family_of(model.config.model_type))


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Dequantise a GGUF file to float32 and save it and its tokenizer in `folder` (about 20 s, once).

    An architecture that is not declared is refused before any weight is read.
    """
    outline = load_gguf_outline(gguf).model
    if sum(p.numel() for p in outline.parameters()) > 16 * gguf.stat().st_size:
        raise UnknownModel(f"{gguf} is smaller than a model of its shapes can be: fetch it again")
    model, found, tokenizer = library.gguf_of(gguf)
    _check_whole(gguf, found)
    if left := sorted(found["unexpected_keys"]):
        raise UnknownModel(
            f"{gguf} holds {len(left)} tensors that the model has no place for, first {left[0]}: they would be left "
            "out; give the model without them"
        )
    # The weights are plain float32 now; the mark of their former quantisation would refuse the save.
    model.hf_quantizer, model.is_quantized = None, False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    library.save(model, tokenizer, folder)


def tensor_digests(model: EditableModel) -> Iterator[TensorDigest]:
    """One digest per tensor of the state dict, in name order. Raises NonFinite naming the tensor."""
    for name, tensor in sorted(model.model.state_dict().items()):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise NonFinite(f"tensor {name} holds NaN or infinity: its files are damaged or its dtype is too narrow")
        yield TensorDigest(name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape), tensor_digest(tensor))


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 of dtype, shape and values in row-major order, whatever the strides and device."""
    data = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{data.dtype}{tuple(data.shape)}".encode())
    digest.update(data.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def files_digest(folder: Path) -> str:
    """SHA-256 over the configuration and the tokenizer's files of a model folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if (path.name == "config.json" or path.name.startswith(TOKENIZER_FILES)) and path.is_file():
            with path.open("rb") as file:
                digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _check_whole(name: Path, found: Mapping[str, Any]) -> None:
    """Refuse files with a missing tensor: transformers would fill it with random numbers."""
    missing = sorted([*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])])
    if missing:
        raise UnknownModel(
            f"{name} cannot be loaded as a causal language model: its files are missing {len(missing)} tensors that "
            f"its configuration asks for, first {missing[0]}"
        )


def _check_one_part(gguf: Path) -> None:
    metadata, _ = library.gguf_metadata(gguf)
    parts = metadata.get("split.count")
    if isinstance(parts, int) and parts > 1:
        raise UnknownModel(
            f"{gguf} is one of {parts} parts of a model: merge them into one file (llama-gguf-split --merge), and give "
            "that"
        )


def require_device(device: str) -> None:
    """Raise InvalidOption for a device that is not available here, or that holds no values, such as `meta`."""
    try:
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError) as error:  # torch raises either for a device it was not built for
        raise InvalidOption(f"model.device = {device!r} is not available: {first_line(error)}") from None
