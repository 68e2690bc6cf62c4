"""Download models from the hub: first the configuration, then only the files that it requires."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from editflow.editing.errors import EditingError, UnknownModel, first_line
from editflow.editing.models.folder import (
    CONFIGS,
    INDEX,
    QUANTISATION_CONFIGS,
    TOKENIZER,
    WEIGHTS,
    examine,
    read_object,
    shards,
    weight_files,
)
from editflow.storage.address import Address
from editflow.tasks.console.progress import working
from editflow.tasks.sources.packaged_data import MODEL

CONFIG_FILES = ("config.json", *CONFIGS, *QUANTISATION_CONFIGS, "adapter_config.json")
"""Small files that determine whether a model can be edited."""


def local_path(source: str) -> Path:
    """A source as a path, with `~` expanded. Raises UnknownModel if it cannot be a path."""
    try:
        path = Path(Address(source).full).expanduser()
        path.is_dir()
    except (RuntimeError, OSError, ValueError) as error:
        raise UnknownModel(
            f"no model {_without_secrets(source)} ({_reason(source, error)}): give a folder, a .gguf file or a hub id"
        ) from None
    return path


def hub_id(source: str) -> tuple[str, str | None]:
    """(name, revision) of a model on the hub. Raises UnknownModel if it cannot be a hub id."""
    if local_path(source).is_absolute() or source.count("/") != 1 or source.startswith("."):
        near = difflib.get_close_matches(source, [MODEL.name], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"give {MODEL.name!r}, a folder, a .gguf file or a hub id"
        raise UnknownModel(f"no model {_without_secrets(source)}: {hint}")
    name, _, revision = source.partition("@")
    return name, revision or None


def is_remote(source: str) -> bool:
    """Whether reading a model requires a download."""
    path = local_path(source)
    return source != MODEL.name and not path.exists() and complete_folder(source) is None


def complete_folder(source: str) -> Path | None:
    """The folder of a hub model in the hub's cache, if all the files that a run reads are in it."""
    folder = cached_folder(source)
    try:
        return folder if folder is not None and examine(folder).weights else None
    except UnknownModel:
        return None


def cached_folder(source: str) -> Path | None:
    """The folder of a hub model in the hub's cache, possibly incomplete; None if nothing is cached."""
    from huggingface_hub import snapshot_download

    name, revision = hub_id(source)
    try:
        # `examine` determines which other files are needed.
        return Path(snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=["config.json"]))
    except Exception:  # noqa: BLE001  (after any cache error the hub is tried next)
        return None


def configured_folder(source: str) -> Path:
    """Download the configuration of a hub model without its weights; return the folder. Raises UnknownModel."""
    with _hub_errors(source):
        sizes = _file_sizes(source)
        return _download(source, [name for name in CONFIG_FILES if name in sizes])


def hub_folder(source: str) -> Path:
    """The folder with all files of a hub model that a run reads; downloads those that are not in the hub's cache.

    Refuses a model that cannot be edited once its configuration is read, before its weights. Raises UnknownModel.
    """
    try:
        with _hub_errors(source):
            sizes = _file_sizes(source)
    except UnknownModel:
        if (cached := cached_folder(source)) is not None:
            return cached
        raise
    from editflow.editing.models.loading import load_meta_model

    with _hub_errors(source):
        load_meta_model(_download(source, [name for name in CONFIG_FILES if name in sizes]))
        wanted = _files_to_read(source, sizes)
        megabytes = sum(sizes[name] for name in wanted) / 1e6
        with working(f"downloading {source}, up to {megabytes:,.0f} MB"):
            return _download(source, wanted)


def _files_to_read(source: str, sizes: Mapping[str, int]) -> list[str]:
    """Names of the files that a run reads; the index, if there is one, names the weights."""
    if INDEX in sizes:
        index = _download(source, [INDEX]) / INDEX
        weights = [INDEX, *shards(read_object(index), index)]
    elif WEIGHTS in sizes:
        weights = [WEIGHTS]
    else:
        weights = list(weight_files(Path(source), {name for name in sizes if "/" not in name}))
    if missing := [name for name in weights if name not in sizes]:
        raise UnknownModel(f"{source}: {INDEX} names {missing[0]}, which the hub does not have")
    return [*weights, *(name for name in (*CONFIG_FILES, *TOKENIZER) if name in sizes)]


def _file_sizes(source: str) -> dict[str, int]:
    """{name: bytes} of a hub model."""
    from huggingface_hub import HfApi

    name, revision = hub_id(source)
    info = HfApi().model_info(name, revision=revision, files_metadata=True)
    return {file.rfilename: file.size or 0 for file in info.siblings or []}


def _download(source: str, names: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    name, revision = hub_id(source)
    return Path(snapshot_download(name, revision=revision, allow_patterns=names))


def _without_secrets(source: str) -> str:
    return repr(str(Address(source)))


def _reason(source: str, error: Exception) -> str:
    return Address(source).without_secrets(first_line(error))


@contextmanager
def _hub_errors(source: str) -> Iterator[None]:
    try:
        yield
    except EditingError:
        raise
    except Exception as error:  # noqa: BLE001  (the hub client raises many classes)
        raise UnknownModel(
            f"no folder {_without_secrets(source)}, and the hub has no such model ({_reason(source, error)}); "
            "check name and network"
        ) from None
