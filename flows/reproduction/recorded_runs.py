"""Recorded runs to repeat: from a lake, or from a bundle with its own input files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from editflow.flows.console.errors import UsageError
from editflow.flows.spec.consent import (
    downloads,
    recorded_downloads,
    report_sources,
    report_threads,
    require_agreement,
    with_cached_model,
)
from editflow.flows.spec.recorded_spec import (
    CORPUS_SOURCE,
    MODEL_SOURCE,
    input_sources,
    recorded_spec,
    recorded_threads,
    replace_sources,
    spec_with_local_inputs,
)
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.spec_validation import check_spec
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.renamed_keys import with_new_names
from editflow.storage.records.runs import RunRecord
from editflow.tasks.models.model_identity import identify
from editflow.tasks.reproduction.run_bundle import RunBundle
from editflow.tasks.sources.corpus import describe_corpus


@dataclass(frozen=True)
class RerunOptions:
    """The user's choices for a repetition. None: as recorded."""

    threads: int | None = None
    model: str | None = None
    corpus: str | None = None
    download: bool = False
    """Whether sources on other hosts may be downloaded."""


@dataclass(frozen=True)
class LakeRun:
    """A run to repeat from its lake and the files that its spec names."""

    artifacts: Lake
    record: RunRecord

    def downloads(self, options: RerunOptions) -> list[str]:
        """Descriptions of the downloads that the repetition needs. Raises UsageError for a run that cannot be repeated.

        Makes no request.
        """
        spec = spec_with_local_inputs(self.record, options.threads)
        return recorded_downloads(spec, input_sources(spec))

    def spec(self, folder: Path, fresh: Lake, options: RerunOptions) -> RunSpec:
        """The spec to run."""
        del folder, fresh
        return recorded_spec(self.record, options.threads)


@dataclass(frozen=True)
class BundledRun:
    """A run to repeat from a bundle, whose author may be anyone.

    Reads only the bundle, the model, and a corpus with the recorded digest.
    """

    artifacts: RunBundle

    @property
    def record(self) -> RunRecord:
        """The record of the run."""
        return self.artifacts.record

    def downloads(self, options: RerunOptions) -> list[str]:
        """Descriptions of the downloads that the repetition needs. Raises UsageError for an invalid spec.

        Makes no request.
        """
        spec = recorded_spec(self.record, options.threads)
        check_spec(with_new_names(self.record.spec), f"run {self.record.run_id}")
        return downloads(self.artifacts, self._relocated(spec, {}, options), options.model, options.corpus)

    def spec(self, folder: Path, fresh: Lake, options: RerunOptions) -> RunSpec:
        """The spec to run, with its input files written into a folder. Raises UsageError also for a different model."""
        spec = self.with_inputs(folder, options)
        self._check_model(spec, fresh)
        return spec

    def with_inputs(self, folder: Path, options: RerunOptions) -> RunSpec:
        """The spec with its input files written into a folder.

        Raises UsageError if the bundle's inputs are not those of its spec, or if the corpus is a different one.
        """
        bundle, run = self.artifacts, self.record.run_id
        spec = recorded_spec(self.record, options.threads)
        wanted = input_sources(spec)
        if missing := sorted(wanted.keys() - bundle.inputs.keys() - {CORPUS_SOURCE}):
            raise UsageError(f"run {run} reads {missing[0]}, which is not in its bundle: export the run again")
        if extra := sorted(bundle.inputs.keys() - wanted.keys()):
            raise UsageError(f"the bundle of run {run} has {extra[0]}, which the run does not read: export it again")
        files = {}
        for key, file in bundle.inputs.items():
            path = folder / key / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
            files[key] = str(path)
        spec = with_cached_model(self._relocated(spec, files, options), options.model)
        report_sources(spec, options.model, options.corpus, CORPUS_SOURCE in files)
        if CORPUS_SOURCE not in files:
            check_corpus(bundle, spec, "give the run's corpus with --corpus")
        return spec

    def _relocated(self, spec: RunSpec, files: Mapping[str, str], options: RerunOptions) -> RunSpec:
        """The spec with the places of this machine."""
        given = {CORPUS_SOURCE: options.corpus, MODEL_SOURCE: options.model}
        named = {key: place for key, place in given.items() if place is not None}
        return replace_sources(spec, {**files, **pinned_hub_corpus(self.artifacts), **named})

    def _check_model(self, spec: RunSpec, fresh: Lake) -> None:
        """Refuse a different model now; its results would differ only after all the work."""
        recorded, given = self.artifacts.of_kind("model"), spec.model
        ref, _ = identify(fresh, given.source, given.dtype, given.device, None, fresh.find)
        if recorded is None or recorded.spec != fresh.manifest(ref.id).spec:
            id_ = "none" if recorded is None else recorded.id[:12]
            raise UsageError(
                f"model {given.source} ({ref.id[:12]}) is not the one of run {self.record.run_id} ({id_}): "
                "give that one with --model"
            )


def pinned_hub_corpus(bundle: RunBundle) -> dict[str, str]:
    """{corpus.source: the address of the corpus at the recorded commit} for a corpus from the hub, else {}."""
    pinned = bundle.corpus
    if "hub" not in pinned:
        return {}
    config = f":{pinned['config']}" if pinned.get("config") else ""
    return {CORPUS_SOURCE: f"hub:{pinned['hub']}{config}@{pinned.get('revision', '')}"}


def check_corpus(bundle: RunBundle, spec: RunSpec, remedy: str) -> None:
    """Raise UsageError if the corpus of the spec is not the recorded one. A commit on the hub is not checked."""
    source, pinned = spec.corpus.source, bundle.corpus
    on_hub = source.startswith("hub:")
    if on_hub != ("hub" in pinned) or (not on_hub and describe_corpus(source) != pinned):
        raise UsageError(f"corpus {source} is not what run {bundle.record.run_id} read: {remedy}")


def check_repetition(source: LakeRun | BundledRun, options: RerunOptions) -> None:
    """Check consent and settings before any work. Raises UsageError."""
    require_agreement(source.downloads(options), options.download, packed=isinstance(source, BundledRun))
    if options.threads is None:
        report_threads(recorded_threads(source.record), recorded_spec(source.record).threads)
