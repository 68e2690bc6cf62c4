"""Checks of a model folder before any library opens it: no code, no pickles, no files without a purpose.

Everything here reads small files and names. `plan` refuses the same, before a weight is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editflow.editing.errors import UnknownModel, first_line
from editflow.editing.models.reserved import check_config, check_tokenizer, packed

CONFIGS = (
    *("generation_config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template.json"),
)
"""Small JSON files beside config.json that a loader may look into."""
TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "chat_template.jinja")
"""What a fast tokenizer is made of, beside the small JSON files."""
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".npz")
PACKED = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")
"""What tools for quantised weights leave beside them."""
MEBI = 2**20
LARGEST = {"config.json": 4 * MEBI, "tokenizer.json": 512 * MEBI, "vocab.json": 256 * MEBI, "vocab.txt": 256 * MEBI,
           "merges.txt": 256 * MEBI, "chat_template.jinja": MEBI, INDEX: 64 * MEBI}  # fmt: skip
"""Bytes of a file, at most; of any other that is read, 16 MiB."""

_POINTER = b"version https://git-lfs"
_PLAIN = re.compile(r"[\w-][\w.-]*\.safetensors")


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model folder that are read, by name, and what its configurations say.

    `weights` is empty for a folder that has no weights yet, which can be planned with.
    """

    folder: Path
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    weights: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def has_tokenizer(self) -> bool:
        """Whether a fast tokenizer can be made of what is there."""
        return bool({"tokenizer.json", "vocab.json", "vocab.txt"} & set(self.others))


def examine(folder: Path, *, whole: bool = True) -> ModelFiles:
    """What is in a model folder. Raises UnknownModel with the file and the remedy.

    `whole`: weights and a tokenizer must be there; a plan needs neither.
    """
    names = _names(folder)
    _check_adapter(folder, names)
    if "config.json" not in names:
        raise UnknownModel(f"{folder} holds no config.json: give a model folder, a .gguf file or a hub id")
    config = read_object(folder / "config.json")
    check_config(folder / "config.json", config, names)
    small = {name: read_object(folder / name) for name in CONFIGS if name in names}
    for name, content in small.items():
        check_config(folder / name, content, names)
    check_tokenizer(folder / "tokenizer_config.json", small.get("tokenizer_config.json", {}))
    _check_beside(folder, names)
    others = [name for name in (*CONFIGS, *TOKENIZER) if name in names]
    for name in others:
        check_file(folder / name)
    weights = weight_files(folder, names, whole=False)
    found = ModelFiles(folder, config, small.get("tokenizer_config.json", {}), weights, tuple(others))
    if whole:
        require_whole(found)
    return found


