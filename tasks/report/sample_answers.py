"""Answers of the base model and the edited model about a sample of a run's facts."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from editflow.editing.models.generation import continue_texts
from editflow.editing.requests.sample import sample
from editflow.storage.artifacts.kinds import kind
from editflow.tasks.console.progress import working
from editflow.tasks.report.table_rows import Answers
from editflow.tasks.stages.requests import read_requests
from editflow.tasks.stages.stage import Stage, Work


@dataclass(frozen=True)
class AnswersSettings:
    """The number of facts, and the number of tokens of an answer."""

    facts: int
    tokens: int


def _answers(work: Work[AnswersSettings]) -> pa.Table:
    """The continuations of the prompts of a sample of facts, by the base model and by the state."""
    chosen = sample(read_requests(work.lake, work.one("requests")), work.settings.facts)
    prompts = [request.filled for request in chosen]
    with working("asking both models"):
        texts = {role: continue_texts(work.model(role), prompts, work.settings.tokens) for role in ("model", "state")}
    rows: list[Answers] = [
        {"request": request.request_id, "prompt": request.filled, "base": base, "edited": edited}
        for request, base, edited in zip(chosen, texts["model"], texts["state"], strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=kind("answers").schema)


ANSWERS = Stage("answers", "answers", 1, AnswersSettings, _answers, ("model", "state", "requests"))
