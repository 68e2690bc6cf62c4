"""Checks of the cache: are the default model and corpus complete?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from editflow.flows.cli.doctor.finding import Finding, Place, listed, ok, problem, refusal, warning
from editflow.tasks.sources.packaged_data import CORPUS, MODEL, Packaged, cache

FETCH = "`editflow fetch` obtains it"


def cache_folder(_place: Place) -> Iterator[Finding]:
    """Whether the cache takes files, and what broken downloads have left in it."""
    if why := refusal(cache()):
        remedy = "make the folder writable, or choose another one with EDITFLOW_CACHE"
        yield problem("cache", f"{cache()} takes no files: {why}", remedy)
        return
    places = (MODEL.path.parent, CORPUS.path.parent, cache() / "converted")
    left = [draft for place in places if place.is_dir() for draft in place.glob("tmp*") if draft.is_dir()]
    if left:
        room = sum(path.stat().st_size for draft in left for path in draft.rglob("*") if path.is_file())
        found = f"{len(left)} unfinished downloads or conversions, {decimal(room)}, such as {left[0]}"
        yield warning("cache", found, "delete these folders unless `editflow fetch` is going on now")
    else:
        yield ok("cache", str(cache()))


def temporary(_place: Place) -> Iterator[Finding]:
    """Temporary folders whose processes are gone."""
    from editflow.flows.console.leftover_folders import left_behind

    left = left_behind()
    if left:
        room = decimal(sum(one.bytes for one in left))
        found = f"{len(left)} folders of killed processes, {room}: {listed([str(one.path) for one in left])}"
        yield warning("temporary", found, "`editflow gc --delete` removes them")
    else:
        yield ok("temporary", "no folders of killed processes")


def corpus(_place: Place) -> Iterator[Finding]:
    """Whether the default corpus is there and whole."""
    yield _packaged("corpus", CORPUS)


def model(_place: Place) -> Iterator[Finding]:
    """Whether the default model is there, whole, and converted."""
    from editflow.tasks.models.model_source import converted_folder

    found = _packaged("model", MODEL)
    if found.verdict != "ok":
        yield found
        return
    folder = converted_folder(MODEL.path)
    if not folder.is_dir():
        yield warning(
            "model", f"{MODEL.name} is fetched but not converted", "`editflow fetch` converts it, half a minute"
        )
    elif fault := _fault(folder):
        yield problem("model", f"the converted {MODEL.name} {fault}", f"delete {folder}, then `editflow fetch`")
    else:
        yield found


def _packaged(check: str, item: Packaged) -> Finding:
    if not item.path.exists():
        # Specs that name a model and a corpus of their own do without.
        return warning(check, f"the default {check} {item.name} is not in the cache ({item.path.parent})", FETCH)
    if not item.is_whole():
        return problem(check, f"{item.path} is cut off or damaged", "`editflow fetch` obtains it again")
    return ok(check, f"{item.name} in {item.path.parent}")


def _fault(folder: Path) -> str:
    """What is missing from a model's folder; empty if it can be loaded, judged by the heads of its files."""
    from safetensors import SafetensorError, safe_open

    weights = sorted(folder.glob("*.safetensors"))
    lacking = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    if lacking or not weights:
        return f"lacks {', '.join(lacking) or 'its weights'}"
    for path in weights:
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            return f"has a damaged file {path.name} ({error})"
    return ""