def require_whole(files: ModelFiles) -> None:
    """Raise UnknownModel for a folder without weights or without a fast tokenizer's files."""
    names = _names(files.folder)
    if not files.weights:
        weight_files(files.folder, names)
    if not files.has_tokenizer:
        raise UnknownModel(_no_tokenizer(files.folder, names))


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file. Raises UnknownModel for any other file."""
    check_file(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnknownModel(f"{path} is not readable as JSON ({first_line(error)}): fetch the file again") from None
    if not isinstance(found, dict):
        raise UnknownModel(f"{path} holds no JSON object: fetch the file again")
    return found


def check_file(path: Path) -> None:
    """Raise UnknownModel unless a file is a regular one, of a size that can be, and itself, not a pointer to it."""
    if not path.is_file():
        raise UnknownModel(f"{path} is not a regular file, or leads nowhere: put the model's own file there")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(len(_POINTER))
    except OSError as error:
        raise UnknownModel(f"{path} cannot be read: {error.strerror}; check its permissions") from None
    if start == _POINTER:
        raise UnknownModel(f"{path} is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder")
    limit = LARGEST.get(path.name, None if path.suffix in {".safetensors", ".gguf"} else 16 * MEBI)
    if limit is not None and size > limit:
        raise UnknownModel(f"{path} has {size:,} bytes, where {limit:,} are the most for such a file: fetch it again")


def weight_files(folder: Path, names: set[str], *, whole: bool = True) -> tuple[str, ...]:
    """The safetensors files that hold the model: one, or those that the index names and no other.

    A publisher's second copy of the same weights (`consolidated*.safetensors`) is left alone where nothing names it.
    """
    there = {name for name in names if name.endswith(".safetensors")}
    taken = _indexed(folder) if INDEX in names else ([WEIGHTS] if WEIGHTS in names else [])
    if INDEX in names and WEIGHTS in names and taken != [WEIGHTS]:
        raise UnknownModel(f"{folder} holds both {WEIGHTS} and {INDEX}, and only one can be meant: remove the other")
    if not taken and not there and not whole:
        return ()
    if not taken:
        raise UnknownModel(_no_weights(folder, names, there))
    over = sorted(name for name in there - set(taken) if not name.startswith("consolidated"))
    if over:
        raise UnknownModel(
            f"{folder / over[0]} is not part of the model ({WEIGHTS if len(taken) == 1 else INDEX} does not name it), "
            "so it would be left out: move it elsewhere, or merge it into the model"
        )
    if not whole and not there.issuperset(taken):
        return ()
    for name in taken:
        check_file(folder / name)
    return tuple(taken)


def shards(index: Mapping[str, Any], path: Path) -> list[str]:
    """The files that an index names, each a plain name. Raises UnknownModel for a path."""
    mapping = index.get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise UnknownModel(f"{path} names no file of a tensor (weight_map): fetch it again")
    for tensor, name in mapping.items():
        if not isinstance(name, str) or not _PLAIN.fullmatch(name):
            raise UnknownModel(
                f"{path} puts {tensor!r} in {name!r}, which is no name of a .safetensors file beside it: "
                "fetch the model from its publisher again"
            )
    return sorted(set(mapping.values()))


def _indexed(folder: Path) -> list[str]:
    return shards(read_object(folder / INDEX), folder / INDEX)


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise UnknownModel(f"{folder} cannot be read: {error.strerror}; give a model folder") from None


def _check_adapter(folder: Path, names: set[str]) -> None:
    """An adapter changes a model, and nothing here applies it."""
    found = sorted(name for name in names if name.startswith(("adapter_config.", "adapter_model.")))
    if not found:
        return
    base = read_object(folder / found[0]).get("base_model_name_or_path") if found[0].endswith(".json") else None
    of = f" of {base!r}" if isinstance(base, str) and base else ""
    remedy = "merge it into its base model first (merge_and_unload of peft, then save_pretrained)"
    beside = ", or move the adapter's files elsewhere to edit the model without it" if "config.json" in names else ""
    raise UnknownModel(f"{folder / found[0]} is an adapter{of}, which is not applied: {remedy}{beside}")


def _check_beside(folder: Path, names: set[str]) -> None:
    """What changes a model, or how it writes, and is neither configuration nor weight."""
    if "custom_generate" in names:
        raise UnknownModel(
            f"{folder / 'custom_generate'} holds code, which is never run: remove it to use the model without it"
        )
    for name in PACKED:
        if name in names:
            raise UnknownModel(packed(folder / name, "quantised"))


def _no_weights(folder: Path, names: set[str], there: set[str]) -> str:
    if there:
        return f"{folder} holds no {WEIGHTS} and no {INDEX}, only {min(there)}: name the file {WEIGHTS}"
    if pickles := list(_pickles(names)):
        return (
            f"{folder / pickles[0]} is a pickle or another format that is not read, since reading one runs code: get "
            f"{WEIGHTS}, or save the model with save_pretrained, which writes it, where you trust the file"
        )
    return f"{folder} holds no {WEIGHTS}: it can be planned with, not run"


def _pickles(names: set[str]) -> Iterator[str]:
    for name in sorted(names, key=lambda name: ("model" not in name, name)):
        if name.endswith(PICKLES):
            yield name


def _no_tokenizer(folder: Path, names: set[str]) -> str:
    slow = sorted(name for name in names if name.endswith(".model") or name == "tekken.json")
    if slow:
        return (
            f"{folder} holds {slow[0]}, but no tokenizer.json: a fast tokenizer's files are needed; save the tokenizer "
            "with save_pretrained, which writes one"
        )
    return f"{folder} holds no tokenizer files: copy tokenizer.json and tokenizer_config.json of the model there"
