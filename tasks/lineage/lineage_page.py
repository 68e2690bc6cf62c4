"""A lineage as one HTML page: the graph of the report, for any artifacts, with or without a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.json_records import is_id, is_run_id
from editflow.storage.queries.query import Step
from editflow.storage.records.runs import Runs
from editflow.tasks.errors import TooMuchToDraw
from editflow.tasks.report import report_charts
from editflow.tasks.report.graph_layout import lane_order, lay_out
from editflow.tasks.report.report_page import page_assets, template

WAYS = {
    "upstream": "what it was made from",
    "downstream": "what was made from it",
    "between": "what lies between them",
}
"""Relation of the other artifacts on a page to the requested ones."""
MAX_ARTIFACTS = 5000
"""More artifacts are slow to draw and hard to distinguish."""


def render(lake: Lake, steps: Sequence[Step], ends: Sequence[str], way: str, command: str) -> str:
    """The page of the steps of a walk, from its start. The `ends` have their own colour.

    `way` is one of WAYS; `command` prints the same lineage as a tree. Raises TooMuchToDraw.
    Cost: one manifest per artifact, and the record of each run that made one; 2,000 artifacts take three seconds.
    """
    # Parents may name artifacts that are no longer in the lake.
    ids = [id_ for id_ in dict.fromkeys(step.id for step in steps) if is_id(id_) and lake.is_committed(id_)]
    if len(ids) > MAX_ARTIFACTS:
        raise TooMuchToDraw(len(ids), MAX_ARTIFACTS)
    manifests = {id_: lake.manifest(id_) for id_ in ids}
    labels = stage_labels(lake, manifests)
    marks = {id_: "asked for" if id_ in ends else way for id_ in ids}
    nodes = lay_out(manifests, labels, marks)
    counts = Counter(manifest.kind for manifest in manifests.values())
    start = manifests[ids[0]]
    return template("editflow.tasks.lineage", "lineage.html").render(
        **page_assets(),
        title=f"{labels[start.id]} {start.id[:12]}",
        sentence=_sentence(manifests, labels, ends, way),
        kinds=[(kind.replace("_", " "), counts[kind]) for kind in sorted(counts, key=lane_order)],
        nodes=nodes,
        graph=report_charts.graph(nodes, ("asked for", way)),
        parentless="nothing on this page",
        childless="nothing on this page",
        command=command,
    )


def stage_labels(lake: Lake, manifests: Mapping[str, Manifest]) -> dict[str, str]:
    """The name of each artifact in the run that made it; its stage or kind if the lake has no record of that run."""
    runs, labels = Runs(lake.files), dict[str, str]()
    for run in dict.fromkeys(made.created_by for made in manifests.values()):
        if run and is_run_id(run) and runs.is_started(run):
            labels |= {use.artifact: use.stage for use in runs.get_or_damaged(run).uses if use.artifact in manifests}
    return {id_: labels.get(id_, str(made.spec.get("stage", made.kind))) for id_, made in manifests.items()}


def _sentence(manifests: Mapping[str, Manifest], labels: Mapping[str, str], ends: Sequence[str], way: str) -> str:
    others = len(manifests) - len(ends)
    named = " and ".join(f"{labels[id_]} {id_[:12]}" for id_ in ends)
    return f"{named}, and {WAYS[way]}: {others:,} {'artifact' if others == 1 else 'artifacts'}."
