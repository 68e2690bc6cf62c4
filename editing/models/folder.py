"""Checks of a model folder before any library opens it: no code, no pickles, no unused weights.

They read only file names and small files, so `plan` makes the same checks before any weight is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editflow.editing.errors import UnknownModel, first_line
from editflow.editing.models.reserved import check_config, check_tokenizer, quantised_message

CONFIGS = (
    *("generation_config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template.json"),
)
"""Small JSON files besides config.json that a loader may read."""
TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "chat_template.jinja")
"""Files of a fast tokenizer, besides the small JSON files."""
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".npz")
QUANTISATION_CONFIGS = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")
"""Files that quantisation tools write beside the weights."""
MIB = 2**20
MAX_BYTES = {"config.json": 4 * MIB, "tokenizer.json": 512 * MIB, "vocab.json": 256 * MIB, "vocab.txt": 256 * MIB,
             "merges.txt": 256 * MIB, "chat_template.jinja": MIB, INDEX: 64 * MIB}  # fmt: skip
"""Maximum size of a file in bytes; 16 MiB for other files, without a limit for weights."""

_LFS_POINTER = b"version https://git-lfs"
_WEIGHTS_NAME = re.compile(r"[\w-][\w.-]*\.safetensors")


@dataclass(frozen=True)
class ModelFiles:
    """The configurations of a model folder, and the names of the other files to read.

    `weights` is empty for a folder without weights, which is enough for a plan.
    """

    folder: Path
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    weights: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def has_tokenizer(self) -> bool:
        """Whether the files of a fast tokenizer are there."""
        return bool({"tokenizer.json", "vocab.json", "vocab.txt"} & set(self.others))


def examine(folder: Path, *, whole: bool = True) -> ModelFiles:
    """Check a model folder and return its files. Raises UnknownModel with the file and the remedy.

    `whole` requires weights and a tokenizer; a plan needs neither.
    """
    names = _names(folder)
    _check_adapter(folder, names)
    if "config.json" not in names:
        raise UnknownModel(f"{folder} has no config.json: give a model folder, a .gguf file or a hub id")
    config = read_object(folder / "config.json")
    check_config(folder / "config.json", config, names)
    small = {name: read_object(folder / name) for name in CONFIGS if name in names}
    for name, content in small.items():
        check_config(folder / name, content, names)
    check_tokenizer(folder / "tokenizer_config.json", small.get("tokenizer_config.json", {}))
    _check_other_files(folder, names)
    others = [name for name in (*CONFIGS, *TOKENIZER) if name in names]
    for name in others:
        check_file(folder / name)
    weights = weight_files(folder, names, whole=False)
    found = ModelFiles(folder, config, small.get("tokenizer_config.json", {}), weights, tuple(others))
    if whole:
        require_whole(found)
    return found


def require_whole(files: ModelFiles) -> None:
    """Raise UnknownModel if weights or the files of a fast tokenizer are missing."""
    names = _names(files.folder)
    if not files.weights:
        weight_files(files.folder, names)
    if not files.has_tokenizer:
        raise UnknownModel(_no_tokenizer_message(files.folder, names))


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file. Raises UnknownModel if the file has no JSON object."""
    check_file(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnknownModel(f"{path} is not readable as JSON ({first_line(error)}): fetch the file again") from None
    if not isinstance(found, dict):
        raise UnknownModel(f"{path} holds no JSON object: fetch the file again")
    return found


def check_file(path: Path) -> None:
    """Raise UnknownModel unless this is a regular file of plausible size, and not a Git LFS pointer."""
    if not path.is_file():
        raise UnknownModel(f"{path} is not a regular file, or is a broken link: put the model's own file there")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
    except OSError as error:
        raise UnknownModel(f"{path} cannot be read: {error.strerror}; check its permissions") from None
    if start == _LFS_POINTER:
        raise UnknownModel(f"{path} is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder")
    limit = MAX_BYTES.get(path.name, None if path.suffix in {".safetensors", ".gguf"} else 16 * MIB)
    if limit is not None and size > limit:
        raise UnknownModel(f"{path} has {size:,} bytes, more than the limit of {limit:,}: fetch it again")


def weight_files(folder: Path, names: set[str], *, whole: bool = True) -> tuple[str, ...]:
    """Return the names of the model's safetensors files: one file, or exactly those that the index lists.

    Ignores a publisher's second copy of the weights (`consolidated*.safetensors`) if the index does not list it.
    """
    present = {name for name in names if name.endswith(".safetensors")}
    used = [WEIGHTS] if WEIGHTS in names else []
    if INDEX in names:
        used = shards(read_object(folder / INDEX), folder / INDEX)
    if INDEX in names and WEIGHTS in names and used != [WEIGHTS]:
        raise UnknownModel(f"{folder} has both {WEIGHTS} and {INDEX}, and only one can be right: remove the other")
    if not used and not present and not whole:
        return ()
    if not used:
        raise UnknownModel(_no_weights_message(folder, names, present))
    unused = sorted(name for name in present - set(used) if not name.startswith("consolidated"))
    if unused:
        raise UnknownModel(
            f"{folder / unused[0]} is not part of the model ({WEIGHTS if len(used) == 1 else INDEX} does not name it), "
            "so it would be ignored: move it elsewhere, or merge it into the model"
        )
    if not whole and not present.issuperset(used):
        return ()
    for name in used:
        check_file(folder / name)
    return tuple(used)


def shards(index: Mapping[str, Any], path: Path) -> list[str]:
    """Return the names of the files that an index lists. Raises UnknownModel if one is a path, not a plain name."""
    mapping = index.get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise UnknownModel(f"{path} lists no tensors (weight_map): fetch it again")
    for tensor, name in mapping.items():
        if not isinstance(name, str) or not _WEIGHTS_NAME.fullmatch(name):
            raise UnknownModel(
                f"{path} puts {tensor!r} in {name!r}, which is no name of a .safetensors file beside it: "
                "fetch the model from its publisher again"
            )
    return sorted(set(mapping.values()))


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise UnknownModel(f"{folder} cannot be read: {error.strerror}; give a model folder") from None


def _check_adapter(folder: Path, names: set[str]) -> None:
    """Refuse an adapter, since it would not be applied."""
    found = sorted(name for name in names if name.startswith(("adapter_config.", "adapter_model.")))
    if not found:
        return
    base = read_object(folder / found[0]).get("base_model_name_or_path") if found[0].endswith(".json") else None
    of = f" of {base!r}" if isinstance(base, str) and base else ""
    remedy = "merge it into its base model first (merge_and_unload of peft, then save_pretrained)"
    beside = ", or move the adapter's files elsewhere to edit the model without it" if "config.json" in names else ""
    raise UnknownModel(f"{folder / found[0]} is an adapter{of}, which is not applied: {remedy}{beside}")


def _check_other_files(folder: Path, names: set[str]) -> None:
    """Refuse other files that change a model or its generation: code, and configurations of quantised weights."""
    if "custom_generate" in names:
        raise UnknownModel(
            f"{folder / 'custom_generate'} holds code, which is never run: remove it to use the model without it"
        )
    for name in QUANTISATION_CONFIGS:
        if name in names:
            raise UnknownModel(quantised_message(folder / name, "quantised"))


def _no_weights_message(folder: Path, names: set[str], present: set[str]) -> str:
    if present:
        return f"{folder} has no {WEIGHTS} and no {INDEX}, only {min(present)}: rename the file to {WEIGHTS}"
    pickles = sorted((name for name in names if name.endswith(PICKLES)), key=lambda name: ("model" not in name, name))
    if pickles:
        return (
            f"{folder / pickles[0]} is a pickle or another unsafe format, and reading it could run code: get "
            f"{WEIGHTS}, or, if you trust the file, load the model and write it with save_pretrained"
        )
    return f"{folder} has no {WEIGHTS}: this is enough to plan, but not to run; add the weights"


def _no_tokenizer_message(folder: Path, names: set[str]) -> str:
    slow = sorted(name for name in names if name.endswith(".model") or name == "tekken.json")
    if slow:
        return (
            f"{folder} has {slow[0]}, but no tokenizer.json: a fast tokenizer is needed; save the tokenizer with "
            "save_pretrained, which writes one"
        )
    return f"{folder} has no tokenizer files: copy the model's tokenizer.json and tokenizer_config.json there"
