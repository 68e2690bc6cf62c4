"""A comparison of finished runs as a stage: a page and tables, made from the runs' artifacts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import ArtifactRef, Lake
from editflow.storage.errors import DamagedPayload
from editflow.tasks.comparison.comparison_rows import read_groups
from editflow.tasks.comparison.page import NAMES, PAGE, TABLE, render
from editflow.tasks.stages.stage import Parents, Stage, Work


@dataclass(frozen=True)
class ComparisonSettings:
    """The rows with their runs (see `compare`), and the versions of what draws the page."""

    rows: tuple[Mapping[str, Any], ...]
    drawn_by: Mapping[str, str]


def _comparison(work: Work[ComparisonSettings]) -> pa.Table:
    """One row a file."""
    found = render(read_groups(work.lake, work.settings.rows, work.parents))
    rows = [{"name": name, "text": text} for name, text in found.items()]
    return pa.Table.from_pylist(rows, schema=kind("comparison").schema)


COMPARISON = Stage("comparison", "comparison", 2, ComparisonSettings, _comparison, None)


def compare(lake: Lake, rows: Sequence[Mapping[str, Any]], parents: Parents) -> ArtifactRef:
    """The comparison of runs, made unless the lake has it.

    `rows`: label, name, group (title), settings (pairs) and runs of each row, a run being a name and a seed with its
    batches (`described`) or with the reason why it `failed`. `parents`: the artifacts of each completed run by its
    name. Ids and times of runs are no part of it, so the same runs made again are the same comparison.
    """
    drawn_by = {name: version(name) for name in ("altair", "vl-convert-python", "jinja2")}
    return COMPARISON.perform(lake.uri, ComparisonSettings(tuple(rows), drawn_by), parents, {"device": "cpu"})


def read_files(lake: Lake, artifact: str) -> dict[str, str]:
    """{file name: text} of a comparison. Raises DamagedPayload for any name outside its own files."""
    found = {row["name"]: row["text"] for row in lake.read(artifact).to_pylist()}
    if not {PAGE, TABLE} <= found.keys() <= NAMES or None in found.values():
        raise DamagedPayload(artifact, "it holds other files than those of a comparison")
    return found
