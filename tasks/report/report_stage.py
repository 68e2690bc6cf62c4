"""The report and the sample answers, as stages of a finished run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import pyarrow as pa

from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import ArtifactRef, Lake
from editflow.tasks.errors import UnknownSource
from editflow.tasks.report.page import render
from editflow.tasks.report.run_results import READ, RunResults
from editflow.tasks.report.sample_answers import ANSWERS, AnswersSettings
from editflow.tasks.stages.stage import Parents, RunContext, Stage, Work, perform_and_index

FACTS = 12
TOKENS = 12


class NoAnswers(UserWarning):
    """A report that cannot show what the models say."""


@dataclass(frozen=True)
class ReportSettings:
    """The run, and the versions of what draws the page: another version draws another page."""

    run: str
    drawn_by: Mapping[str, str]


def _report(work: Work[ReportSettings]) -> pa.Table:
    """One HTML page."""
    run_results = RunResults.of(work.lake, work.settings.run)
    page = render(run_results, work.table("answers").to_pylist() if work.many("answers") else [])
    return pa.Table.from_pylist([{"page": page}], schema=kind("report").schema)


REPORT = Stage("report", "report", 4, ReportSettings, _report, (*READ, "answers"))


def report(lake: Lake, run: str) -> ArtifactRef:
    """The report of a completed run, made unless the lake has it. The run's id is part of what it is made from.

    Where the lake has no answers and the base model is gone, they are left out, with a warning.
    """
    run_results = RunResults.of(lake, run)
    # As `ask`: a dozen short texts need no accelerator, and the one of the run may not be here.
    context: RunContext = {"run": run, "device": "cpu"}
    model, state = run_results.of_kind("model")[0].id, run_results.record.state
    parents = {"model": model, "state": str(state), "requests": run_results.all_requests}
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
