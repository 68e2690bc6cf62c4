"""What a model's configuration must not contain: code to run, packed weights, other places, sizes out of bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from editflow.editing.errors import UnknownModel

CODE = ("custom_pipelines", "custom_generate", "kernel_config", "fusion_config", "use_kernels")
"""Keys that name code, or ask for other code than the architecture's own."""
WAYS = {"eager", "sdpa"}
"""Of computing attention: all else is fetched or must be built."""
QUANTISED = ("quantization_config", "compression_config")
PLACES = ("transformers_weights", "gguf_file")
"""Keys that name another file to read weights from."""
MOST = {"layers": 1000, "position": 2**25, "labels": 10_000}
"""The largest number of a key that has the word in its name; of any other that is a shape, 2^31."""

_SHAPE = re.compile(r"labels|size|heads?|dim|embd|inner|ctx|positions?|groups|experts|layers?|window")
_LAYERS = re.compile(r"(num_)?(hidden_)?(decoder_)?layers?|n_layers?")
_TOKENIZER = re.compile(r"\w*(Tokenizer(Fast)?|Backend)")
_OWN = re.compile(r"(configuration|modeling|tokenization)_\w+\.(\w+)")


def check_config(path: Path, config: Mapping[str, Any], beside: set[str]) -> None:
    """Raise UnknownModel for content that a JSON file of a model folder must not have, at any depth.

    `beside` are the names of the folder's files.
    """
    for key, value in _pairs(config, path):
        if key == "auto_map":
            _check_code(path, value, beside)
        elif key in CODE and value:
            raise UnknownModel(f"{path}: {key!r} asks for code of its own, which is never run: remove the key")
        elif key in QUANTISED and value:
            raise UnknownModel(_packed(path, value))
        elif key in PLACES and value:
            raise UnknownModel(f"{path}: {key!r} names another file ({value!r}), which is not read: remove the key")
        elif key.lstrip("_") in {"attn_implementation", "experts_implementation"}:
            _check_way(path, key, value)
    if path.name == "config.json":
        check_sizes(path, config)


def check_sizes(path: Path, config: Mapping[str, Any]) -> None:
    """Raise UnknownModel for shapes that no model has: building one takes hours, or all memory."""
    for key, value in _pairs(config, path):
        if isinstance(value, int) and not isinstance(value, bool):
            _check_size(path, key, value)


def check_tokenizer(path: Path, config: Mapping[str, Any]) -> None:
    """Raise UnknownModel for a class of tokenizer that the installed library does not have."""
    named = config.get("tokenizer_class")
    if named is None:
        return
    if not isinstance(named, str) or not _TOKENIZER.fullmatch(named) or not is_known(named):
        raise UnknownModel(
            f"{path}: the tokenizer's class {named!r} is unknown to transformers, and code of a model folder is never "
            "run: save the tokenizer as a PreTrainedTokenizerFast"
        )


def packed(path: Path, how: str) -> str:
    """The error for weights that are not plain numbers."""
    return (
        f"{path}: the weights are packed ({how}), and packed weights cannot be edited: give the unquantised model, or "
        "a .gguf file, which is widened"
    )


def is_known(name: str) -> bool:
    """Whether transformers itself has a class of that name."""
    names = {name, name.removesuffix("Fast"), f"{name}Fast"}
    return bool(names & (_offered() | {"BloomTokenizer", "TokenizersBackend"}))


@cache
def _offered() -> frozenset[str]:
    """All names that transformers offers; to list them takes it as long as to load a small model."""
    import transformers

    return frozenset(dir(transformers))


def _check_code(path: Path, value: Any, beside: set[str]) -> None:
    """Code that transformers has taken over goes by its own class; all else would be another model without it."""
    for reference in _texts(value):
        own = _OWN.fullmatch(reference)
        file = f"{reference.rpartition('--')[2].rpartition('.')[0]}.py"
        if own is None or not is_known(own[2]):
            raise UnknownModel(
                f"{path}: 'auto_map' names code ({reference!r}), and code of a model folder is never run: give a model "
                "that transformers knows by itself"
            )
        if file in beside:
            raise UnknownModel(
                f"{path}: 'auto_map' names code in {file}, which is never run: remove that file to use transformers' "
                f"own {own[2]}"
            )
    if not isinstance(value, dict | list | type(None)):
        raise UnknownModel(f"{path}: 'auto_map' is neither an object nor a list: remove the key")


def _packed(path: Path, value: Any) -> str:
    method = value.get("quant_method") or value.get("quant_algo") if isinstance(value, dict) else None
    return packed(path, str(method or "quantization_config"))


def _check_way(path: Path, key: str, value: Any) -> None:
    for way in _texts(value):
        if way not in WAYS:
            raise UnknownModel(
                f"{path}: {key!r} asks for {way!r}, which would be fetched or built: remove the key, or set it to "
                "'eager' or 'sdpa'"
            )


def _check_size(path: Path, key: str, value: int) -> None:
    if not _SHAPE.search(key):
        return
    word = "layers" if _LAYERS.fullmatch(key) else next((one for one in ("position", "labels") if one in key), "")
    most = MOST.get(word, 2**31)
    if not -most <= value <= most:
        raise UnknownModel(f"{path}: {key!r} is {_shown(value)}, where {most:,} is the most: fetch the file again")


def _shown(value: int) -> str:
    return f"{value:,}" if abs(value) < 10**30 else "a number of more than 30 digits"


def _pairs(value: Any, path: Path, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if depth > 50:
        raise UnknownModel(f"{path} is nested more than 50 deep: fetch the file again")
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            if key not in {"auto_map", "added_tokens_decoder"}:
                yield from _pairs(inner, path, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner, path, depth + 1)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
