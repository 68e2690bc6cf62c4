"""Loading a causal language model from a folder or a GGUF file, and saying exactly which one it is."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from editing.errors import InvalidOption, NonFinite, UnknownModel, first_line
from editing.models.editable import EditableModel
from editing.models.family import family_of

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

    Raises UnknownModel, or UnknownFamily before any weight is read.
    """
    from transformers import AutoConfig, AutoTokenizer

    _hush()
    require_device(device)
    if not (folder / "config.json").is_file():
        raise UnknownModel(f"{folder} holds no config.json: give a model folder, a .gguf file or a hub id")
    try:
        family = family_of(AutoConfig.from_pretrained(folder).model_type)
        model: Any = _whole(folder, dtype=DTYPES[dtype], use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise UnknownModel(f"{folder} cannot be loaded as a causal language model: {first_line(error)}") from error
    return editable(model.to(device), tokenizer, family)


def outlined(place: str, dtype: str = "float32", **where: Any) -> EditableModel:
    """The model of a configuration on torch's meta device: every name and shape, no weight, no tokenizer.

    `place` and `where` are what transformers' AutoConfig takes: a folder, a hub id, or a folder with `gguf_file`.
    Raises UnknownModel, and UnknownFamily for an architecture that is not declared.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    _hush()
    try:
        with redirect_stderr(StringIO()):
            config = AutoConfig.from_pretrained(place, **where)
        family = family_of(config.model_type)
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(config, dtype=DTYPES[dtype])  # type: ignore[no-untyped-call]
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, ImportError, struct.error) as error:
        name = where.get("gguf_file", place)
        raise UnknownModel(f"{name} has no configuration of a causal language model: {first_line(error)}") from error
    return editable(model, None, family)


def editable(model: Any, tokenizer: Any, family: Any = None) -> EditableModel:
    """Wrap a transformers model for editing: evaluation mode, no parameter gradients."""
    model.eval()
    model.requires_grad_(False)
    return EditableModel(model, tokenizer, family or family_of(model.config.model_type))


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Dequantise a GGUF file to float32 and save it and its tokenizer in `folder` (about 20 s, once)."""
    from transformers import AutoTokenizer

    _hush()
    try:
        where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
        # A bar of the reader's own goes to standard error whatever the verbosity; failures come as exceptions.
        with redirect_stderr(StringIO()):
            model: Any = _whole(**where, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(**where)
    # A file cut short fails wherever its reader happens to be.
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, ImportError, struct.error) as error:
        raise UnknownModel(f"{gguf} cannot be read as a GGUF model: {first_line(error)}") from error
    # The weights are plain float32 now; the mark of their former quantisation would refuse the save.
    model.hf_quantizer, model.is_quantized = None, False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


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
        if path.name == "config.json" or path.name.startswith(TOKENIZER_FILES):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _whole(pretrained_model_name_or_path: Any, **options: Any) -> Any:
    """The model, unless its files lack a tensor: transformers would fill that with random numbers."""
    from transformers import AutoModelForCausalLM

    loaded: Any = AutoModelForCausalLM.from_pretrained(
        pretrained_model_name_or_path, **options, output_loading_info=True
    )
    model, found = loaded
    lacking = sorted([*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])])
    if lacking:
        raise ValueError(f"its files lack {len(lacking)} tensors that its configuration asks for, first {lacking[0]}")
    return model


def require_device(device: str) -> None:
    """Raise InvalidOption for a device that is not to be had here."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises either for a device it was not built for
        raise InvalidOption(f"model.device = {device!r} is not to be had: {first_line(error)}") from None


def _hush() -> None:
    """transformers draws bars of its own for steps that take a second."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
