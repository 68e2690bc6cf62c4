"""Checks of one artifact: its manifest, its payload and its parents."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from editflow.storage.artifacts.identity import parent_pairs, recipe_id
from editflow.storage.artifacts.manifest import Manifest, manifest_name
from editflow.storage.artifacts.payload_check import contradicts_payload, has_first_bytes, reencode_if_corrupt
from editflow.storage.artifacts.store import OTHER_RECIPE, Lake
from editflow.storage.errors import DamagedPayload, ForeignFile, UnknownArtifact

Repair = Literal["artifact", "record", "index", "hand"]
"""What repairs a fault: the artifact is recomputed, a run's record restored, the index written again, or a person."""
ENCODING_DIFFERS = "has a payload whose bytes differ from those written, though its content is the same"
"""A bit outside the content, such as Parquet's minimum and maximum of a column, which SQL uses."""
PAYLOAD_MISSING = "has lost its payload"
WRONG_DIGEST = "has a manifest with a wrong digest"


@dataclass(frozen=True)
class Fault:
    """A file inside the lake, what it belongs to, and what is wrong with it.

    `id` is the artifact or run that `mend` repairs; `remedy` is the advice where no repair is automatic. `lost`: the
    file does not exist, and something else needs it.
    """

    file: str
    what: str
    wrong: str
    repair: Repair
    id: str = ""
    remedy: str = ""
    lost: bool = False


def check_manifest(lake: Lake, id_: str) -> tuple[Manifest | None, Fault | None]:
    """(the manifest if it can be trusted, what is wrong with it)."""
    file, what = manifest_name(id_), f"artifact {id_[:12]}"
    try:
        made = lake.manifest(id_)
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
    if not _hashes_to(made, id_):
        return None, Fault(file, what, "has the manifest of another recipe", "artifact", id_)
    return made, None


def check_artifact(lake: Lake, id_: str, *, deep: bool = True) -> tuple[Manifest | None, Fault | None]:
    """(the manifest if it can be trusted, what is wrong with the artifact); every byte is read if `deep`."""
    made, fault = check_manifest(lake, id_)
    if made is None:
        return made, fault
    what = f"{made.kind} {id_[:12]}"
    try:
        wrong = _payload(lake, made, deep=deep)
    except ForeignFile as error:
        return made, foreign_fault(lake, error, what, id_)
    if wrong == PAYLOAD_MISSING and contradicts_payload(lake.files, made):
        return made, Fault(manifest_name(id_), what, WRONG_DIGEST, "artifact", id_)
    return made, Fault(made.payload, what, wrong, "artifact", id_) if wrong else None


def foreign_fault(lake: Lake, error: ForeignFile, what: str, id_: str = "") -> Fault:
    """The fault of a path behind a foreign file; the audit of foreign files also reports it."""
    name = error.path.removeprefix(f"{lake.files.root}/")
    return Fault(name, what, f"cannot be looked at: {name} is {error.what}", "hand", id_, error.remedy)


def _hashes_to(made: Manifest, id_: str) -> bool:
    try:
        return recipe_id(made.kind, made.version, made.spec, made.parents) == id_
    except (TypeError, ValueError, AttributeError):
        return False


def parse_time(text: str) -> datetime:
    """A run's time; an invalid one sorts before all others."""
    with suppress(ValueError):
        at = datetime.fromisoformat(text)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    return datetime.min.replace(tzinfo=UTC)


def _payload(lake: Lake, made: Manifest, *, deep: bool) -> str:
    if not deep:
        return "" if lake.find(made.id) is not None else "has lost its payload, or a part of it"
    try:
        if has_first_bytes(lake.files, made):
            return ""
        fault = lake.fault(made.id)
        identical = fault is not None or reencode_if_corrupt(lake.files, made, write=False)
    except OSError as error:
        return f"has a payload that cannot be read: {error.strerror}"
    if isinstance(fault, DamagedPayload):
        return f"has a damaged payload: {fault.reason}"
    if fault:
        return PAYLOAD_MISSING
    return "" if identical else ENCODING_DIFFERS


def upstream(lake: Lake, *ids: str) -> Iterator[str]:
    """Artifacts and everything they were made from, each once, as far as manifests record it. Cost: a manifest each."""
    waiting, seen = list(dict.fromkeys(ids)), set(ids)
    while waiting:
        here = waiting.pop()
        yield here
        made, _ = check_manifest(lake, here)
        new = {parent for _, parent in parent_pairs(made.parents)} - seen if made else set()
        seen |= new
        waiting += sorted(new)
