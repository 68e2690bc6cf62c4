"""Export a run to a bundle: the files that it read, after a check that they have not changed."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from editflow.flows.console.errors import UsageError
from editflow.flows.pipeline.facts import load_facts, split_batches
from editflow.flows.reproduction.recorded_runs import check_corpus, pinned_hub_corpus
from editflow.flows.spec.consent import source_downloads
from editflow.flows.spec.recorded_spec import (
    CORPUS_SOURCE,
    MODEL_SOURCE,
    input_sources,
    replace_sources,
    set_key,
    spec_with_local_inputs,
)
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.address import Address, redact_text
from editflow.storage.artifacts.manifest import Manifest
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import UnknownArtifact
from editflow.storage.records.runs import RunRecord
from editflow.tasks.errors import ArtifactGone
from editflow.tasks.report.report_page import toml
from editflow.tasks.reproduction.run_bundle import MAX_PART_BYTES, InputFile, RunBundle
from editflow.tasks.sources.corpus import corpus_path
from editflow.tasks.sources.packaged_data import CORPUS
from editflow.tasks.sources.records import read_records
from editflow.tasks.stages.requests import requests_table

MAX_CORPUS_BYTES = 64 * 2**20
"""A larger corpus is not exported."""


def export_bundle(lake: Lake, record: RunRecord) -> RunBundle:
    """The bundle of a run. Raises UsageError if the run cannot be repeated, or if its files have changed since.

    Cost: reads its files and the manifest of every artifact; loads and computes nothing.
    """
    spec = spec_with_local_inputs(record)
    try:
        manifests = tuple(lake.manifest(use.artifact) for use in record.uses)
    except UnknownArtifact as error:
        raise ArtifactGone(record.run_id, str(error)) from None
    bundle = RunBundle(record, manifests, {})
    _check_facts(bundle, spec)
    check_corpus(bundle, spec, "restore the file")
    inputs = {key: _read_input(key, source) for key, source in _exported_sources(spec).items()}
    files = {key: f"inputs/{key}/{file.name}" for key, file in inputs.items()}
    portable = replace_sources(spec, {**files, **pinned_hub_corpus(bundle)})
    return RunBundle(
        _without_secrets(record, spec),
        tuple(map(_without_secrets_about, manifests)),
        inputs,
        toml(portable.model_dump(mode="json")),
    )


def export_downloads(record: RunRecord) -> list[str]:
    """Descriptions of the downloads that exporting a run needs. Makes no request. Raises UsageError."""
    return source_downloads(_exported_sources(spec_with_local_inputs(record)))


def _exported_sources(spec: RunSpec) -> dict[str, str]:
    """The sources of a spec without a corpus that is available elsewhere or too large."""
    sources = input_sources(spec)
    corpus = sources[CORPUS_SOURCE]
    if corpus.startswith("hub:") or corpus == CORPUS.name or corpus_path(corpus).stat().st_size > MAX_CORPUS_BYTES:
        del sources[CORPUS_SOURCE]
    return sources


def _without_secrets(record: RunRecord, spec: RunSpec) -> RunRecord:
    """The record without the secrets of addresses, which earlier versions stored."""
    raw = deepcopy(dict(record.spec))
    for key, source in {MODEL_SOURCE: spec.model.source, **input_sources(spec)}.items():
        set_key(raw, key, str(Address(source)))
    return replace(record, spec=raw, message=redact_text(record.message))


def _without_secrets_about(made: Manifest) -> Manifest:
    about = {key: redact_text(value) if isinstance(value, str) else value for key, value in made.about.items()}
    return replace(made, about=about)


def _check_facts(bundle: RunBundle, spec: RunSpec) -> None:
    """The request file must still give the facts of the run."""
    requests = spec.requests
    batches = split_batches(load_facts(requests), spec.edit.batch_size, requests)
    facts = [fact for _, batch in batches for fact in batch]
    if bundle.find(requests_table(facts, requests.source).id) is None:
        raise UsageError(f"{requests.source} no longer holds the facts of run {bundle.record.run_id}: restore the file")


def _read_input(key: str, source: str) -> InputFile:
    """A local file unchanged; a URL or data set of the hub as JSON lines, one record each."""
    path = Path(source).expanduser()
    if path.is_file():
        if path.stat().st_size > MAX_PART_BYTES:
            raise UsageError(
                f"{key} {source} has more than {MAX_PART_BYTES // 2**20} MiB, too many to export: cut it to the facts"
            )
        # Readers choose the format by the suffix; the rest becomes a plain name.
        name = re.sub(r"[^\w.-]+", "-", path.name)[-80:].lstrip(".")
        return InputFile(name or "file", path.read_bytes())
    split = {"split": "validation"} if key.startswith("ability") else {}
    lines = [json.dumps(record, ensure_ascii=False) for _, record in read_records(source, **split)]
    return InputFile("records.jsonl", "".join(f"{line}\n" for line in lines).encode())
