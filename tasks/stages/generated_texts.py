"""What a state writes, as one artifact, and metrics over it as others, so that a new metric needs no new texts.

The optional parent `questions` (one row a question: request, role, index, prompt, answers) brings the prompts of the
roles `generation` and `portability`, and the texts of the roles `reference` and `alias`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import pyarrow as pa

from editflow.editing.metrics.texts.consistency import Consistency
from editflow.editing.metrics.texts.essence import about, essences
from editflow.editing.metrics.texts.fluency import fluency, published_fluency
from editflow.editing.metrics.texts.free import matches
from editflow.editing.metrics.texts.options import GenerationOptions
from editflow.editing.models.generation import Writing, budget, write_texts
from editflow.editing.requests.record import EditRequest
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.tasks.console.progress import bar
from editflow.tasks.stages.requests import read_requests
from editflow.tasks.stages.stage import Stage, Work

Row = dict[str, Any]


def _generations(work: Work) -> pa.Table:
    """One row per request, role and prompt: texts are drawn, answers greedy."""
    options = GenerationOptions(**work.spec)
    requests = read_requests(work.lake, work.one("requests"))
    rows = [row for row in _asked(requests, _questions(work)) if row["role"] in options.roles]
    answers, texts = _prompts(rows, texts=False), _prompts(rows, texts=True)
    short, long = Writing(options.answer_tokens), Writing(options.tokens, options.top_k, options.seed, whole=True)
    model = work.model("state")
    total = budget(model, answers, short) + budget(model, texts, long)
    with bar(work.label("generations"), total, "tokens") as advance:
        answered = dict(zip(answers, write_texts(model, answers, short, progress=advance), strict=True))
        written = dict(zip(texts, write_texts(model, texts, long, progress=advance), strict=True))
    for row in rows:
        row["text"] = (written if row["role"] == "generation" else answered)[row["prompt"]]
    return pa.Table.from_pylist(rows, schema=kind("generations").schema)


def _prompts(rows: Sequence[Row], *, texts: bool) -> list[str]:
    """The different prompts that texts, or else answers, are asked for."""
    return list(dict.fromkeys(row["prompt"] for row in rows if (row["role"] == "generation") is texts))


def _text_scores(work: Work) -> pa.Table:
    """One row per generated text of the requests and metric; no model is needed."""
    requests = {request.request_id: request for request in read_requests(work.lake, work.one("requests"))}
    questions = _questions(work)
    rows = [row for row in work.table("generations").to_pylist() if row["request"] in requests]
    texts = [row for row in rows if row["role"] == "generation"]
    free = [row for row in rows if row["role"] != "generation"]
    scores = [*_fluencies(texts), *_consistencies(texts, questions), *_matches(free, requests, questions)]
    return pa.Table.from_pylist(scores, schema=kind("text_scores").schema)


def _essence(work: Work) -> pa.Table:
    """The perplexity of texts about each subject: what the model as it was wrote (`base`), and what is given."""
    requests = read_requests(work.lake, work.one("requests"))
    asked = {request.request_id for request in requests}
    base = work.table("base").to_pylist() if work.many("base") else []
    written = [row for row in base if row["role"] == "generation" and row["request"] in asked]
    references = _texts_of("reference", _questions(work))
    given = [(r.request_id, " ".join(about(r.subject, references.get(r.request_id, ())))) for r in requests]
    given = [(request, text) for request, text in given if text]
    model = work.model("state")
    with bar(work.label("essence"), len(written) + len(given), "texts") as advance:
        ours = essences(model, [row["prompt"] + row["text"] for row in written], advance)
        published = essences(model, [text for _, text in given], advance)
    rows = [_score(row, "essence", found.value) for row, found in zip(written, ours, strict=True)]
    for (request, _), found in zip(given, published, strict=True):
        place = {"request": request, "role": "reference", "prompt_index": 0}
        rows.append(_score(place, "essence published", found.published))
    return pa.Table.from_pylist(rows, schema=kind("text_scores").schema)


def summarise_texts(lake: Lake, artifact: str) -> dict[str, float]:
    """{metric: mean over requests of each request's mean} of text scores, in the metrics' own units.

    Free-generation accuracy is kept apart by what was asked: "efficacy free exact", "portability free contains". What
    is not available is left out.
    """
    cases: dict[str, dict[str, list[float]]] = {}
    for row in lake.read(artifact).to_pylist():
        name = f"{row['role']} {row['metric']}" if row["metric"].startswith("free ") else row["metric"]
        if row["value"] is not None:
            cases.setdefault(name, {}).setdefault(row["request"], []).append(row["value"])
    return {name: fmean(map(fmean, found.values())) for name, found in cases.items()}


def _asked(requests: Sequence[EditRequest], questions: Sequence[Row]) -> Iterator[Row]:
    """Every prompt, request by request, with its role and its place among the request's prompts of that role."""
    more: dict[str, list[Row]] = {}
    for question in questions:
        if question["role"] in ("generation", "portability"):
            more.setdefault(question["request"], []).append(question)
    for request in requests:
        place = {"request": request.request_id}
        yield {**place, "role": "efficacy", "prompt_index": 0, "prompt": request.filled}
        for index, prompt in enumerate(request.paraphrase_prompts):
            yield {**place, "role": "paraphrase", "prompt_index": index, "prompt": prompt}
        for question in more.get(request.request_id, []):
            role, index = question["role"], question["index"]
            yield {**place, "role": role, "prompt_index": index, "prompt": question["prompt"]}


def _fluencies(texts: Iterable[Row]) -> Iterator[Row]:
    for row in texts:
        yield _score(row, "fluency", fluency(row["text"]))
        yield _score(row, "fluency published", published_fluency(row["prompt"], row["text"]))


def _consistencies(texts: Iterable[Row], questions: Sequence[Row]) -> Iterator[Row]:
    """Of requests that have reference texts; idf is counted over those of all requests in `questions`."""
    references = _texts_of("reference", questions)
    corpus = Consistency.fit(text for found in references.values() for text in found)
    cases: dict[str, list[Row]] = {}
    for row in texts:
        cases.setdefault(row["request"], []).append(row)
    for request, rows in cases.items():
        if not references.get(request):
            continue
        for row in rows:
            yield _score(row, "consistency", corpus.of(row["text"], references[request]))
        joined = [row["prompt"] + row["text"] for row in rows]
        place = {**rows[0], "prompt_index": 0}
        yield _score(place, "consistency published", corpus.published(joined, references[request]))


def _matches(rows: Iterable[Row], requests: Mapping[str, EditRequest], questions: Sequence[Row]) -> Iterator[Row]:
    """Of what was answered, against the new target and its aliases, or the question's own answers."""
    aliases = _texts_of("alias", questions)
    own = {(q["request"], q["index"]): q["answers"] for q in questions if q["role"] == "portability"}
    for row in rows:
        request = row["request"]
        new = [requests[request].target_new, *aliases.get(request, [])]
        answers = own.get((request, row["prompt_index"])) if row["role"] == "portability" else new
        found = matches(row["text"], answers) if answers else (None, None)
        for metric, value in zip(("free exact", "free contains"), found, strict=True):
            yield _score(row, metric, None if value is None else float(value))


def _score(row: Mapping[str, Any], metric: str, value: float | None) -> Row:
    place = {name: row[name] for name in ("request", "role", "prompt_index")}
    return {**place, "metric": metric, "value": value}


def _questions(work: Work) -> list[Row]:
    return work.table("questions").to_pylist() if work.many("questions") else []


def _texts_of(role: str, questions: Iterable[Row]) -> dict[str, list[str]]:
    """The texts of a role by request: a row's answers, or its prompt where it has none."""
    found: dict[str, list[str]] = {}
    for question in questions:
        if question["role"] == role:
            found.setdefault(question["request"], []).extend(question["answers"] or [question["prompt"]])
    return found


GENERATIONS = Stage("generations", "generations", 1, _generations)
TEXT_SCORES = Stage("text-scores", "text_scores", 1, _text_scores)
ESSENCE = Stage("essence", "text_scores", 1, _essence)
