"""Checks of a model's configuration: no code to run, quantised weights, paths of other files or implausible sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from editflow.editing.errors import UnknownModel

CODE = ("custom_pipelines", "custom_generate", "kernel_config", "fusion_config", "use_kernels")
"""Keys that request code other than the architecture's own."""
ATTENTION = {"eager", "sdpa"}
"""Accepted implementations of attention; transformers would download or compile any other."""
QUANTISED = ("quantization_config", "compression_config")
WEIGHT_FILES = ("transformers_weights", "gguf_file")
"""Keys that name another file to read weights from."""
MAX_SIZES = {"layers": 1000, "position": 2**25, "labels": 10_000}
"""Maximum value of a key whose name contains the word; 2^31 for other keys of sizes."""

_SHAPE = re.compile(r"labels|size|heads?|dim|embd|inner|ctx|positions?|groups|experts|layers?|window")
_LAYERS = re.compile(r"(num_)?(hidden_)?(decoder_)?layers?|n_layers?")
_TOKENIZER = re.compile(r"\w*(Tokenizer(Fast)?|Backend)")
_OWN = re.compile(r"(configuration|modeling|tokenization)_\w+\.(\w+)")


def check_config(path: Path, config: Mapping[str, Any], names: set[str]) -> None:
    """Raise UnknownModel for forbidden content in a JSON file of a model folder, at any depth.

    `names` are the names of the folder's files.
    """
    for key, value in _items(config, path):
        if key == "auto_map":
            _check_code(path, value, names)
        elif key in CODE and value:
            raise UnknownModel(f"{path}: {key!r} asks for code of its own, which is never run: remove the key")
        elif key in QUANTISED and value:
            method = value.get("quant_method") or value.get("quant_algo") if isinstance(value, dict) else None
            raise UnknownModel(quantised_message(path, str(method or "quantization_config")))
        elif key in WEIGHT_FILES and value:
            raise UnknownModel(f"{path}: {key!r} names another file ({value!r}), which is not read: remove the key")
        elif key.lstrip("_") in {"attn_implementation", "experts_implementation"}:
            _check_attention(path, key, value)
    if path.name == "config.json":
        check_sizes(path, config)


def check_sizes(path: Path, config: Mapping[str, Any]) -> None:
    """Raise UnknownModel for implausibly large sizes: building such a model takes hours, or all memory."""
    for key, value in _items(config, path):
        if isinstance(value, int) and not isinstance(value, bool):
            _check_size(path, key, value)


def check_tokenizer(path: Path, config: Mapping[str, Any]) -> None:
    """Raise UnknownModel for a tokenizer class that the installed transformers does not have."""
    name = config.get("tokenizer_class")
    if name is None:
        return
    if not isinstance(name, str) or not _TOKENIZER.fullmatch(name) or not in_transformers(name):
        raise UnknownModel(
            f"{path}: the tokenizer's class {name!r} is unknown to transformers, and code of a model folder is never "
            "run: save the tokenizer as a PreTrainedTokenizerFast"
        )


def quantised_message(path: Path, how: str) -> str:
    """The error message for quantised weights."""
    return (
        f"{path}: the weights are packed ({how}), and packed weights cannot be edited: give the unquantised model, or "
        "a .gguf file, which is dequantised"
    )


def in_transformers(name: str) -> bool:
    """Whether transformers itself has a class of that name, with or without the suffix Fast."""
    names = {name, name.removesuffix("Fast"), f"{name}Fast"}
    return bool(names & (_transformers_names() | {"BloomTokenizer", "TokenizersBackend"}))


@cache
def _transformers_names() -> frozenset[str]:
    """All names in transformers. Listing them takes as long as loading a small model."""
    import transformers

    return frozenset(dir(transformers))


def _check_code(path: Path, value: Any, names: set[str]) -> None:
    """Refuse code of a model folder, except code that transformers has adopted as a class of its own."""
    for reference in _texts(value):
        own = _OWN.fullmatch(reference)
        file = f"{reference.rpartition('--')[2].rpartition('.')[0]}.py"
        if own is None or not in_transformers(own[2]):
            raise UnknownModel(
                f"{path}: 'auto_map' names code ({reference!r}), and code of a model folder is never run: give a model "
                "that transformers supports without it"
            )
        if file in names:
            raise UnknownModel(
                f"{path}: 'auto_map' names code in {file}, which is never run: remove that file to use transformers' "
                f"own {own[2]}"
            )
    if not isinstance(value, dict | list | type(None)):
        raise UnknownModel(f"{path}: 'auto_map' is neither an object nor a list: remove the key")


def _check_attention(path: Path, key: str, value: Any) -> None:
    for implementation in _texts(value):
        if implementation not in ATTENTION:
            raise UnknownModel(
                f"{path}: {key!r} asks for {implementation!r}, which would be downloaded or compiled: remove the key, "
                "or set it to 'eager' or 'sdpa'"
            )


def _check_size(path: Path, key: str, value: int) -> None:
    if not _SHAPE.search(key):
        return
    word = "layers" if _LAYERS.fullmatch(key) else next((one for one in ("position", "labels") if one in key), "")
    limit = MAX_SIZES.get(word, 2**31)
    if not -limit <= value <= limit:
        number = f"{value:,}" if abs(value) < 10**30 else "a number of more than 30 digits"
        raise UnknownModel(f"{path}: {key!r} is {number}, above the limit of {limit:,}: fetch the file again")


def _items(value: Any, path: Path, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if depth > 50:
        raise UnknownModel(f"{path} is nested more than 50 deep: fetch the file again")
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            if key not in {"auto_map", "added_tokens_decoder"}:
                yield from _items(inner, path, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _items(inner, path, depth + 1)


def _texts(value: Any) -> Iterator[str]:
    """Every string in a value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
