"""All calls in which transformers opens a file.

transformers gets a folder with links to the checked files only, `trust_remote_code=False` and no network, so it cannot
read any other file that a configuration names. Its errors become UnknownModel with their first line.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from editflow.editing.errors import EditingError, UnknownModel, first_line
from editflow.editing.models.folder import INDEX, WEIGHTS, ModelFiles, check_file, read_object
from editflow.editing.models.reserved import check_sizes

SAFE: Mapping[str, Any] = {"trust_remote_code": False, "local_files_only": True}
"""Arguments of every call: never run code from the files, never ask to, and never use the network."""
REMOVED_KEYS = ("tokenizer_object", "gguf_file", "vocab", "merges", "from_slow", "trust_remote_code", "init_inputs")
"""Keys removed from tokenizer_config.json, as all `…_file(s)` are: they name other files or set arguments."""

_NO_CONFIG = "has no configuration of a causal language model"
_NO_GGUF = "cannot be read as a GGUF model"
_ROTARY = re.compile(r"(^|\.)(rope_freqs|rope_factors_\w+|attn_rot_embd)(\.weight)?$")


def config_of(files: ModelFiles) -> Any:
    """Read the configuration of a model folder."""
    from transformers import AutoConfig

    with _linked(files) as place, _errors_renamed(files.folder, _NO_CONFIG, place):
        return AutoConfig.from_pretrained(place, **SAFE)


def config_of_gguf(gguf: Path) -> Any:
    """Build the configuration from a GGUF file's metadata."""
    from transformers import AutoConfig

    with _linked_gguf(gguf) as (place, name), _errors_renamed(gguf, _NO_CONFIG, place):
        config: Any = AutoConfig.from_pretrained(place, gguf_file=name, **SAFE)
        content = config.to_dict()
    check_sizes(gguf, content)
    return config


def meta_model_of(config: Any, dtype: torch.dtype, name: object) -> Any:
    """Build a configuration's model on the meta device, with shapes but no weights."""
    from transformers import AutoModelForCausalLM

    with _errors_renamed(name, _NO_CONFIG), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)  # type: ignore[no-untyped-call]


def model_of(files: ModelFiles, dtype: torch.dtype) -> tuple[Any, Mapping[str, Any]]:
    """Load (model, the loader's report of missing, mismatched and unexpected tensors)."""
    from transformers import AutoModelForCausalLM

    with _linked(files) as place, _errors_renamed(files.folder, "cannot be loaded as a causal language model", place):
        found: Any = AutoModelForCausalLM.from_pretrained(
            place, dtype=dtype, use_safetensors=True, output_loading_info=True, **SAFE
        )
    return found[0], found[1]


def tokenizer_of(files: ModelFiles) -> Any:
    """Load the fast tokenizer of a model folder."""
    from transformers import AutoTokenizer

    with _linked(files) as place, _errors_renamed(files.folder, "holds no tokenizer that can be loaded", place):
        return AutoTokenizer.from_pretrained(place, **SAFE)


def gguf_of(gguf: Path) -> tuple[Any, Mapping[str, Any], Any]:
    """Load (model in float32, the loader's report, tokenizer) from a GGUF file."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _linked_gguf(gguf) as (place, name), _errors_renamed(gguf, _NO_GGUF, place):
        where = {"gguf_file": name, **SAFE}
        found: Any = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, output_loading_info=True, **where)
        tokenizer: Any = AutoTokenizer.from_pretrained(place, **where)
    # The tokenizer saves this argument, which applies only to this call.
    tokenizer.init_kwargs["local_files_only"] = False
    metadata, names = gguf_metadata(gguf)
    with _errors_renamed(gguf, _NO_GGUF):
        unmapped = _unmapped_tensors(found[0], str(metadata["general.architecture"]), names)
    return found[0], {**found[1], "unexpected_keys": {*found[1]["unexpected_keys"], *unmapped}}, tokenizer


def _unmapped_tensors(model: Any, architecture: str, names: Iterable[str]) -> list[str]:
    """Tensors of a GGUF file that the reader ignores silently, without rotary tables, which the model recomputes."""
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
    )

    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config={})  # type: ignore[no-untyped-call]
    taken = get_gguf_hf_weights_map(model, processor)
    return [name for name in names if name not in taken and not _ROTARY.search(name)]


def gguf_metadata(gguf: Path) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Read (metadata, names of the tensors) from a GGUF file."""
    from transformers.integrations.gguf import read_gguf_metadata  # type: ignore[attr-defined]

    check_file(gguf)
    with _errors_renamed(gguf, _NO_GGUF):
        metadata, names = read_gguf_metadata(str(gguf))
    return metadata, names


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model as safetensors, with its tokenizer."""
    with redirect_stderr(StringIO()):  # hides a progress bar
        model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


@contextmanager
def _linked(files: ModelFiles) -> Iterator[Path]:
    """A folder of links to the checked files. tokenizer_config.json is a copy if it has keys to remove."""
    with TemporaryDirectory(prefix="editflow-model-") as temporary:
        place = Path(temporary)
        for name in ("config.json", *files.weights, *files.others):
            (place / name).symlink_to((files.folder / name).resolve())
        if files.weights and files.weights != (WEIGHTS,):
            index = {"metadata": {}, **read_object(files.folder / INDEX)}  # some tools do not write metadata
            (place / INDEX).write_text(json.dumps(index), encoding="utf-8")
        kept = {
            key: value
            for key, value in files.tokenizer_config.items()
            if key not in REMOVED_KEYS and not key.endswith(("_file", "_files"))
        }
        if kept != files.tokenizer_config:
            (place / "tokenizer_config.json").unlink()
            (place / "tokenizer_config.json").write_text(json.dumps(kept), encoding="utf-8")
        yield place


@contextmanager
def _linked_gguf(gguf: Path) -> Iterator[tuple[Path, str]]:
    """A folder with only a link to a GGUF file, and the link's name, which exists in no working folder."""
    check_file(gguf)
    with TemporaryDirectory(prefix="editflow-model-") as temporary:
        name = f"{secrets.token_hex(8)}.gguf"
        (Path(temporary) / name).symlink_to(gguf.resolve())
        yield Path(temporary), name


@contextmanager
def _errors_renamed(name: object, what: str, place: Path | None = None) -> Iterator[None]:
    """Silence one call of transformers and raise UnknownModel for its errors, with `name` in place of `place`."""
    from transformers.utils import logging

    # transformers draws progress bars for short steps, and tables of ignored tensors.
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity(50)  # logging.CRITICAL
    try:
        with redirect_stderr(StringIO()):
            yield
    except (EditingError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of the tokenizers library is not an Exception
        reason = first_line(error)
        if place is not None:
            reason = reason.replace(str(place), str(name))
        raise UnknownModel(f"{name} {what}: {reason}") from error
