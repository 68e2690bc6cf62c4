"""The identity of a model: the artifact that pins it, and loading the model of an artifact."""

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
    """The artifact that pins a model, the initial state of every run on it, and whether it was known already.

    Its id is a digest of the loaded tensors, the configuration and the tokenizer's files. The lake stores the id under
    the folder's file names, sizes and times, so an unchanged model is recognised without loading it. `find` looks up
    a known artifact; it may check the payload and discard a broken one. Raises StateMismatch if the lake's record
    of the model is invalid.
    """
    folder = model_folder(source).resolve()
    known = known_model(lake, folder, dtype)
    found = find(known) if known is not None else None
    if found is not None:
        ModelDescription.read(found)
        return found.ref, True
    ref = _pin(lake, folder, dtype, device, run)
    _write_fingerprint(lake, folder, dtype, ref.id)
    return ref, False


def _fingerprint_file(folder: Path, dtype: str) -> str:
    """The file of the lake that records the model of a folder with its current files."""
    files = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in folder.iterdir() if p.is_file())
    digest = hashlib.sha256(json.dumps([str(folder), dtype, files]).encode()).hexdigest()
    return f"{FINGERPRINTS}/{digest}.json"


def known_model(lake: Lake, folder: Path, dtype: str) -> str | None:
    """The recorded id of the model in a folder; None if it was never loaded or its files have changed since."""
    return _read_fingerprint(lake, _fingerprint_file(folder, dtype))[0]


def _read_fingerprint(lake: Lake, file: str) -> tuple[str | None, Path | None]:
    """(model, folder) in a fingerprint file; (None, None) if it is missing or damaged."""
    try:
        known = json.loads(lake.files.read(file))
        return str(known["model"]), Path(known["folder"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None, None


def _write_fingerprint(lake: Lake, folder: Path, dtype: str, model: str) -> None:
    lake.files.put(_fingerprint_file(folder, dtype), json.dumps({"model": model, "folder": str(folder)}).encode())


def _pin(lake: Lake, folder: Path, dtype: str, device: str, run: str | None) -> ArtifactRef:
    from editflow.editing.models.loading import files_digest

    table = tensor_table(str(folder), dtype, device)
    rows = zip(table["tensor"].to_pylist(), table["digest"].to_pylist(), strict=True)
    listing = hashlib.sha256("".join(f"{tensor}\0{digest}\n" for tensor, digest in rows).encode()).hexdigest()
    spec = {"stage": "model", "tensors": listing, "files": files_digest(folder)}
    about = asdict(ModelDescription.of(open_model(str(folder), dtype, device).model, str(folder), dtype))
    return lake.write("model", VERSION, spec, {}, table, created_by=run, environment=environment(device), about=about)


def tensor_table(folder: str, dtype: str, device: str) -> pa.Table:
    """The names, shapes and digests of a model's tensors, one row each."""
    import pyarrow as pa

    from editflow.editing.models.loading import tensor_digests
    from editflow.storage.artifacts.kinds import kind

    session = open_model(folder, dtype, device)
    with working("digesting the model"):
        rows = [vars(tensor) for tensor in tensor_digests(session.load_base())]
    return pa.Table.from_pylist(rows, schema=kind("model").schema)


def _dtype_of(model: Manifest) -> str:
    """The dtype that a model was pinned with. Raises StateMismatch for an unknown one."""
    from editflow.editing.models.loading import DTYPES

    dtype = model.about.get("dtype")
    if dtype not in DTYPES:
        raise StateMismatch(
            f"the lake records the unknown dtype {dtype!r} of {model.kind} {model.id[:12]}: use a fresh lake"
        )
    return str(dtype)


@lru_cache(maxsize=1)
def open_model(folder: str, dtype: str, device: str) -> ModelSession:
    """The model of a folder, loaded once per process; stages switch it between states."""
    from editflow.tasks.models.model_session import ModelSession

    return ModelSession.load(Path(folder), dtype, device)


def open_session(lake: Lake, state: str, device: str) -> ModelSession:
    """The loaded model that a state belongs to. Raises UnknownSource or StateMismatch."""
    from editflow.tasks.models.model_session import state_chain

    model = state_chain(lake, state)[0]
    dtype = _dtype_of(model)
    return open_model(str(_find_folder(lake, model, dtype, device)), dtype, device)


def _find_folder(lake: Lake, model: Manifest, dtype: str, device: str) -> Path:
    """The current folder of a pinned model: one that is known to contain it and whose files have not changed since.

    Loads and digests a folder again if its files have changed, so that other weights are never used instead.
    """
    folders = [folder for folder in _known_folders(lake, model) if _is_folder(folder)]
    for folder in folders:
        if known_model(lake, folder, dtype) == model.id:
            return folder
    for folder in folders:
        found = _pin(lake, folder, dtype, device, None).id
        _write_fingerprint(lake, folder, dtype, found)
        if found == model.id:
            return folder
    if folders:
        raise StateMismatch(
            f"{folders[0]} no longer contains model {model.id[:12]}: restore its files, or use a fresh lake"
        )
    first = model.about.get("folder")
    raise UnknownSource(
        f"the model's folder {first} is missing: restore it, or run `editflow fetch` and the spec again"
    )


def _is_folder(path: Path) -> bool:
    """Whether a path from a lake is a folder of this machine; an untrusted lake may contain any text."""
    try:
        return path.is_absolute() and path.is_dir()
    except (OSError, ValueError):
        return False


def _known_folders(lake: Lake, model: Manifest) -> list[Path]:
    """The folders in which a model was found, the first one first."""
    found = [Path(str(model.about.get("folder", "")))]
    for file in lake.files.list(FINGERPRINTS):
        known, folder = _read_fingerprint(lake, f"{FINGERPRINTS}/{file}")
        if known == model.id and folder is not None:
            found.append(folder)
    return list(dict.fromkeys(found))
