"""A run as OpenLineage events: https://openlineage.io, version 2-0-2 of its specification.

Two events a stage and two around them all, from the run's record and the manifests of what it made or reused. An
artifact is a dataset named after its id, in a namespace of its own, so runs and lakes that share a recipe meet in one
dataset; its version is the digest of its content. What a run reused has its stage's events like everything else, and
says so: the graph of a run that computed nothing is whole.
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
"""The last event of a run by its status; one that is going on has none yet."""
OUTSIDE = {"model": "folder", "documents": "source", "requests": "source"}
"""Where a manifest says what in the world outside an artifact was read from."""

Json = dict[str, Any]
"""An event or a part of one, in the words of the specification: it ends as a line of JSON."""


def events(lake: Lake, record: RunRecord) -> list[Json]:
    """All events of a run, in the order of their time. Raises ArtifactGone for what the lake has lost.

    Cost: a manifest an artifact.
    """
    try:
        made = {use.artifact: lake.manifest(use.artifact) for use in record.uses}
    except UnknownArtifact as error:
        raise ArtifactGone(record.run_id, str(error)) from None
    whole = [
        *_pair(record, made),
        *(event for use in record.uses for event in _stage(record, use, made[use.artifact])),
    ]
    return sorted(whole, key=lambda event: datetime.fromisoformat(event["eventTime"]))


def lines(found: Sequence[Json]) -> bytes:
    """The events as JSON, one a line."""
    return "".join(f"{json.dumps(event, ensure_ascii=False, sort_keys=True)}\n" for event in found).encode()


def _pair(record: RunRecord, made: Mapping[str, Manifest]) -> Iterator[Json]:
    """Start and end of the run itself: in goes what is read from outside, out comes the edited model."""
    job = _job(record.name, "JOB")
    engine = _facet("ProcessingEngineRunFacet", "1-1-1", version=version("editflow"), name="editflow")
    run: Json = {"runId": _uuid(record), "facets": {"processing_engine": engine}}
    start = record.started_at
    outside = (one for manifest in made.values() for one in _outside(manifest))
    inputs = list({one["name"]: one for one in outside}.values())
    yield _event("START", start, run, job, inputs, [])
    if record.status not in ENDS:
        return
    if record.status == "failed":
        error = _facet("ErrorMessageRunFacet", "1-0-1", message=record.message, programmingLanguage="Python")
        run = {**run, "facets": {**run["facets"], "errorMessage": error}}
    outputs = [_output(manifest) for id_, manifest in made.items() if id_ == record.state]
    yield _event(ENDS[record.status], record.finished_at or start, run, job, inputs, outputs)


def _stage(record: RunRecord, use: Use, made: Manifest) -> Iterator[Json]:
    """Start and end of a stage; of one that was reused, at the moment when the run began, with who made it when."""
    start = datetime.fromisoformat(record.started_at)
    end = max(start, datetime.fromisoformat(made.created_at)) if use.how == "created" else start
    begin = max(start, end - timedelta(seconds=use.seconds))
    parent = {"run": {"runId": _uuid(record)}, "job": {"namespace": NAMESPACE, "name": record.name}}
    ours = {"how": use.how, "stage": use.stage, "madeBy": made.created_by, "madeAt": made.created_at,
            "seconds": made.seconds, "environment": dict(made.environment)}  # fmt: skip
    facets = {"parent": _facet("ParentRunFacet", "1-2-0", **parent), "editflow_use": _own("RunFacet", ours)}
    run = {"runId": _uuid(record, use.artifact), "facets": facets}
    job = _job(f"{record.name}.{use.stage}", "TASK")
    inputs = [*_outside(made), *(_dataset(id_) for id_ in dict.fromkeys(i for _, i in parent_pairs(made.parents)))]
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
    """The artifact with its columns, its digest as version, its size, and the recipe it has its id from."""
    known = made.kind in {registered.name for registered in kinds()}
    fields = [{"name": f.name, "type": str(f.type)} for f in kind(made.kind).schema] if known else []
    recipe = {"kind": made.kind, "version": made.version, "spec": dict(made.spec), "parents": dict(made.parents)}
    facets = {
        "version": _facet("DatasetVersionDatasetFacet", "1-0-1", datasetVersion=made.digest),
        "schema": _facet("SchemaDatasetFacet", "1-2-0", fields=fields),
        "editflow_recipe": _own("DatasetFacet", recipe),
    }
    size = _facet("OutputStatisticsOutputDatasetFacet", "1-0-2", rowCount=made.rows, size=made.bytes)
    return {**_dataset(made.id), "facets": facets, "outputFacets": {"outputStatistics": size}}


def _outside(made: Manifest) -> list[Json]:
    """The file or folder that an artifact was read from, or its name on the hub, where that was recorded."""
    source = made.about.get(OUTSIDE.get(made.kind, ""))
    if not isinstance(source, str) or not source:
        return []
    hub = source.startswith("hub:")
    return [{"namespace": "hub" if hub else "file", "name": source.removeprefix("hub:")}]


def _facet(facet: str, number: str, /, **content: Any) -> Json:
    """A facet of the specification."""
    return {"_producer": _producer(), "_schemaURL": f"{SPEC}/facets/{number}/{facet}.json#/$defs/{facet}", **content}


def _own(base: str, content: Json) -> Json:
    """A facet of our own, without a schema of its own."""
    return {"_producer": _producer(), "_schemaURL": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/{base}", **content}


def _producer() -> str:
    return f"urn:editflow:{version('editflow')}"


def _uuid(record: RunRecord, artifact: str = "") -> str:
    """The same for the same run and artifact, so that events that are sent twice count once."""
    return str(uuid5(NAMESPACE_URL, f"editflow:{record.run_id}:{artifact}"))
