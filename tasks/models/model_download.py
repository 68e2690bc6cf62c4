"""Models on the hub: the configuration is downloaded first, then only the files that it needs."""

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

FIRST = ("config.json", *CONFIGS, *QUANTISATION_CONFIGS, "adapter_config.json")
"""Small files that tell whether a model can be edited."""


def local(source: str) -> Path:
    """A source as a path, with the user's home for `~`. Raises UnknownModel for what can be none."""
    try:
        path = Path(Address(source).full).expanduser()
        path.is_dir()
    except (RuntimeError, OSError, ValueError) as error:
        raise UnknownModel(
            f"no model {_shown(source)} ({_why(source, error)}): give a folder, a .gguf file or a hub id"
        ) from None
    return path


def hub_id(source: str) -> tuple[str, str | None]:
    """(name, revision) of a model on the hub. Raises UnknownModel for what cannot be one."""
    if local(source).is_absolute() or source.count("/") != 1 or source.startswith("."):
        near = difflib.get_close_matches(source, [MODEL.name], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"give {MODEL.name!r}, a folder, a .gguf file or a hub id"
        raise UnknownModel(f"no model {_shown(source)}: {hint}")
    name, _, revision = source.partition("@")
    return name, revision or None


def is_remote(source: str) -> bool:
    """Whether reading a model would first download something."""
    path = local(source)
    return source != MODEL.name and not path.exists() and whole_folder(source) is None


def whole_folder(source: str) -> Path | None:
    """The folder of a hub model in the hub's cache, where all that is read of it is there."""
    folder = cached_folder(source)
    try:
        return folder if folder is not None and examine(folder).weights else None
    except UnknownModel:
        return None


def cached_folder(source: str) -> Path | None:
    """The folder of a hub model in the hub's cache, as far as it is there; None where nothing is."""
    from huggingface_hub import snapshot_download

    name, revision = hub_id(source)
    try:
        # Of the rest, `examine` knows which files are needed.
        return Path(snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=["config.json"]))
    except Exception:  # noqa: BLE001 - for any fault of the cache, the hub itself is asked next
        return None


def configured_folder(source: str) -> Path:
    """The folder with a hub model's configuration, and no weights. Raises UnknownModel."""
    with _asking(source):
        sizes = _listed(source)
        return _fetched(source, [name for name in FIRST if name in sizes])


def hub_folder(source: str) -> Path:
    """The folder with all that is read of a hub model, downloaded where it is not in the hub's cache.

    A model that cannot be edited is refused after its configuration, before its weights. Raises UnknownModel.
    """
    try:
        with _asking(source):
            sizes = _listed(source)
    except UnknownModel:
        if (cached := cached_folder(source)) is not None:
            return cached
        raise
    from editflow.editing.models.loading import load_meta_model

    with _asking(source):
        load_meta_model(_fetched(source, [name for name in FIRST if name in sizes]))
        wanted = _wanted(source, sizes)
        much = sum(sizes[name] for name in wanted) / 1e6
        with working(f"fetching {source}, {much:,.0f} MB where it is not in the hub's cache"):
            return _fetched(source, wanted)


def _wanted(source: str, sizes: Mapping[str, int]) -> list[str]:
    """Names of the files that a run reads; the weights are those of the index."""
    if INDEX in sizes:
        index = _fetched(source, [INDEX]) / INDEX
        weights = [INDEX, *shards(read_object(index), index)]
    elif WEIGHTS in sizes:
        weights = [WEIGHTS]
    else:
        weights = list(weight_files(Path(source), {name for name in sizes if "/" not in name}))
    if lacking := [name for name in weights if name not in sizes]:
        raise UnknownModel(f"{source}: {INDEX} names {lacking[0]}, which the hub does not have")
    return [*weights, *(name for name in (*FIRST, *TOKENIZER) if name in sizes)]


def _listed(source: str) -> dict[str, int]:
    """{name: bytes} of a hub model."""
    from huggingface_hub import HfApi

    name, revision = hub_id(source)
    info = HfApi().model_info(name, revision=revision, files_metadata=True)
    return {file.rfilename: file.size or 0 for file in info.siblings or []}


def _fetched(source: str, names: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    name, revision = hub_id(source)
    return Path(snapshot_download(name, revision=revision, allow_patterns=names))


def _shown(source: str) -> str:
    return repr(str(Address(source)))


def _why(source: str, error: Exception) -> str:
    return Address(source).without_secrets(first_line(error))


@contextmanager
def _asking(source: str) -> Iterator[None]:
    try:
        yield
    except EditingError:
        raise
    except Exception as error:  # noqa: BLE001  (the hub client raises a different class for every way of failing)
        raise UnknownModel(
            f"no folder {_shown(source)}, and the hub gave no such model ({_why(source, error)}); "
            "check name and network"
        ) from None
