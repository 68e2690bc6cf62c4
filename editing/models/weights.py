"""Checks of weights by the headers of safetensors files, which give each tensor's name, dtype and shape."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from editflow.editing.errors import UnknownModel, first_line
from editflow.editing.models.folder import ModelFiles
from editflow.editing.models.reserved import quantised_message

EDITABLE_DTYPES = {"F64", "F32", "F16", "BF16"}
"""Dtypes of weights that can be edited."""
BUFFERS = re.compile(r"(^|\.)((attn|attention|crossattention)\.(masked_)?bias|rotary_emb\.inv_freq|position_ids)$")
"""Names of causal masks, rotary tables and positions that old checkpoints store; never names of weights."""
NOT_WEIGHTS = re.compile(
    r"(^|[._])(lora_|weight_scale|input_scale|scale_inv|qweight|qzeros|scales$|g_idx|absmax|quant_map|quant_state)"
)
"""Names of adapters and of tensors that dequantise weights."""
MAX_RATIO = 4
"""Maximum ratio of the parameters in the configuration to the values in the files; above it, they do not belong
together."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file: its dtype in safetensors' notation, and its shape."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


def read_headers(files: ModelFiles) -> dict[str, StoredTensor]:
    """Return the tensors of all weight files by name.

    Raises UnknownModel for a file that is truncated or of another format, for a tensor in two files, for adapters and
    quantisation scales, and for float8 and smaller dtypes.
    """
    stored: dict[str, StoredTensor] = {}
    for file in files.weights:
        for name, tensor in _read_header(files.folder / file):
            if name in stored:
                raise UnknownModel(
                    f"{tensor.file} and {stored[name].file.name} both hold tensor {name!r}, and only one can be "
                    "right: remove one of the files, or fetch the model again"
                )
            if tensor.dtype not in EDITABLE_DTYPES and tensor.dtype.startswith(("F8", "F6", "F4", "E8")):
                raise UnknownModel(quantised_message(tensor.file, f"{name} is of type {tensor.dtype}"))
            if NOT_WEIGHTS.search(name):
                raise UnknownModel(_unused_message(tensor.file, [name]))
            stored[name] = tensor
    return stored


def _read_header(path: Path) -> Iterator[tuple[str, StoredTensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            for tensor in file.keys():  # noqa: SIM118 - it is not a mapping
                part = file.get_slice(tensor)
                yield tensor, StoredTensor(path, str(part.get_dtype()), tuple(part.get_shape()))
    except (SafetensorError, OSError, ValueError, OverflowError, MemoryError) as error:
        message = f"{path} is not a complete safetensors file ({first_line(error)}): fetch it again"
        raise UnknownModel(message) from None


def check_parameter_count(files: ModelFiles, stored: Mapping[str, StoredTensor], meta_model: nn.Module) -> None:
    """Raise UnknownModel if a configuration has many times the parameters that the files hold.

    transformers would fill the rest with random numbers. `meta_model` is the model on the meta device.
    """
    present = sum(math.prod(tensor.shape) for tensor in stored.values())
    required = sum(p.numel() for p in meta_model.parameters())
    if required > MAX_RATIO * present:
        raise UnknownModel(
            f"{files.folder}: config.json asks for {required:,} numbers, and the files hold {present:,}: put the "
            "model's own config.json there, or fetch the model again"
        )


def check_all_loaded(
    files: ModelFiles, stored: Mapping[str, StoredTensor], model: nn.Module, unexpected: Iterable[str]
) -> None:
    """Raise UnknownModel unless the model loaded all tensors of its files, none of them quantised.

    `unexpected` are the tensors that the loader reports as unused, without those that the model's class ignores.
    """
    loaded = model.state_dict()
    prefix = getattr(model, "base_model_prefix", "")
    loaded_names = {name: next((p for p in (name, f"{prefix}.{name}") if p in loaded), None) for name in stored}
    # The class's patterns match anywhere in a name, so they also ignore tensors that are not buffers.
    patterns = [*(getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()), r"rotary_emb\.inv_freq"]
    ignored = [name for name in stored if loaded_names[name] is None and any(re.search(p, name) for p in patterns)]
    unused = sorted(name for name in {*unexpected, *ignored} if not BUFFERS.search(name))
    if unused:
        file = stored[unused[0]].file if unused[0] in stored else files.folder
        raise UnknownModel(_unused_message(file, unused))
    for name, tensor in stored.items():
        loaded_name = loaded_names[name]
        if loaded_name is None or tensor.dtype in EDITABLE_DTYPES:
            continue
        if loaded[loaded_name].dtype in {torch.float64, torch.float32, torch.float16, torch.bfloat16}:
            raise UnknownModel(quantised_message(tensor.file, f"{name} is of type {tensor.dtype}"))


def _unused_message(file: Path, tensors: list[str]) -> str:
    first = tensors[0]
    if "lora_" in first:
        remedy = "they are an adapter: merge it into the model first (merge_and_unload of peft, then save_pretrained)"
    elif NOT_WEIGHTS.search(first):
        remedy = "they are the scales of packed weights: give the unquantised model"
    else:
        remedy = "give the model that config.json describes, or save it again with save_pretrained, without them"
    return (
        f"{file} holds {len(tensors)} tensors that the model has no place for, first {first}: they would be ignored; "
        f"{remedy}"
    )
