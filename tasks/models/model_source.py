"""From the name of a model in a spec to a local folder with its files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from editflow.tasks.console.progress import working
from editflow.tasks.errors import UnknownSource
from editflow.tasks.models.model_download import hub_folder, local
from editflow.tasks.sources.packaged_data import MODEL, cache, fetch
from editflow.tasks.temporary_folders import temporary_folder


def model_folder(source: str) -> Path:
    """The local folder of a model: the packaged default, a folder, a .gguf file, or a hub id (`org/name[@revision]`).

    A GGUF file is converted into the cache once. Raises UnknownSource or UnknownModel.
    """
    if source == MODEL.name:
        if not MODEL.path.is_file():
            raise UnknownSource(
                f"model {source!r} is not in the cache ({MODEL.path.parent}): run `editflow fetch` first"
            )
        return _converted(MODEL.path)
    path = local(source)
    if path.suffix == ".gguf" and path.is_file():
        return _converted(path)
    if path.is_dir():
        return path
    return hub_folder(source)


def fetch_default_model() -> tuple[Path, bool]:
    """Download the default model and convert it, unless both are done: (folder, whether something was done)."""
    path, fresh = fetch(MODEL)
    known = converted_folder(path).is_dir()
    return _converted(path), fresh or not known


def converted_folder(gguf: Path) -> Path:
    """Where the safetensors of a GGUF file are, or will be, in the cache; the file must be there."""
    stat = gguf.stat()
    mark = hashlib.sha256(f"{gguf.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}".encode()).hexdigest()
    return cache() / "converted" / f"{gguf.stem}-{mark[:12]}"


def _converted(gguf: Path) -> Path:
    """The safetensors folder of a GGUF file, made on first use and renamed into place when it is whole."""
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
