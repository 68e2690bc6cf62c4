"""A run as OpenLineage events: https://openlineage.io, version 2-0-2 of its specification.

The run and each stage have two events, made from the run's record and its manifests. An artifact is a dataset named
after its id, so runs and lakes with the same recipe share one dataset; its version is the digest of its content. A
reused artifact has the events of its stage too, with a note, so the graph of a run that computed nothing is complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from editflow.storage.artifacts.identity import parent_pairs
from editflow.storage.artifacts.kinds import kind, kinds
from editflow.storage.artifacts.manifest import Manifest
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import UnknownArtifact
from editflow.storage.records.runs import RunRecord, Use
from editflow.tasks.errors import ArtifactGone

NAMESPACE = "editflow"
SPEC = "https://openlineage.io/spec"
ENDS = {"completed": "COMPLETE", "failed": "FAIL", "interrupted": "ABORT", "died": "ABORT"}
"""The last event of a run by its status; a running run has none."""
OUTSIDE = {"model": "folder", "documents": "source", "requests": "source"}
"""The field of a manifest's `about` that names the external source, by kind."""

Json = dict[str, Any]
"""A JSON object of the specification."""


def events(lake: Lake, record: RunRecord) -> list[Json]:
    """All events of a run, by time. Cost: one manifest per artifact. Raises ArtifactGone for a missing artifact."""
    try:
        made = {use.artifact: lake.manifest(use.artifact) for use in record.uses}
    except UnknownArtifact as error:
        raise ArtifactGone(record.run_id, str(error)) from None
    stages = (event for use in record.uses for event in _stage_events(record, use, made[use.artifact]))
    return sorted([*_run_events(record, made), *stages], key=lambda event: datetime.fromisoformat(event["eventTime"]))


def lines(found: Sequence[Json]) -> bytes:
    """The events as JSON, one per line."""
    return "".join(f"{json.dumps(event, ensure_ascii=False, sort_keys=True)}\n" for event in found).encode()


def _run_events(record: RunRecord, made: Mapping[str, Manifest]) -> Iterator[Json]:
    """Start and end of the run itself. Its inputs are the external sources; its output is the edited model."""
    job = _job(record.name, "JOB")
    engine = _facet("ProcessingEngineRunFacet", "1-1-1", version=version("editflow"), name="editflow")
    run: Json = {"runId": _uuid(record), "facets": {"processing_engine": engine}}
    start = record.started_at
    external = (dataset for manifest in made.values() for dataset in _external_sources(manifest))
    inputs = list({dataset["name"]: dataset for dataset in external}.values())
    yield _event("START", start, run, job, inputs, [])
    if record.status not in ENDS:
        return
    if record.status == "failed":
        error = _facet("ErrorMessageRunFacet", "1-0-1", message=record.message, programmingLanguage="Python")
        run = {**run, "facets": {**run["facets"], "errorMessage": error}}
    outputs = [_output(manifest) for id_, manifest in made.items() if id_ == record.state]
    yield _event(ENDS[record.status], record.finished_at or start, run, job, inputs, outputs)


def _stage_events(record: RunRecord, use: Use, made: Manifest) -> Iterator[Json]:
    """Start and end of a stage, with the run and time that made its artifact; a reused one ends when the run begins."""
    start = datetime.fromisoformat(record.started_at)
    end = max(start, datetime.fromisoformat(made.created_at)) if use.how == "created" else start
    begin = max(start, end - timedelta(seconds=use.seconds))
    parent = {"run": {"runId": _uuid(record)}, "job": {"namespace": NAMESPACE, "name": record.name}}
    ours = {"how": use.how, "stage": use.stage, "madeBy": made.created_by, "madeAt": made.created_at,
            "seconds": made.seconds, "environment": dict(made.environment)}  # fmt: skip
    facets = {"parent": _facet("ParentRunFacet", "1-2-0", **parent), "editflow_use": _custom_facet("RunFacet", ours)}
    run = {"runId": _uuid(record, use.artifact), "facets": facets}
    job = _job(f"{record.name}.{use.stage}", "TASK")
    inputs = [
        *_external_sources(made),
        *(_dataset(id_) for id_ in dict.fromkeys(i for _, i in parent_pairs(made.parents))),
    ]
    yield _event("START", begin.isoformat(timespec="milliseconds"), run, job, inputs, [])
    yield _event("COMPLETE", end.isoformat(timespec="milliseconds"), run, job, inputs, [_output(made)])


def _event(what: str, at: str, run: Json, job: Json, inputs: list[Json], outputs: list[Json]) -> Json:
    return {
        "eventType": what, "eventTime": at, "run": run, "job": job, "inputs": inputs, "outputs": outputs,
        "producer": _producer(), "schemaURL": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }  # fmt: skip


def _job(name: str, what: str) -> Json:
    about = _facet("JobTypeJobFacet", "2-0-4", processingType="BATCH", integration="EDITFLOW", jobType=what)
    return {"namespace": NAMESPACE, "name": name, "facets": {"jobType": about}}


def _dataset(artifact: str) -> Json:
    return {"namespace": NAMESPACE, "name": artifact}


def _output(made: Manifest) -> Json:
    """The artifact with its columns, its digest as version, its size, and its recipe."""
    known = made.kind in {registered.name for registered in kinds()}
    fields = [{"name": f.name, "type": str(f.type)} for f in kind(made.kind).schema] if known else []
    recipe = {"kind": made.kind, "version": made.version, "spec": dict(made.spec), "parents": dict(made.parents)}
    facets = {
        "version": _facet("DatasetVersionDatasetFacet", "1-0-1", datasetVersion=made.digest),
        "schema": _facet("SchemaDatasetFacet", "1-2-0", fields=fields),
        "editflow_recipe": _custom_facet("DatasetFacet", recipe),
    }
    size = _facet("OutputStatisticsOutputDatasetFacet", "1-0-2", rowCount=made.rows, size=made.bytes)
    return {**_dataset(made.id), "facets": facets, "outputFacets": {"outputStatistics": size}}


def _external_sources(made: Manifest) -> list[Json]:
    """The recorded file, folder or name on the hub that an artifact was read from, if there is one."""
    source = made.about.get(OUTSIDE.get(made.kind, ""))
    if not isinstance(source, str) or not source:
        return []
    hub = source.startswith("hub:")
    return [{"namespace": "hub" if hub else "file", "name": source.removeprefix("hub:")}]


def _facet(facet: str, number: str, /, **content: Any) -> Json:
    """A facet of the specification."""
    return {"_producer": _producer(), "_schemaURL": f"{SPEC}/facets/{number}/{facet}.json#/$defs/{facet}", **content}


def _custom_facet(base: str, content: Json) -> Json:
    """An EditFlow facet, without a schema."""
    return {"_producer": _producer(), "_schemaURL": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/{base}", **content}


def _producer() -> str:
    return f"urn:editflow:{version('editflow')}"


def _uuid(record: RunRecord, artifact: str = "") -> str:
    """A UUID of a run and artifact, always the same, so that events sent twice are counted once."""
    return str(uuid5(NAMESPACE_URL, f"editflow:{record.run_id}:{artifact}"))
