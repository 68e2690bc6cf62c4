"""What a run from elsewhere may use on this machine: its cores, local files, and downloads that the user allows."""

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
from editflow.tasks.sources.remote_files import needs_network, receiving_host

_NAME = re.compile(r"[\w-][\w.-]{0,99}(/[\w-][\w.-]{0,99})?")
_PART = re.compile(r"[\w.-]{0,100}")


def report_threads(recorded: object, used: int | None) -> None:
    """Print that fewer threads are used than the record names, if this machine has fewer cores."""
    if isinstance(recorded, int) and used is not None and recorded > used:
        print_line(
            f"  [yellow]threads:[/] the run used {quoted(recorded)}; this machine has cores for {used}, which are used"
        )


def downloads(bundle: RunBundle, spec: RunSpec, model: str | None, corpus: str | None) -> list[str]:
    """The downloads that a bundle asks for, in words, without those that `model` or `corpus` replace.

    Raises UsageError for a name that the hub does not allow.
    """
    found = []
    if model is None and is_remote(spec.model.source):
        found.append(f"model {spec.model.source}{_size(bundle)} from the hub")
    if corpus is None and spec.corpus.source.startswith("hub:"):
        name, config, revision = hub_parts(spec.corpus.source)
        if not _NAME.fullmatch(name) or not _PART.fullmatch(config) or not _PART.fullmatch(revision):
            raise UsageError(f"corpus {spec.corpus.source!r} of the bundle is not a data set of the hub: give --corpus")
        found.append(f"documents of {spec.corpus.source} from the hub")
    return found


def recorded_downloads(spec: RunSpec, sources: Mapping[str, str]) -> list[str]:
    """The downloads that a recorded run asks for, in words, with hosts and the variables that are sent to them."""
    model = spec.model.source
    return [*([f"model {model} from the hub"] if is_remote(model) else []), *source_downloads(sources)]


def source_downloads(sources: Mapping[str, str]) -> list[str]:
    """The downloads of sources other than the model, as for `recorded_downloads`."""
    return [f"{key} {source} from {receiving_host(source)}" for key, source in sources.items() if needs_network(source)]


def with_cached_model(spec: RunSpec, model: str | None) -> RunSpec:
    """The spec with a hub model replaced by its folder in the hub's cache if that is complete; no request is sent."""
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
        other = ", or name local ones with --model and --corpus" if packed else ""
        raise UsageError(f"the recorded run asks for {' and for '.join(wanted)}: allow it with --download{other}")


def ask_agreement(wanted: Sequence[str]) -> bool:
    """Whether the user agrees to downloads; without a terminal no question is asked, and the answer is no."""
    if not wanted or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return not wanted
    print_line(f"the recorded run asks for {quoted(' and for '.join(wanted))}.")
    print_line("Download it? \\[y/N]")
    return sys.stdin.readline(100).strip().lower() in {"y", "yes"}


def report_sources(spec: RunSpec, model: str | None, corpus: str | None, packed: bool) -> None:
    """Print the local paths that are read because the bundle names them."""
    place = spec.model.source
    if model is None and place != MODEL.name and local_path(place).exists():
        print_line(f"  model: {quoted(local_path(place).absolute())}, as recorded in the bundle; --model replaces it")
    if corpus is None and not packed and Path(spec.corpus.source).is_file():
        print_line(f"  corpus: {quoted(spec.corpus.source)}, as recorded in the bundle; --corpus replaces it")


def _size(bundle: RunBundle) -> str:
    """The recorded size of the model, in words; empty if it is not known."""
    pinned = bundle.of_kind("model")
    parameters = pinned.about.get("parameters") if pinned is not None else None
    if not isinstance(parameters, int) or not 0 < parameters < 10**14:
        return ""
    width = {"float64": 8, "float32": 4}.get(str(pinned.about.get("dtype")) if pinned else "", 2)
    return f" (about {parameters * width / 1e6:,.0f} MB)"
