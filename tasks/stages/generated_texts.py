"""Texts that a state generates as one artifact, and their metrics as others: a new metric needs no new texts.

The optional parent `questions` has the prompts of the roles `generation` and `portability`, and the texts of the roles
`reference` and `alias`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, TypedDict

import pyarrow as pa

from editflow.editing.metrics.texts.consistency import Consistency
from editflow.editing.metrics.texts.essence import essences, texts_about
from editflow.editing.metrics.texts.fluency import fluency, published_fluency
from editflow.editing.metrics.texts.free import matches
from editflow.editing.metrics.texts.options import GenerationOptions
from editflow.editing.models.generation import Sampling, total_budget, write_texts
from editflow.editing.requests.record import EditRequest
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.tasks.console.progress import bar
from editflow.tasks.stages.requests import read_requests
from editflow.tasks.stages.settings import NoSettings
from editflow.tasks.stages.stage import Stage, Work


class PromptRow(TypedDict):
    """A prompt of a request; `prompt_index` counts its prompts of the same role."""

    request: str
    role: str
    prompt_index: int
    prompt: str


class TextRow(PromptRow):
    """A row of a `generations` artifact: `text` continues the prompt."""

    text: str


class QuestionRow(TypedDict):
    """A row of a `questions` artifact."""

    request: str
    role: str
    index: int
    prompt: str
    answers: list[str]


class ScoreRow(TypedDict):
    """A row of a `text_scores` artifact."""

    request: str
    role: str
    prompt_index: int
    metric: str
    value: float | None


def _generations(work: Work[GenerationOptions]) -> pa.Table:
    """One row per request, role and prompt: texts are sampled, answers greedy."""
    options = work.settings
    requests = read_requests(work.lake, work.one("requests"))
    rows = [row for row in _prompt_rows(requests, _questions(work)) if row["role"] in options.roles]
    answers = list(dict.fromkeys(row["prompt"] for row in rows if row["role"] != "generation"))
    texts = list(dict.fromkeys(row["prompt"] for row in rows if row["role"] == "generation"))
    short, long = Sampling(options.answer_tokens), Sampling(options.tokens, options.top_k, options.seed, whole=True)
    model = work.model("state")
    total = total_budget(model, answers, short) + total_budget(model, texts, long)
    with bar(work.label("generations"), total, "tokens") as advance:
        answered = dict(zip(answers, write_texts(model, answers, short, progress=advance), strict=True))
        written = dict(zip(texts, write_texts(model, texts, long, progress=advance), strict=True))
    generated = [{**row, "text": (written if row["role"] == "generation" else answered)[row["prompt"]]} for row in rows]
    return pa.Table.from_pylist(generated, schema=kind("generations").schema)


def _text_scores(work: Work[NoSettings]) -> pa.Table:
    """One row per metric and generated text of the requests; needs no model."""
    requests = {request.request_id: request for request in read_requests(work.lake, work.one("requests"))}
    questions = _questions(work)
    rows: list[TextRow] = [row for row in work.table("generations").to_pylist() if row["request"] in requests]
    texts = [row for row in rows if row["role"] == "generation"]
    answers = [row for row in rows if row["role"] != "generation"]
    scores = [*_fluency_scores(texts), *_consistency_scores(texts, questions), *_matches(answers, requests, questions)]
    return pa.Table.from_pylist(scores, schema=kind("text_scores").schema)


def _essence(work: Work[NoSettings]) -> pa.Table:
    """The perplexity of texts about each subject: texts of the base model (`base`), and reference texts."""
    requests = read_requests(work.lake, work.one("requests"))
    ids = {request.request_id for request in requests}
    base: list[TextRow] = work.table("base").to_pylist() if work.many("base") else []
    written = [row for row in base if row["role"] == "generation" and row["request"] in ids]
    references = _texts_of("reference", _questions(work))
    given = [(r.request_id, " ".join(texts_about(r.subject, references.get(r.request_id, ())))) for r in requests]
    given = [(request, text) for request, text in given if text]
    model = work.model("state")
    with bar(work.label("essence"), len(written) + len(given), "texts") as advance:
        ours = essences(model, [row["prompt"] + row["text"] for row in written], advance)
        published = essences(model, [text for _, text in given], advance)
    rows = [_score(row, "essence", found.value) for row, found in zip(written, ours, strict=True)]
    for (request, _), found in zip(given, published, strict=True):
        reference = PromptRow(request=request, role="reference", prompt_index=0, prompt="")
        rows.append(_score(reference, "essence published", found.published))
    return pa.Table.from_pylist(rows, schema=kind("text_scores").schema)


def summarise_texts(lake: Lake, artifact: str) -> dict[str, float]:
    """{metric: mean over requests of each request's mean} of text scores, in the metrics' own units.

    The accuracy of free generation is separate for each role: "efficacy free exact", "portability free contains".
    Omits metrics that are not available.
    """
    cases: dict[str, dict[str, list[float]]] = {}
    for row in lake.read(artifact).to_pylist():
        name = f"{row['role']} {row['metric']}" if row["metric"].startswith("free ") else row["metric"]
        if row["value"] is not None:
            cases.setdefault(name, {}).setdefault(row["request"], []).append(row["value"])
    return {name: fmean(map(fmean, found.values())) for name, found in cases.items()}


def _prompt_rows(requests: Sequence[EditRequest], questions: Sequence[QuestionRow]) -> Iterator[PromptRow]:
    """Every prompt, in the order of the requests."""
    more: dict[str, list[QuestionRow]] = {}
    for question in questions:
        if question["role"] in ("generation", "portability"):
            more.setdefault(question["request"], []).append(question)
    for request in requests:
        id_ = request.request_id
        yield PromptRow(request=id_, role="efficacy", prompt_index=0, prompt=request.filled)
        for index, prompt in enumerate(request.paraphrase_prompts):
            yield PromptRow(request=id_, role="paraphrase", prompt_index=index, prompt=prompt)
        for q in more.get(id_, []):
            yield PromptRow(request=id_, role=q["role"], prompt_index=q["index"], prompt=q["prompt"])


def _fluency_scores(texts: Iterable[TextRow]) -> Iterator[ScoreRow]:
    for row in texts:
        yield _score(row, "fluency", fluency(row["text"]))
        yield _score(row, "fluency published", published_fluency(row["prompt"], row["text"]))


def _consistency_scores(texts: Iterable[TextRow], questions: Sequence[QuestionRow]) -> Iterator[ScoreRow]:
    """Scores of requests with reference texts; idf is counted over the references of all requests in `questions`."""
    references = _texts_of("reference", questions)
    corpus = Consistency.fit(text for found in references.values() for text in found)
    cases: dict[str, list[TextRow]] = {}
    for row in texts:
        cases.setdefault(row["request"], []).append(row)
    for request, rows in cases.items():
        if not references.get(request):
            continue
        for row in rows:
            yield _score(row, "consistency", corpus.score(row["text"], references[request]))
        joined = [row["prompt"] + row["text"] for row in rows]
        first: TextRow = {**rows[0], "prompt_index": 0}
        yield _score(first, "consistency published", corpus.published(joined, references[request]))


def _matches(
    rows: Iterable[TextRow], requests: Mapping[str, EditRequest], questions: Sequence[QuestionRow]
) -> Iterator[ScoreRow]:
    """Compare answers with the new target and its aliases, or with the question's own answers."""
    aliases = _texts_of("alias", questions)
    own = {(q["request"], q["index"]): q["answers"] for q in questions if q["role"] == "portability"}
    for row in rows:
        request = row["request"]
        new = [requests[request].target_new, *aliases.get(request, [])]
        answers = own.get((request, row["prompt_index"])) if row["role"] == "portability" else new
        found = matches(row["text"], answers) if answers else (None, None)
        for metric, value in zip(("free exact", "free contains"), found, strict=True):
            yield _score(row, metric, None if value is None else float(value))


def _score(row: PromptRow, metric: str, value: float | None) -> ScoreRow:
    return ScoreRow(
        request=row["request"], role=row["role"], prompt_index=row["prompt_index"], metric=metric, value=value
    )


def _questions(work: Work[Any]) -> list[QuestionRow]:
    return work.table("questions").to_pylist() if work.many("questions") else []


def _texts_of(role: str, questions: Iterable[QuestionRow]) -> dict[str, list[str]]:
    """The texts of a role by request: a question's answers, or its prompt if it has none."""
    found: dict[str, list[str]] = {}
    for question in questions:
        if question["role"] == role:
            found.setdefault(question["request"], []).extend(question["answers"] or [question["prompt"]])
    return found


GENERATIONS = Stage(
    "generations", "generations", 1, GenerationOptions, _generations, ("state", "requests", "questions")
)
TEXT_SCORES = Stage("text-scores", "text_scores", 1, NoSettings, _text_scores, ("generations", "requests", "questions"))
ESSENCE = Stage("essence", "text_scores", 1, NoSettings, _essence, ("state", "base", "requests", "questions"))
