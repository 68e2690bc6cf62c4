"""Every call that lets transformers open a file, in one place.

The library is shown a folder of links to the files that were examined, and to no others, under
`trust_remote_code=False` and without a network: what lies beside them cannot reach it, whatever a configuration names.
Whatever it raises becomes UnknownModel with its first line.
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
"""Arguments of every call: no code of the files and no prompt for it; nothing from elsewhere."""
ELSEWHERE = ("tokenizer_object", "gguf_file", "vocab", "merges", "from_slow", "trust_remote_code", "init_inputs")
"""Keys of a tokenizer_config.json that would name files of any place, or pass for arguments; so do all `…_file(s)`."""

_ROTARY = re.compile(r"(^|\.)(rope_freqs|rope_factors_\w+|attn_rot_embd)(\.weight)?$")


def config_of(files: ModelFiles) -> Any:
    """The configuration of a model folder."""
    from transformers import AutoConfig

    with _shown(files) as place, _errors_named(files.folder, "has no configuration of a causal language model", place):
        return AutoConfig.from_pretrained(place, **SAFE)


def config_of_gguf(gguf: Path) -> Any:
    """The configuration that a GGUF file's metadata make."""
    from transformers import AutoConfig

    with _alone(gguf) as (place, name), _errors_named(gguf, "has no configuration of a causal language model", place):
        config: Any = AutoConfig.from_pretrained(place, gguf_file=name, **SAFE)
        content = config.to_dict()
    check_sizes(gguf, content)
    return config


def outline_of(config: Any, dtype: torch.dtype, name: object) -> Any:
    """The model of a configuration on the meta device: shapes without weights."""
    from transformers import AutoModelForCausalLM

    with _errors_named(name, "has no configuration of a causal language model"), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)  # type: ignore[no-untyped-call]


def model_of(files: ModelFiles, dtype: torch.dtype) -> tuple[Any, Mapping[str, Any]]:
    """(model, the loader's report: missing, mismatched and unexpected tensors)."""
    from transformers import AutoModelForCausalLM

    with _shown(files) as place, _errors_named(files.folder, "cannot be loaded as a causal language model", place):
        found: Any = AutoModelForCausalLM.from_pretrained(
            place, dtype=dtype, use_safetensors=True, output_loading_info=True, **SAFE
        )
    return found[0], found[1]


def tokenizer_of(files: ModelFiles) -> Any:
    """The fast tokenizer of a model folder."""
    from transformers import AutoTokenizer

    with _shown(files) as place, _errors_named(files.folder, "holds no tokenizer that can be loaded", place):
        return AutoTokenizer.from_pretrained(place, **SAFE)


def gguf_of(gguf: Path) -> tuple[Any, Mapping[str, Any], Any]:
    """(model in float32, the loader's report, tokenizer) of a GGUF file."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _alone(gguf) as (place, name), _errors_named(gguf, "cannot be read as a GGUF model", place):
        where = {"gguf_file": name, **SAFE}
        found: Any = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, output_loading_info=True, **where)
        tokenizer: Any = AutoTokenizer.from_pretrained(place, **where)
    # Saved with the tokenizer; its value in this call does not hold for the next.
    tokenizer.init_kwargs["local_files_only"] = False
    metadata, names = gguf_metadata(gguf)
    with _errors_named(gguf, "cannot be read as a GGUF model"):
        over = _without_place(found[0], str(metadata["general.architecture"]), names)
    return found[0], {**found[1], "unexpected_keys": {*found[1]["unexpected_keys"], *over}}, tokenizer


def _without_place(model: Any, architecture: str, names: Iterable[str]) -> list[str]:
    """Tensors of a GGUF file that its reader passes over in silence; rotary tables are computed again."""
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
    )

    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config={})  # type: ignore[no-untyped-call]
    taken = get_gguf_hf_weights_map(model, processor)
    return [name for name in names if name not in taken and not _ROTARY.search(name)]


def gguf_metadata(gguf: Path) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """(metadata, names of the tensors) of a GGUF file."""
    from transformers.integrations.gguf import read_gguf_metadata  # type: ignore[attr-defined]

    check_file(gguf)
    with _errors_named(gguf, "cannot be read as a GGUF model"):
        metadata, names = read_gguf_metadata(str(gguf))
    return metadata, names


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model as safetensors, with its tokenizer."""
    with redirect_stderr(StringIO()):  # a bar
        model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


@contextmanager
def _shown(files: ModelFiles) -> Iterator[Path]:
    """A folder of links to the examined files; of the tokenizer's configuration a copy that names no other file."""
    with TemporaryDirectory(prefix="editflow-model-") as temporary:
        place = Path(temporary)
        for name in ("config.json", *files.weights, *files.others):
            (place / name).symlink_to((files.folder / name).resolve())
        if files.weights and files.weights != (WEIGHTS,):
            index = {"metadata": {}, **read_object(files.folder / INDEX)}  # which not every tool writes
            (place / INDEX).write_text(json.dumps(index), encoding="utf-8")
        kept = {key: value for key, value in files.tokenizer_config.items() if not _leads_elsewhere(key)}
        if kept != files.tokenizer_config:
            (place / "tokenizer_config.json").unlink()
            (place / "tokenizer_config.json").write_text(json.dumps(kept), encoding="utf-8")
        yield place


@contextmanager
def _alone(gguf: Path) -> Iterator[tuple[Path, str]]:
    """A folder that holds a link to a GGUF file and nothing else, and a name that no working folder has."""
    check_file(gguf)
    with TemporaryDirectory(prefix="editflow-model-") as temporary:
        name = f"{secrets.token_hex(8)}.gguf"
        (Path(temporary) / name).symlink_to(gguf.resolve())
        yield Path(temporary), name


def _leads_elsewhere(key: str) -> bool:
    return key in ELSEWHERE or key.endswith(("_file", "_files"))


@contextmanager
def _errors_named(name: object, what: str, place: Path | None = None) -> Iterator[None]:
    """Quiet around one call of the library, whose failures, of whatever class, come out as UnknownModel."""
    _hush()
    try:
        # Bars and reports of the library's own; failures come as exceptions.
        with redirect_stderr(StringIO()):
            yield
    except (EditingError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of the tokenizers' library is no Exception
        reason = first_line(error)
        if place is not None:
            reason = reason.replace(str(place), str(name))
        raise UnknownModel(f"{name} {what}: {reason}") from error


def _hush() -> None:
    """transformers draws bars of its own for steps that take a second, and tables of what it left out."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity(50)  # as logging.CRITICAL
