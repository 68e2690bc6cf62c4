"""The stage that compares finished runs: it makes a page and CSV files from the runs' artifacts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, cast

import pyarrow as pa

from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import ArtifactRef, Lake
from editflow.storage.errors import DamagedPayload
from editflow.tasks.comparison.comparison_page import FILE_NAMES, PAGE, TABLE, render
from editflow.tasks.comparison.comparison_rows import RecordedRow, read_groups
from editflow.tasks.stages.stage import Parents, Stage, Work


@dataclass(frozen=True)
class ComparisonSettings:
    """The rows in the shape of RecordedRow, and the versions of the libraries that draw the page."""

    rows: tuple[Mapping[str, Any], ...]
    drawn_by: Mapping[str, str]


def _comparison(work: Work[ComparisonSettings]) -> pa.Table:
    """A table with one file per row."""
    recorded = cast("Sequence[RecordedRow]", work.settings.rows)
    texts = render(read_groups(work.lake, recorded, work.parents))
    rows = [{"name": name, "text": text} for name, text in texts.items()]
    return pa.Table.from_pylist(rows, schema=kind("comparison").schema)


COMPARISON = Stage("comparison", "comparison", 3, ComparisonSettings, _comparison, None)


def compare(lake: Lake, rows: Sequence[RecordedRow], parents: Parents) -> ArtifactRef:
    """The comparison of runs, computed unless the lake has it already.

    `parents` are the artifacts of each completed run, by the run's name. The recipe contains no ids or times of runs,
    so the comparison of repeated runs is the same artifact.
    """
    drawn_by = {name: version(name) for name in ("altair", "vl-convert-python", "jinja2")}
    return COMPARISON.perform(lake.uri, ComparisonSettings(tuple(rows), drawn_by), parents, {"device": "cpu"})


def read_files(lake: Lake, artifact: str) -> dict[str, str]:
    """{file name: text} of a comparison. Raises DamagedPayload if a file is missing or another one is there."""
    texts = {row["name"]: row["text"] for row in lake.read(artifact).to_pylist()}
    if not {PAGE, TABLE} <= texts.keys() <= FILE_NAMES or None in texts.values():
        raise DamagedPayload(artifact, "its files are not those of a comparison")
    return texts
