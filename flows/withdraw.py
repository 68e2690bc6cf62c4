"""The flow that repeats runs without a given fact or document."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow

from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import lake_folder, report_stage
from editflow.flows.edit_model import edit_with_retry
from editflow.flows.orchestration.crashed_runs import label_process
from editflow.flows.pipeline.tracked_run import run_tracked
from editflow.flows.rerun import repeatable, sources, spec_here
from editflow.flows.spec.consent import recorded_downloads, require_agreement
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import RunRecord
from editflow.tasks.lineage.impact import Dependants, Source, dependants, source_of


def affected(found: Dependants) -> list[RunRecord]:
    """The run behind each name whose model was made from a source, if it can be repeated."""
    there = [record for record in found.runs if record.name in found.names and repeatable(record)]
    return list({record.name: record for record in sorted(there, key=lambda r: r.started_at)}.values())


def without(record: RunRecord, source: Source) -> RunSpec:
    """The spec of a run, less what a source is. Raises UsageError for what is computed and never given."""
    if not (source.facts or source.documents):
        raise UsageError(
            f"{source.what} {source.name[:12]} is computed from others: withdraw a fact or a document that it is made "
            f"from, which `editflow lineage {source.name[:12]}` leads to"
        )
    spec = spec_here(record)
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
    return list(dict.fromkeys(what for spec in specs for what in recorded_downloads(spec, sources(spec))))


@flow(name="withdraw", flow_run_name="without {what}", validate_parameters=False, on_running=[label_process])
def withdraw(what: str, lake: str | None = None, download: bool = False) -> Sequence[RunRecord]:
    """Repeat the latest run of each name that depends on a fact or document, without it; the new records.

    What does not depend on it is reused. The old artifacts stay, and so do releases: to move one back is `rollback`.
    What records name elsewhere is fetched only with `download`.
    """
    place = Lake.open(lake_folder(lake), create=False)
    found = dependants(place, source_of(place, what))
    specs = [(without(record, found.source), record.spec_path) for record in affected(found)]
    require_agreement(to_fetch([spec for spec, _ in specs]), download, packed=False)
    return [run_tracked(spec, place, path, report_stage, edit_with_retry) for spec, path in specs]
