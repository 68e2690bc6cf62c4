"""The report of a completed run, as a stage."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import pyarrow as pa

from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import ArtifactRef, Lake
from editflow.tasks.errors import UnknownSource
from editflow.tasks.report.report_page import render
from editflow.tasks.report.run_results import PARENT_KINDS, RunResults
from editflow.tasks.report.sample_answers import ANSWERS, AnswersSettings
from editflow.tasks.stages.stage import Parents, RunContext, Stage, Work, perform_and_index

FACTS = 12
TOKENS = 12


class NoAnswers(UserWarning):
    """A report without answers of the models."""


@dataclass(frozen=True)
class ReportSettings:
    """The run, and the versions of the libraries that draw the page, on which its bytes depend."""

    run: str
    drawn_by: Mapping[str, str]


def _report(work: Work[ReportSettings]) -> pa.Table:
    """One HTML page."""
    run_results = RunResults.load(work.lake, work.settings.run)
    page = render(run_results, work.table("answers").to_pylist() if work.many("answers") else [])
    return pa.Table.from_pylist([{"page": page}], schema=kind("report").schema)


REPORT = Stage("report", "report", 5, ReportSettings, _report, (*PARENT_KINDS, "answers"))


def report(lake: Lake, run: str) -> ArtifactRef:
    """Create or reuse the report of a completed run. Its recipe contains the id of the run.

    If the lake has no answers and the base model is missing, warn with NoAnswers and omit the answers.
    """
    run_results = RunResults.load(lake, run)
    # A dozen short texts need no accelerator, and this machine may not have the one of the run.
    context: RunContext = {"run": run, "device": "cpu"}
    model, state = run_results.of_kind("model")[0].id, run_results.record.state
    parents = {"model": model, "state": str(state), "requests": run_results.requests_id}
    answers: dict[str, str] = {}
    try:
        answers = {"answers": perform_and_index(ANSWERS, lake, AnswersSettings(FACTS, TOKENS), parents, context).id}
    except UnknownSource as error:
        warnings.warn(f"the report shows no answers: {error}", NoAnswers, stacklevel=2)
    drawn_by = {name: version(name) for name in ("altair", "vl-convert-python", "jinja2")}
    sources: Parents = {**run_results.sources, **answers}
    return perform_and_index(REPORT, lake, ReportSettings(run, drawn_by), sources, context)


def read_page(lake: Lake, artifact: str) -> str:
    """The HTML text of a report."""
    return str(lake.read(artifact)["page"][0].as_py())
