"""Evaluation of a state: scores of each prompt of the requests, and the perplexity of held-out documents."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import pyarrow as pa

from editflow.editing.editors.options import omitted
from editflow.editing.metrics.measure import measure, prompt_count
from editflow.editing.metrics.perplexity import perplexity, window_nll
from editflow.editing.metrics.score_columns import HARMONIC, available, cases, harmonic
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.tasks.console.progress import bar
from editflow.tasks.stages.requests import read_requests
from editflow.tasks.stages.settings import NoSettings
from editflow.tasks.stages.stage import Stage, Work


@dataclass(frozen=True)
class EvaluationSettings:
    """The metrics; with `published`, also token accuracy as in published zsRE results."""

    metrics: tuple[str, ...]
    published: bool = omitted(default=False)


def _evaluation(work: Work[EvaluationSettings]) -> pa.Table:
    """One row per request, metric and prompt."""
    requests = read_requests(work.lake, work.one("requests"), next(iter(work.many("questions")), None))
    model = work.model("state")
    names = list(work.settings.metrics)
    with bar(work.label("evaluation"), prompt_count(requests, names), "prompts") as advance:
        scores = measure(model, requests, names, advance, published=work.settings.published)
    rows = [{**vars(score), "request": score.request_id} for score in scores]
    return pa.Table.from_pylist(rows, schema=kind("evaluation").schema)


def _perplexity(work: Work[NoSettings]) -> pa.Table:
    """Summed NLL (nats) and number of tokens of each held-out document."""
    table = work.table("tokens")
    documents, windows = table["document"].to_pylist(), table["ids"].to_pylist()
    model = work.model("state")
    with bar(work.label("perplexity"), len(windows), "windows") as advance:
        found = window_nll(model, windows, progress=advance)
    totals: dict[str, list[float]] = {}
    for document, (tokens, nll) in zip(documents, found, strict=True):
        total = totals.setdefault(document, [0, 0.0])
        total[0] += tokens
        total[1] += nll
    rows = [{"document": document, "tokens": int(t), "nll": nll} for document, (t, nll) in totals.items()]
    return pa.Table.from_pylist(rows, schema=kind("perplexity").schema)


def summarise(lake: Lake, evaluation: str) -> dict[str, dict[str, float]]:
    """{metric: {column: percent}}: the mean over requests of each request's mean over its prompts.

    If there are efficacy, paraphrase and neighbourhood, `score` has the harmonic means of their columns.
    """
    rows = lake.read(evaluation).to_pylist()
    summary: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(row["metric"] for row in rows):
        mine = [row for row in rows if row["metric"] == name]
        means = {column: fmean(values.values()) for column in available(mine) if (values := cases(mine, column))}
        summary[name] = {column: round(100 * mean, 2) for column, mean in means.items()}
    scores = {
        score: round(harmonic([summary[name][column] for name, column in columns.items()]), 2)
        for score, columns in HARMONIC.items()
        if all(column in summary.get(name, {}) for name, column in columns.items())
    }
    return summary | ({"score": scores} if scores else {})


def read_perplexity(lake: Lake, artifact: str) -> float:
    """The perplexity over all documents of a `perplexity` artifact."""
    rows = lake.read(artifact).to_pylist()
    return perplexity((row["tokens"], row["nll"]) for row in rows)


EVALUATION = Stage("evaluation", "evaluation", 4, EvaluationSettings, _evaluation, ("state", "requests", "questions"))
PERPLEXITY = Stage("perplexity", "perplexity", 2, NoSettings, _perplexity, ("state", "documents", "tokens"))
