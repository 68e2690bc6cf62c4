"""What a stranger's run may use on this machine: its cores, a local model, and downloads that the user agreed to."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import print_line
from editflow.flows.spec.run_spec import RunSpec
from editflow.tasks.console.terminal import quoted
from editflow.tasks.models.model_download import complete_folder, is_remote, local_path
from editflow.tasks.reproduction.run_bundle import RunBundle
from editflow.tasks.sources.corpus import hub_parts
from editflow.tasks.sources.packaged_data import MODEL
from editflow.tasks.sources.remote_files import needs_network, sender

_NAME = re.compile(r"[\w-][\w.-]{0,99}(/[\w-][\w.-]{0,99})?")
_PART = re.compile(r"[\w.-]{0,100}")


def name_threads(had: object, used: int | None) -> None:
    """Print where fewer threads are used than a record names, because this machine has fewer cores."""
    if isinstance(had, int) and used is not None and had > used:
        print_line(
            f"  [yellow]threads:[/] the run had {quoted(had)}, this machine has cores for {used}, which are used"
        )


def downloads(bundle: RunBundle, spec: RunSpec, model: str | None, corpus: str | None) -> list[str]:
    """What the pack would have downloaded, in words; what was named here (`model`, `corpus`) is agreed to.

    Raises UsageError for a name that the hub does not allow.
    """
    found = []
    if model is None and is_remote(spec.model.source):
        found.append(f"model {spec.model.source}{_size(bundle)} from the hub")
    if corpus is None and spec.corpus.source.startswith("hub:"):
        name, config, revision = hub_parts(spec.corpus.source)
        if not _NAME.fullmatch(name) or not _PART.fullmatch(config) or not _PART.fullmatch(revision):
            raise UsageError(
                f"corpus {spec.corpus.source!r} of the packed run is no data set of the hub: give --corpus"
            )
        found.append(f"documents of {spec.corpus.source} from the hub")
    return found


def fetched(spec: RunSpec, sources: Mapping[str, str]) -> list[str]:
    """What a recorded run would have downloaded, in words, with the hosts and the variables that they get."""
    model = spec.model.source
    return [*([f"model {model} from the hub"] if is_remote(model) else []), *elsewhere(sources)]


def elsewhere(sources: Mapping[str, str]) -> list[str]:
    """The same of what is not the model."""
    return [f"{key} {source} from {sender(source)}" for key, source in sources.items() if needs_network(source)]


def settled(spec: RunSpec, model: str | None) -> RunSpec:
    """The spec with a hub model that is whole in the hub's cache as that folder, so that the hub is not asked."""
    source = spec.model.source
    if model is not None or source == MODEL.name or local_path(source).exists():
        return spec
    folder = complete_folder(source)
    if folder is None:
        return spec
    return spec.model_copy(update={"model": spec.model.model_copy(update={"source": str(folder)})})


def require_agreement(wanted: Sequence[str], agreed: bool, packed: bool = True) -> None:
    """Raise UsageError for downloads without consent."""
    if wanted and not agreed:
        other = ", or name what is here with --model and --corpus" if packed else ""
        raise UsageError(f"the recorded run asks for {' and for '.join(wanted)}: allow it with --download{other}")


def agreement(wanted: Sequence[str]) -> bool:
    """Whether the user agrees to downloads: asked on a terminal; elsewhere there is no user to ask."""
    if not wanted or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return not wanted
    print_line(f"the recorded run asks for {quoted(' and for '.join(wanted))}.")
    print_line("Download it? \\[y/N]")
    return sys.stdin.readline(100).strip().lower() in {"y", "yes"}


def name_sources(spec: RunSpec, model: str | None, corpus: str | None, packed: bool) -> None:
    """Say which places of this machine are read because the pack names them."""
    place = spec.model.source
    if model is None and place != MODEL.name and local_path(place).exists():
        print_line(
            f"  model: {quoted(local_path(place).absolute())}, as the packed run names it; --model names another"
        )
    if corpus is None and not packed and Path(spec.corpus.source).is_file():
        print_line(f"  corpus: {quoted(spec.corpus.source)}, as the packed run names it; --corpus names another")


def _size(bundle: RunBundle) -> str:
    """How large the model is, by what was recorded of it."""
    pinned = bundle.of_kind("model")
    parameters = pinned.about.get("parameters") if pinned is not None else None
    if not isinstance(parameters, int) or not 0 < parameters < 10**14:
        return ""
    width = {"float64": 8, "float32": 4}.get(str(pinned.about.get("dtype")) if pinned else "", 2)
    return f" (about {parameters * width / 1e6:,.0f} MB)"
