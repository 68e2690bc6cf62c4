"""Checks of the cache: the default model and corpus, and leftover files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from editflow.flows.cli.doctor.finding import Finding, Place, listed, ok, problem, warning, write_error
from editflow.tasks.sources.packaged_data import CORPUS, MODEL, Packaged, cache


def cache_folder(_place: Place) -> Iterator[Finding]:
    """Whether the cache is writable, and the files that broken downloads have left in it."""
    if reason := write_error(cache()):
        remedy = "make the folder writable, or choose another one with EDITFLOW_CACHE"
        yield problem("cache", f"{cache()} is not writable: {reason}", remedy)
        return
    places = (MODEL.path.parent, CORPUS.path.parent, cache() / "converted")
    unfinished = [folder for place in places if place.is_dir() for folder in place.glob("tmp*") if folder.is_dir()]
    if unfinished:
        size = sum(path.stat().st_size for folder in unfinished for path in folder.rglob("*") if path.is_file())
        found = f"{len(unfinished)} unfinished downloads or conversions, {decimal(size)}, such as {unfinished[0]}"
        yield warning("cache", found, "delete these folders unless `editflow fetch` is running now")
    else:
        yield ok("cache", str(cache()))


def temporary(_place: Place) -> Iterator[Finding]:
    """Temporary folders of killed processes."""
    from editflow.flows.console.leftover_folders import left_behind

    folders = left_behind()
    if folders:
        size = decimal(sum(folder.bytes for folder in folders))
        found = f"{len(folders)} folders of killed processes, {size}: {listed([str(each.path) for each in folders])}"
        yield warning("temporary", found, "`editflow gc --delete` removes them")
    else:
        yield ok("temporary", "no folders of killed processes")


def corpus(_place: Place) -> Iterator[Finding]:
    """Whether the default corpus is in the cache and complete."""
    yield _packaged("corpus", CORPUS)


def model(_place: Place) -> Iterator[Finding]:
    """Whether the default model is in the cache, complete and converted."""
    from editflow.tasks.models.model_source import converted_folder

    found = _packaged("model", MODEL)
    if found.verdict != "ok":
        yield found
        return
    folder = converted_folder(MODEL.path)
    if not folder.is_dir():
        yield warning(
            "model", f"{MODEL.name} is fetched but not converted", "`editflow fetch` converts it in half a minute"
        )
    elif fault := _model_fault(folder):
        yield problem("model", f"the converted {MODEL.name} {fault}", f"delete {folder}, then `editflow fetch`")
    else:
        yield found


def _packaged(check: str, item: Packaged) -> Finding:
    if not item.path.exists():
        # Not a problem: a spec may name another model and corpus.
        return warning(
            check,
            f"the default {check} {item.name} is not in the cache ({item.path.parent})",
            "`editflow fetch` downloads it",
        )
    if not item.is_whole():
        return problem(check, f"{item.path} is truncated or damaged", "`editflow fetch` downloads it again")
    return ok(check, f"{item.name} in {item.path.parent}")


def _model_fault(folder: Path) -> str:
    """What is missing or damaged in a model's folder; empty if nothing is. Reads only the headers of the files."""
    from safetensors import SafetensorError, safe_open

    weights = sorted(folder.glob("*.safetensors"))
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    if missing or not weights:
        return f"has no {' and no '.join(missing) or 'weights'}"
    for path in weights:
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            return f"has a damaged file {path.name} ({error})"
    return ""
