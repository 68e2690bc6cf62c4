"""Checks of one artifact: its manifest, its payload and its parents."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from editflow.storage.artifacts.identity import parent_pairs, recipe_id
from editflow.storage.artifacts.manifest import Manifest, manifest_name
from editflow.storage.artifacts.payload_check import contradicts_payload, has_original_bytes, reencode_if_corrupt
from editflow.storage.artifacts.store import OTHER_RECIPE, Lake
from editflow.storage.errors import DamagedPayload, ForeignFile, UnknownArtifact

Repair = Literal["artifact", "record", "index", "hand"]
"""What repairs a fault: recompute the artifact, restore the record of a run, rebuild the index, or a person."""
ENCODING_DIFFERS = "has a payload whose bytes differ from those written, though its content is the same"
"""A bit outside the content has changed, such as Parquet's minimum and maximum of a column, which SQL uses."""
PAYLOAD_MISSING = "has lost its payload"
WRONG_DIGEST = "has a manifest with a wrong digest"


@dataclass(frozen=True)
class Fault:
    """A file inside the lake, what it belongs to, and what is wrong with it.

    `id` is the artifact or run to repair; `remedy` is the advice if a person must repair it. `lost`: the file does not
    exist, and something else needs it.
    """

    file: str
    what: str
    wrong: str
    repair: Repair
    id: str = ""
    remedy: str = ""
    lost: bool = False


def check_manifest(lake: Lake, id_: str) -> tuple[Manifest | None, Fault | None]:
    """(the manifest if it is valid, what is wrong with it)."""
    file, what = manifest_name(id_), f"artifact {id_[:12]}"
    try:
        manifest = lake.manifest(id_)
    except UnknownArtifact:
        return None, Fault(file, what, "is gone", "artifact", id_)
    except DamagedPayload as error:
        wrong = (
            "has the manifest of another recipe" if error.reason.endswith(OTHER_RECIPE) else "has a damaged manifest"
        )
        return None, Fault(file, what, wrong, "artifact", id_)
    except ForeignFile as error:
        return None, foreign_fault(lake, error, what, id_)
    except OSError as error:
        return None, Fault(file, what, f"has a manifest that cannot be read: {error.strerror}", "artifact", id_)
    if not _is_recipe_of(manifest, id_):
        return None, Fault(file, what, "has the manifest of another recipe", "artifact", id_)
    return manifest, None


def check_artifact(lake: Lake, id_: str, *, deep: bool = True) -> tuple[Manifest | None, Fault | None]:
    """(the manifest if it is valid, what is wrong with the artifact); reads every byte if `deep`."""
    manifest, fault = check_manifest(lake, id_)
    if manifest is None:
        return manifest, fault
    what = f"{manifest.kind} {id_[:12]}"
    try:
        wrong = _payload_fault(lake, manifest, deep=deep)
    except ForeignFile as error:
        return manifest, foreign_fault(lake, error, what, id_)
    if wrong == PAYLOAD_MISSING and contradicts_payload(lake.files, manifest):
        return manifest, Fault(manifest_name(id_), what, WRONG_DIGEST, "artifact", id_)
    return manifest, Fault(manifest.payload, what, wrong, "artifact", id_) if wrong else None


def foreign_fault(lake: Lake, error: ForeignFile, what: str, id_: str = "") -> Fault:
    """The fault of a file that a foreign file hides; the audit of foreign files also reports it."""
    name = error.path.removeprefix(f"{lake.files.root}/")
    return Fault(name, what, f"cannot be read: {name} is {error.what}", "hand", id_, error.remedy)


def _is_recipe_of(manifest: Manifest, id_: str) -> bool:
    """Whether the recipe in a manifest hashes to an id."""
    try:
        return recipe_id(manifest.kind, manifest.version, manifest.spec, manifest.parents) == id_
    except (TypeError, ValueError, AttributeError):
        return False


def parse_time(text: str) -> datetime:
    """The time in a run record; an invalid one sorts before all others."""
    with suppress(ValueError):
        time = datetime.fromisoformat(text)
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    return datetime.min.replace(tzinfo=UTC)


def _payload_fault(lake: Lake, manifest: Manifest, *, deep: bool) -> str:
    """What is wrong with a payload; empty if nothing is."""
    if not deep:
        return "" if lake.find(manifest.id) is not None else "has lost its payload, or a part of it"
    try:
        if has_original_bytes(lake.files, manifest):
            return ""
        fault = lake.fault(manifest.id)
        is_identical = fault is not None or reencode_if_corrupt(lake.files, manifest, write=False)
    except OSError as error:
        return f"has a payload that cannot be read: {error.strerror}"
    if isinstance(fault, DamagedPayload):
        return f"has a damaged payload: {fault.reason}"
    if fault:
        return PAYLOAD_MISSING
    return "" if is_identical else ENCODING_DIFFERS


def upstream(lake: Lake, *ids: str) -> Iterator[str]:
    """These artifacts and all their ancestors, each once. Cost: one manifest per artifact."""
    waiting, seen = list(dict.fromkeys(ids)), set(ids)
    while waiting:
        id_ = waiting.pop()
        yield id_
        manifest, _ = check_manifest(lake, id_)
        new = {parent for _, parent in parent_pairs(manifest.parents)} - seen if manifest else set()
        seen |= new
        waiting += sorted(new)
