"""The headers of safetensors files: names and types of tensors, read before any tensor is."""

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
from editflow.editing.models.reserved import packed

PLAIN = {"F64", "F32", "F16", "BF16"}
"""Types that a weight can be edited in."""
BUFFERS = re.compile(r"(^|\.)((attn|attention|crossattention)\.(masked_)?bias|rotary_emb\.inv_freq|position_ids)$")
"""Causal masks, rotary tables and positions that old checkpoints keep beside the weights; no weight is called so."""
NO_WEIGHT = re.compile(
    r"(^|[._])(lora_|weight_scale|input_scale|scale_inv|qweight|qzeros|scales$|g_idx|absmax|quant_map|quant_state)"
)
"""Names of what changes weights, or unpacks them, and is none by itself."""
EXCESS = 4
"""Times the numbers in the files that a configuration may ask for: all else is shapes from another model."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a file: its type as safetensors calls it, and its shape."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


def headers(files: ModelFiles) -> dict[str, StoredTensor]:
    """{tensor: what it is} of all weight files.

    Raises UnknownModel for a file that is cut short or of another format, for a tensor that two files hold, for
    adapters and scales among them, and for float8 and smaller types.
    """
    found: dict[str, StoredTensor] = {}
    for name in files.weights:
        for tensor, held in _header(files.folder / name):
            if tensor in found:
                raise UnknownModel(
                    f"{held.file} and {found[tensor].file.name} both hold tensor {tensor!r}, and only one can be "
                    "meant: remove one of the files, or fetch the model again"
                )
            if held.dtype not in PLAIN and held.dtype.startswith(("F8", "F6", "F4", "E8")):
                raise UnknownModel(packed(held.file, f"{tensor} is of type {held.dtype}"))
            if NO_WEIGHT.search(tensor):
                raise UnknownModel(_left(held.file, [tensor]))
            found[tensor] = held
    return found


def _header(path: Path) -> Iterator[tuple[str, StoredTensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            for tensor in file.keys():  # noqa: SIM118 - it is no mapping
                part = file.get_slice(tensor)
                yield tensor, StoredTensor(path, str(part.get_dtype()), tuple(part.get_shape()))
    except (SafetensorError, OSError, ValueError, OverflowError, MemoryError) as error:
        raise UnknownModel(f"{path} is no whole safetensors file ({first_line(error)}): fetch it again") from None


def check_room(files: ModelFiles, held: Mapping[str, StoredTensor], outline: nn.Module) -> None:
    """Raise UnknownModel where a configuration asks for many times what the files hold: it would all be made up.

    `outline` is the model on the meta device.
    """
    present = sum(math.prod(one.shape) for one in held.values())
    asked = sum(p.numel() for p in outline.parameters())
    if asked > EXCESS * present:
        raise UnknownModel(
            f"{files.folder}: config.json asks for {asked:,} numbers, and the files hold {present:,}: put the model's "
            "own config.json there, or fetch the model again"
        )


def check_taken(
    files: ModelFiles, held: Mapping[str, StoredTensor], model: nn.Module, unexpected: Iterable[str]
) -> None:
    """Raise UnknownModel unless the model took all that its files hold, as the numbers that they are.

    `unexpected` are the tensors that the loader had no place for, without those that its class declares as of no use.
    """
    tensors = model.state_dict()
    prefix = getattr(model, "base_model_prefix", "")
    places = {name: next((p for p in (name, f"{prefix}.{name}") if p in tensors), None) for name in held}
    # Its class's own patterns are searched for anywhere in a name, so they pass over more than buffers.
    patterns = [*(getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()), r"rotary_emb\.inv_freq"]
    passed = [name for name, place in places.items() if place is None and any(re.search(p, name) for p in patterns)]
    left = sorted(name for name in {*unexpected, *passed} if not BUFFERS.search(name))
    if left:
        file = held[left[0]].file if left[0] in held else files.folder
        raise UnknownModel(_left(file, left))
    for name, one in held.items():
        place = places[name]
        if place is not None and one.dtype not in PLAIN and tensors[place].dtype in _FLOATS:
            raise UnknownModel(packed(one.file, f"{name} is of type {one.dtype}"))


_FLOATS = {torch.float64, torch.float32, torch.float16, torch.bfloat16}


def _left(file: Path, tensors: list[str]) -> str:
    return (
        f"{file} holds {len(tensors)} tensors that the model has no place for, first {tensors[0]}: they would be left "
        f"out; {_remedy(tensors[0])}"
    )


def _remedy(tensor: str) -> str:
    if "lora_" in tensor:
        return "they are an adapter: merge it into the model first (merge_and_unload of peft, then save_pretrained)"
    if NO_WEIGHT.search(tensor):
        return "they are the scales of packed weights: give the unquantised model"
    return "give the model that config.json describes, or save it again with save_pretrained, without them"
