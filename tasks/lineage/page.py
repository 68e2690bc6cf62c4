"""A lineage as one HTML page: the graph of the report, for any artifact, with or without a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.json_records import is_id, is_run_id
from editflow.storage.queries.query import Step
from editflow.storage.records.runs import Runs
from editflow.tasks.errors import TooMuchToDraw
from editflow.tasks.report import charts
from editflow.tasks.report.graph_layout import LANES, lay_out
from editflow.tasks.report.page import fill_template, template

WAYS = {
    "upstream": "what it was made from",
    "downstream": "what was made from it",
    "between": "what lies between them",
}
"""What the other artifacts of a page are to those that were asked for."""
MOST = 5000
"""Artifacts on a page: more are slow to draw and hard to distinguish."""


def render(lake: Lake, steps: Sequence[Step], ends: Sequence[str], way: str, command: str) -> str:
    """The page of the steps of a walk, the first of which is where it starts. `ends` are coloured by themselves.

    `way` is one of WAYS; `command` what says the same as a tree.
    Raises TooMuchToDraw. Cost: a manifest an artifact and a record a run that made any; 2,000 are drawn in three
    seconds.
    """
    # What a lake has no manifest of any more, another artifact's parents still name.
    ids = [id_ for id_ in dict.fromkeys(step.id for step in steps) if is_id(id_) and lake.is_committed(id_)]
    if len(ids) > MOST:
        raise TooMuchToDraw(len(ids), MOST)
    manifests = {id_: lake.manifest(id_) for id_ in ids}
    labels = called(lake, manifests)
    marks = {id_: "asked for" if id_ in ends else way for id_ in ids}
    nodes = lay_out(manifests, labels, marks)
    counts = Counter(manifest.kind for manifest in manifests.values())
    start = manifests[ids[0]]
    return template("editflow.tasks.lineage", "lineage.html").render(
        **fill_template(),
        title=f"{labels[start.id]} {start.id[:12]}",
        sentence=_sentence(manifests, labels, ends, way),
        kinds=[(kind.replace("_", " "), counts[kind]) for kind in sorted(counts, key=_lane)],
        nodes=nodes,
        graph=charts.graph(nodes, ("asked for", way)),
        parentless="nothing that is shown here",
        childless="nothing that is shown here",
        command=command,
    )


def called(lake: Lake, manifests: Mapping[str, Manifest]) -> dict[str, str]:
    """What the run that made each artifact called it; its stage or kind where no record tells."""
    runs, found = Runs(lake.files), dict[str, str]()
    known = [run for run in dict.fromkeys(m.created_by for m in manifests.values()) if run and _is_there(runs, run)]
    for record in map(runs.get_or_damaged, known):
        found |= {use.artifact: use.stage for use in record.uses if use.artifact in manifests}
    return {id_: found.get(id_, str(m.spec.get("stage", m.kind))) for id_, m in manifests.items()}


def _is_there(runs: Runs, run: str) -> bool:
    """Whether a run that a manifest names has a record here: lakes are moved, and come from others."""
    return is_run_id(run) and runs.is_started(run)


def _sentence(manifests: Mapping[str, Manifest], labels: Mapping[str, str], ends: Sequence[str], way: str) -> str:
    others = len(manifests) - len(ends)
    named = " and ".join(f"{labels[id_]} {id_[:12]}" for id_ in ends)
    return f"{named}, and {WAYS[way]}: {others:,} {'artifact' if others == 1 else 'artifacts'}."


def _lane(kind: str) -> tuple[int, str]:
    return (LANES.index(kind) if kind in LANES else len(LANES), kind)
