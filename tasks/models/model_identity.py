"""The identity of a model: the artifact that pins it, checks of what is recorded there, and loading by it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from editflow.storage.artifacts.store import ArtifactRef, Lake, Manifest
from editflow.tasks.console.progress import working
from editflow.tasks.environment import environment
from editflow.tasks.errors import StateMismatch, UnknownSource
from editflow.tasks.models.model_description import ModelDescription
from editflow.tasks.models.model_source import model_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from editflow.tasks.models.model_session import ModelSession

VERSION = 1
FINGERPRINTS = "fingerprints"


def identify(
    lake: Lake, source: str, dtype: str, device: str, run: str | None, find: Callable[[str], Manifest | None]
) -> tuple[ArtifactRef, bool]:
    """The artifact that pins a model, state₀ of every run on it, and whether it was known already.

    Its identity is the digest of the loaded tensors, the configuration and the tokenizer's files. It is remembered by
    the folder's file names, sizes and times, so a model that did not change is not loaded to be recognised. `find`
    looks a remembered artifact up: it may check the payload and set a broken one aside. Raises StateMismatch where
    the lake records of the model what cannot be, as one from elsewhere may.
    """
    folder = model_folder(source).resolve()
    known = remembered(lake, folder, dtype)
    found = find(known) if known is not None else None
    if found is not None:
        ModelDescription.read(found)
        return found.ref, True
    ref = _pin(lake, folder, dtype, device, run)
    _remember(lake, folder, dtype, ref.id)
    return ref, False


def _memory(folder: Path, dtype: str) -> str:
    """The file of the lake that remembers what a folder, with the files it has now, holds."""
    files = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in folder.iterdir() if p.is_file())
    mark = hashlib.sha256(json.dumps([str(folder), dtype, files]).encode()).hexdigest()
    return f"{FINGERPRINTS}/{mark}.json"


def remembered(lake: Lake, folder: Path, dtype: str) -> str | None:
    """The id of the model that the folder was found to hold, unless its files have changed since."""
    return _recalled(lake, _memory(folder, dtype))[0]


def _recalled(lake: Lake, memory: str) -> tuple[str | None, Path | None]:
    """The model that a file of the memory names, and its folder; a damaged memory is no memory."""
    try:
        known = json.loads(lake.files.read(memory))
        return str(known["model"]), Path(known["folder"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None, None


def _remember(lake: Lake, folder: Path, dtype: str, model: str) -> None:
    lake.files.put(_memory(folder, dtype), json.dumps({"model": model, "folder": str(folder)}).encode())


def _pin(lake: Lake, folder: Path, dtype: str, device: str, run: str | None) -> ArtifactRef:
    from editflow.editing.models.loading import files_digest

    table = digests(str(folder), dtype, device)
    rows = zip(table["tensor"].to_pylist(), table["digest"].to_pylist(), strict=True)
    listing = hashlib.sha256("".join(f"{tensor}\0{digest}\n" for tensor, digest in rows).encode()).hexdigest()
    spec = {"stage": "model", "tensors": listing, "files": files_digest(folder)}
    about = asdict(ModelDescription.of(open_model(str(folder), dtype, device).model, str(folder), dtype))
    return lake.write("model", VERSION, spec, {}, table, created_by=run, environment=environment(device), about=about)


def digests(folder: str, dtype: str, device: str) -> pa.Table:
    """One row a tensor."""
    import pyarrow as pa

    from editflow.editing.models.loading import tensor_digests
    from editflow.storage.artifacts.kinds import kind

    live = open_model(folder, dtype, device)
    with working("digesting the model"):
        rows = [vars(tensor) for tensor in tensor_digests(live.load_base())]
    return pa.Table.from_pylist(rows, schema=kind("model").schema)


def _dtype_of(model: Manifest) -> str:
    """The type of the numbers that a model was pinned with. Raises StateMismatch for an unknown one."""
    from editflow.editing.models.loading import DTYPES

    dtype = model.about.get("dtype")
    if dtype not in DTYPES:
        raise StateMismatch(
            f"the lake records dtype {dtype!r} of {model.kind} {model.id[:12]}, which is none of {', '.join(DTYPES)}: "
            "use a fresh lake"
        )
    return str(dtype)


@lru_cache(maxsize=1)
def open_model(folder: str, dtype: str, device: str) -> ModelSession:
    """The model of a folder, loaded once a process and moved between states as stages ask for them."""
    from editflow.tasks.models.model_session import ModelSession

    return ModelSession.load(Path(folder), dtype, device)


def open_session(lake: Lake, state: str, device: str) -> ModelSession:
    """The loaded model that a state belongs to. Raises UnknownSource or StateMismatch."""
    from editflow.tasks.models.model_session import state_chain

    model = state_chain(lake, state)[0]
    dtype = _dtype_of(model)
    return open_model(str(_folder_of(lake, model, dtype, device)), dtype, device)


def _folder_of(lake: Lake, model: Manifest, dtype: str, device: str) -> Path:
    """Where a pinned model lies now: a folder known to hold it whose files have not changed since.

    A folder whose files have changed is loaded and digested again, so other weights are never taken for the model's.
    """
    folders = [folder for folder in _folders(lake, model) if _is_folder(folder)]
    for folder in folders:
        if remembered(lake, folder, dtype) == model.id:
            return folder
    for folder in folders:
        found = _pin(lake, folder, dtype, device, None).id
        _remember(lake, folder, dtype, found)
        if found == model.id:
            return folder
    if folders:
        raise StateMismatch(
            f"{folders[0]} no longer holds model {model.id[:12]}: put its files back, or use a fresh lake"
        )
    first = model.about.get("folder")
    raise UnknownSource(f"the model's folder {first} is gone: put it back, or run `editflow fetch` and the spec again")


def _is_folder(path: Path) -> bool:
    """Whether a path that a lake names is a folder of this machine; a lake may name anything."""
    try:
        return path.is_absolute() and path.is_dir()
    except (OSError, ValueError):
        return False


def _folders(lake: Lake, model: Manifest) -> list[Path]:
    """The folders that a model was found in, the first one first."""
    found = [Path(str(model.about.get("folder", "")))]
    for memory in lake.files.list(FINGERPRINTS):
        known, folder = _recalled(lake, f"{FINGERPRINTS}/{memory}")
        if known == model.id and folder is not None:
            found.append(folder)
    return list(dict.fromkeys(found))
