"""The flow that withdraws a fact or a document: it repeats the runs that depend on it, without it."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow

from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import lake_folder, report_stage
from editflow.flows.edit_model import edit_with_retry
from editflow.flows.orchestration.crashed_runs import label_process
from editflow.flows.pipeline.tracked_run import run_tracked
from editflow.flows.spec.consent import recorded_downloads, require_agreement
from editflow.flows.spec.recorded_spec import input_sources, repeatable, spec_with_local_inputs
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import RunRecord
from editflow.tasks.lineage.impact import Dependants, Source, dependants, source_of


def affected(found: Dependants) -> list[RunRecord]:
    """The latest repeatable run of each name whose model depends on a source."""
    repeated = [record for record in found.runs if record.name in found.names and repeatable(record)]
    return list({record.name: record for record in sorted(repeated, key=lambda r: r.started_at)}.values())


def without(record: RunRecord, source: Source) -> RunSpec:
    """The spec of a run without a source. Raises UsageError for a computed artifact."""
    if not (source.facts or source.documents):
        raise UsageError(
            f"{source.what} {source.name[:12]} is computed from others: withdraw one of its facts or documents "
            f"instead, which `editflow lineage {source.name[:12]}` lists"
        )
    spec = spec_with_local_inputs(record)
    requests, corpus = spec.requests, spec.corpus
    chosen = sorted({*requests.withdrawn, *source.facts})
    sampled = sorted({*corpus.withdrawn, *source.documents})
    update = {
        "requests": requests.model_copy(update={"withdrawn": chosen}),
        "corpus": corpus.model_copy(update={"withdrawn": sampled}),
    }
    return spec.model_copy(update=update)


def to_fetch(specs: Sequence[RunSpec]) -> list[str]:
    """What repeating these would download, in words."""
    return list(dict.fromkeys(what for spec in specs for what in recorded_downloads(spec, input_sources(spec))))


@flow(name="withdraw", flow_run_name="without {what}", validate_parameters=False, on_running=[label_process])
def withdraw(what: str, lake: str | None = None, download: bool = False) -> Sequence[RunRecord]:
    """Repeat the latest run of each name that depends on a fact or document, without it; return the new records.

    Artifacts that do not depend on it are reused. Old artifacts and releases stay; `rollback` moves a release back.
    Sources on other machines are downloaded only with `download`.
    """
    place = Lake.open(lake_folder(lake), create=False)
    found = dependants(place, source_of(place, what))
    specs = [(without(record, found.source), record.spec_path) for record in affected(found)]
    require_agreement(to_fetch([spec for spec, _ in specs]), download, packed=False)
    return [run_tracked(spec, place, path, report_stage, edit_with_retry) for spec, path in specs]
