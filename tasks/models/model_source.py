"""The local folder with the files of a model that a spec names."""

from __future__ import annotations

import hashlib
from pathlib import Path

from editflow.tasks.console.progress import working
from editflow.tasks.errors import UnknownSource
from editflow.tasks.models.model_download import hub_folder, local_path
from editflow.tasks.sources.packaged_data import MODEL, cache, fetch
from editflow.tasks.temporary_folders import temporary_folder


def model_folder(source: str) -> Path:
    """The local folder of a model: the packaged default, a folder, a .gguf file, or a hub id (`org/name[@revision]`).

    Converts a GGUF file into the cache on first use. Raises UnknownSource or UnknownModel.
    """
    gguf = gguf_file(source)
    if gguf is not None:
        return _converted(gguf)
    path = local_path(source)
    return path if path.is_dir() else hub_folder(source)


def gguf_file(source: str) -> Path | None:
    """The GGUF file of a source: the packaged default or a .gguf file; None for other sources. Raises UnknownSource."""
    if source == MODEL.name:
        if not MODEL.path.is_file():
            raise UnknownSource(
                f"model {source!r} is not in the cache ({MODEL.path.parent}): run `editflow fetch` first"
            )
        return MODEL.path
    path = local_path(source)
    return path if path.suffix == ".gguf" and path.is_file() else None


def fetch_default_model() -> tuple[Path, bool]:
    """Download and convert the default model if necessary; return (folder, whether anything was necessary)."""
    path, fresh = fetch(MODEL)
    was_converted = converted_folder(path).is_dir()
    return _converted(path), fresh or not was_converted


def converted_folder(gguf: Path) -> Path:
    """The folder in the cache for the safetensors of a GGUF file, which must exist."""
    stat = gguf.stat()
    digest = hashlib.sha256(f"{gguf.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}".encode()).hexdigest()
    return cache() / "converted" / f"{gguf.stem}-{digest[:12]}"


def _converted(gguf: Path) -> Path:
    """The safetensors folder of a GGUF file; created on first use, and renamed into place when it is complete."""
    folder = converted_folder(gguf)
    if folder.is_dir():
        return folder
    from editflow.editing.models.loading import convert_gguf

    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder("convert", folder.parent) as place:
        draft = place / "model"
        draft.mkdir()
        try:
            with working(f"converting {gguf.name}, once, about half a minute"):
                convert_gguf(gguf, draft)
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder
