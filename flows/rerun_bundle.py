"""Exports a run to one file and repeats it from there: the files that it read, and where its spec finds them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import flow

from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import lake_folder, report_stage
from editflow.flows.edit_model import edit_with_retry
from editflow.flows.orchestration.crashed_runs import label_process
from editflow.flows.pipeline.facts import load_facts, split_batches
from editflow.flows.pipeline.fresh_lake import fresh_lake
from editflow.flows.pipeline.tracked_run import run_tracked
from editflow.flows.rerun import keep, sources, spec_here, spec_of, threads_had
from editflow.flows.spec.consent import (
    downloads,
    report_sources,
    report_threads,
    require_agreement,
    source_downloads,
    with_cached_model,
)
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.spec_validation import check_spec
from editflow.storage.address import Address, cut_inside
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import UnknownArtifact
from editflow.storage.records.renamed_keys import with_new_names
from editflow.storage.records.runs import RunRecord
from editflow.tasks.errors import ArtifactGone
from editflow.tasks.models.model_identity import identify
from editflow.tasks.report.page import toml
from editflow.tasks.reproduction.reproduction import Repetition, compared
from editflow.tasks.reproduction.run_bundle import LARGEST, Input, RunBundle, read_bundle
from editflow.tasks.sources.corpus import corpus_path, describe_corpus
from editflow.tasks.sources.packaged_data import CORPUS
from editflow.tasks.sources.records import read_records
from editflow.tasks.stages.requests import requests_table
from editflow.tasks.temporary_folders import temporary

SMALL = 64 * 2**20
"""Bytes of a corpus that is still packed."""


def export_bundle(lake: Lake, record: RunRecord) -> RunBundle:
    """A run to be packed. Raises UsageError for one that cannot be repeated, or whose files are not those it read.

    Cost: reading its files, and a manifest an artifact; nothing is loaded or computed.
    """
    spec = spec_here(record)
    try:
        manifests = tuple(lake.manifest(use.artifact) for use in record.uses)
    except UnknownArtifact as error:
        raise ArtifactGone(record.run_id, str(error)) from None
    found = RunBundle(record, manifests, {})
    _check_facts(found, spec)
    _check_corpus(found, spec)
    inputs = {key: _input(key, source) for key, source in sources(spec).items() if _is_packed(key, source)}
    files = {key: f"inputs/{key}/{one.name}" for key, one in inputs.items()}
    sent = tuple(replace(made, about=_without_secrets(made.about)) for made in manifests)
    return RunBundle(_shown(record, spec), sent, inputs, toml(find_inputs(found, spec, files).model_dump(mode="json")))


def _shown(record: RunRecord, spec: RunSpec) -> RunRecord:
    """The record as it may be sent: earlier versions kept the secrets of addresses."""
    raw = deepcopy(dict(record.spec))
    for key, source in {"model.source": spec.model.source, **sources(spec)}.items():
        *sections, last = key.split(".")
        here = raw
        for section in sections:
            here = here.setdefault(section, {})
        here[last] = str(Address(source))
    return replace(record, spec=raw, message=cut_inside(record.message))


def _without_secrets(about: Mapping[str, Any]) -> dict[str, Any]:
    return {key: cut_inside(value) if isinstance(value, str) else value for key, value in about.items()}


def find_inputs(bundle: RunBundle, spec: RunSpec, files: Mapping[str, str]) -> RunSpec:
    """The spec with the files of a pack where they lie now, and a corpus on the hub at the commit that was read."""
    raw = spec.model_dump(mode="json")
    for key, file in files.items():
        *sections, last = key.split(".")
        here: dict[str, Any] = raw
        for section in sections:
            here = here[section]
        here[last] = file
    pinned = _corpus(bundle)
    if "hub" in pinned:
        config = f":{pinned['config']}" if pinned.get("config") else ""
        raw["corpus"]["source"] = f"hub:{pinned['hub']}{config}@{pinned.get('revision', '')}"
    return RunSpec.model_validate(raw)


def to_fetch(record: RunRecord) -> list[str]:
    """What packing a run would download, in words; nothing is asked for. Raises UsageError."""
    given = sources(spec_here(record))
    return source_downloads({key: source for key, source in given.items() if _is_packed(key, source)})


def to_download(bundle: RunBundle, *, model: str | None, corpus: str | None) -> list[str]:
    """What repeating a packed run would download, in words; nothing is laid out or asked for. Raises UsageError."""
    spec = _checked_spec(bundle, None)
    return downloads(bundle, _placed(bundle, spec, {}, model, corpus), model, corpus)


def _checked_spec(bundle: RunBundle, threads: int | None) -> RunSpec:
    """The spec of the pack's run, under the checks that a spec file has."""
    spec = spec_of(bundle.record, threads)
    check_spec(with_new_names(bundle.record.spec), f"run {bundle.record.run_id}")
    return spec


def _placed(
    bundle: RunBundle, spec: RunSpec, files: Mapping[str, str], model: str | None, corpus: str | None
) -> RunSpec:
    """The spec with everything where it is here."""
    spec = find_inputs(bundle, spec, files)
    if corpus is not None:
        spec = spec.model_copy(update={"corpus": spec.corpus.model_copy(update={"source": corpus})})
    if model is not None:
        spec = spec.model_copy(update={"model": spec.model.model_copy(update={"source": model})})
    return spec


def open_bundle(
    bundle: RunBundle,
    folder: Path,
    *,
    model: str | None,
    corpus: str | None,
    threads: int | None,
    download: bool = False,
) -> RunSpec:
    """The spec of a packed run, its files laid into a folder. Raises UsageError for what is neither there nor given.

    Nothing of the machine it runs on is read but what is packed, the model, and a corpus of the very digest; nothing
    that the pack names is downloaded without `download`.
    """
    spec = _checked_spec(bundle, threads)
    if threads is None:
        report_threads(threads_had(bundle.record), spec.threads)
    wanted = sources(spec)
    if lacking := sorted(key for key in wanted if key not in bundle.inputs and key != "corpus.source"):
        raise UsageError(
            f"run {bundle.record.run_id} reads {lacking[0]}, which is not packed with it: pack the run again"
        )
    files = {}
    for key, found in bundle.inputs.items():
        if key not in wanted:
            raise UsageError(
                f"run {bundle.record.run_id} is packed with {key}, which it does not read: pack the run again"
            )
        place = folder / key / found.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(found.data)
        files[key] = str(place)
    spec = _placed(bundle, spec, files, model, corpus)
    require_agreement(downloads(bundle, spec, model, corpus), download)
    spec = with_cached_model(spec, model)
    report_sources(spec, model, corpus, "corpus.source" in bundle.inputs)
    if "corpus.source" not in bundle.inputs:
        _check_corpus(bundle, spec, "give the run's with --corpus")
    return spec


@flow(name="rerun-packed", flow_run_name="{file}", validate_parameters=False, on_running=[label_process])
def rerun_bundle(
    file: str,
    into: str | None = None,
    threads: int | None = None,
    model: str | None = None,
    corpus: str | None = None,
    download: bool = False,
) -> Repetition:
    """Repeat a packed run and compare by its digests; the outcome is kept in the fresh lake.

    `into` is that lake, a temporary one unless given; `model` and `corpus` say where they are where the run's own
    places are not here; `download` that what the pack names may be fetched. Raises BadPack, and UsageError for another
    model or corpus than the run's.
    """
    bundle = read_bundle(Path(file))
    here = {"model": model, "corpus": corpus, "threads": threads, "download": download}
    if into is not None:
        return _repeated(bundle, Path(lake_folder(into, "into")), here)
    with temporary("rerun") as folder:
        return _repeated(bundle, folder / "lake", here)


def _repeated(bundle: RunBundle, folder: Path, here: Mapping[str, Any]) -> Repetition:
    require_agreement(to_download(bundle, model=here["model"], corpus=here["corpus"]), bool(here["download"]))
    with fresh_lake(folder, bundle.record, spec_of(bundle.record, here["threads"])) as fresh:
        spec = open_bundle(bundle, folder / "inputs", **here)
        _check_model(bundle, spec, fresh)
        again = run_tracked(spec, fresh, None, report_stage, edit_with_retry)
        found = compared(bundle, bundle.record, fresh, again)
        keep(fresh, found, again.started_at)
    return found


def _check_model(bundle: RunBundle, spec: RunSpec, fresh: Lake) -> None:
    """Another model would only be found out after all the work."""
    wanted, given = bundle.of_kind("model"), spec.model
    ref, _ = identify(fresh, given.source, given.dtype, given.device, None, fresh.find)
    if wanted is None or wanted.spec != fresh.manifest(ref.id).spec:
        then = "none" if wanted is None else wanted.id[:12]
        raise UsageError(
            f"model {given.source} ({ref.id[:12]}) is not the one of run {bundle.record.run_id} ({then}): "
            "give that one with --model"
        )


def _check_facts(bundle: RunBundle, spec: RunSpec) -> None:
    """The file of requests must still give the facts that the run had."""
    wanted = spec.requests
    facts = [fact for _, batch in split_batches(load_facts(wanted), spec.edit.batch_size, wanted) for fact in batch]
    if bundle.find(requests_table(facts, wanted.source).id) is None:
        raise UsageError(
            f"{wanted.source} does not hold the facts of run {bundle.record.run_id} any more: restore the file"
        )


def _corpus(bundle: RunBundle) -> Mapping[str, Any]:
    """What pins the corpus that the run has sampled; nothing where the pack does not say."""
    documents = bundle.of_kind("documents")
    found = documents.spec.get("corpus") if documents is not None else None
    return found if isinstance(found, Mapping) else {}


def _check_corpus(bundle: RunBundle, spec: RunSpec, remedy: str = "restore the file") -> None:
    pinned = _corpus(bundle)
    on_hub = spec.corpus.source.startswith("hub:")  # which is not asked: a commit holds what it held
    if on_hub != ("hub" in pinned) or (not on_hub and describe_corpus(spec.corpus.source) != pinned):
        raise UsageError(f"corpus {spec.corpus.source} is not what run {bundle.record.run_id} has read: {remedy}")


def _is_packed(key: str, source: str) -> bool:
    """All but a corpus that can be had elsewhere or is too large."""
    if key != "corpus.source":
        return True
    elsewhere = source.startswith("hub:") or source == CORPUS.name
    return not elsewhere and corpus_path(source).stat().st_size <= SMALL


def _input(key: str, source: str) -> Input:
    """A local file as it is; what comes from a URL or the hub as lines of JSON, a record each."""
    path = Path(source).expanduser()
    if path.is_file():
        if path.stat().st_size > LARGEST:
            raise UsageError(
                f"{key} {source} has more than {LARGEST // 2**20} MiB, too many to pack: cut it to the facts"
            )
        # The suffix gives the format; the rest is a plain name.
        name = re.sub(r"[^\w.-]+", "-", path.name)[-80:].lstrip(".")
        return Input(name or "file", path.read_bytes())
    split = {"split": "validation"} if key.startswith("ability") else {}
    lines = [json.dumps(record, ensure_ascii=False) for _, record in read_records(source, **split)]
    return Input("records.jsonl", "".join(f"{line}\n" for line in lines).encode())
