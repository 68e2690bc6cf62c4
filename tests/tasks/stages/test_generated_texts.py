"""Generated texts and their scores as artifacts: rows, roles, missing scores, and views."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from support.tiny_world import World

from editflow.editing.metrics.texts.consistency import Consistency
from editflow.editing.metrics.texts.essence import essences
from editflow.editing.metrics.texts.fluency import fluency
from editflow.editing.metrics.texts.options import GenerationOptions
from editflow.editing.models.generation import continue_texts
from editflow.editing.requests.record import EditRequest
from editflow.storage.artifacts import kinds
from editflow.storage.artifacts.store import Lake
from editflow.storage.queries.query import query
from editflow.tasks.models.model_identity import identify, open_model
from editflow.tasks.sources.edit_requests import load_requests
from editflow.tasks.stages.generated_texts import ESSENCE, GENERATIONS, TEXT_SCORES, summarise_texts
from editflow.tasks.stages.requests import requests_table
from editflow.tasks.stages.settings import NoSettings
from editflow.tasks.stages.stage import Stage

OPTIONS = GenerationOptions(tokens=14, answer_tokens=4)
QUESTIONS = pa.schema(
    [
        ("request", pa.string()), ("role", pa.string()), ("index", pa.int32()), ("prompt", pa.string()),
        ("answers", pa.list_(pa.string())),
    ]
)  # fmt: skip
A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)


def test_ids_do_not_change() -> None:
    ids = {
        "generations": GENERATIONS.id(GenerationOptions(), {"state": A, "requests": B}),
        "with questions": GENERATIONS.id(GenerationOptions(), {"state": A, "requests": B, "questions": C}),
        "text scores": TEXT_SCORES.id(NoSettings(), {"generations": A, "requests": B, "questions": C}),
        "essence": ESSENCE.id(NoSettings(), {"state": A, "requests": B, "questions": C, "base": D}),
    }
    assert {name: id_[:16] for name, id_ in ids.items()} == {
        "generations": "3ecb9b948d0b7a23",
        "with questions": "a1ea24b2cf2e67b3",
        "text scores": "d6252accd805a5d1",
        "essence": "deafe169e153dae9",
    }


@pytest.fixture(autouse=True)
def questions_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the kind `questions` if it is missing."""
    if "questions" not in {kind.name for kind in kinds.kinds()}:
        monkeypatch.setitem(kinds.KINDS, "questions", kinds.Kind("questions", QUESTIONS, ""))


class TextLake:
    """A lake with the tiny model, requests and questions."""

    def __init__(self, folder: Path, model: Path, requests: list[EditRequest]) -> None:
        self.lake = Lake.open(folder)
        self.requests = requests
        self.model = identify(self.lake, str(model), "float64", "cpu", None, self.lake.find)[0].id
        self.asked = requests_table(requests, "test").store(self.lake).id
        rows = list(_questions(requests))
        table = pa.Table.from_pylist(rows, schema=kinds.kind("questions").schema)
        self.questions = self.lake.write("questions", 1, {}, {}, table).id

    def make(self, stage: Stage[Any], settings: Any, parents: dict[str, str]) -> str:
        return stage.perform(self.lake.uri, settings, parents, {}).id

    def generations(self, options: GenerationOptions = OPTIONS, **more: str) -> str:
        return self.make(GENERATIONS, options, {"state": self.model, "requests": self.asked, **more})

    def scores(self, generations: str, **more: str) -> str:
        return self.make(TEXT_SCORES, NoSettings(), {"generations": generations, "requests": self.asked, **more})

    def rows(self, artifact: str) -> list[dict[str, Any]]:
        return list(self.lake.read(artifact).to_pylist())


def _questions(requests: list[EditRequest]) -> Iterator[dict[str, Any]]:
    """Two generation prompts (one too long) and a reference text each; portability and an alias for the first."""
    for request in requests:
        place = {"request": request.request_id, "index": 0, "prompt": "", "answers": []}
        for index, words in enumerate(("the city of", "it is who says I " * 5)):
            prompt = f"{words} {request.subject}"
            yield {**place, "role": "generation", "index": index, "prompt": prompt}
        yield {**place, "role": "reference", "answers": [f"{request.target_new} is the river of {request.subject}"]}
    first = min(request.request_id for request in requests)
    yield {"request": first, "role": "portability", "index": 0, "prompt": "the river is", "answers": ["the", "nowhere"]}
    yield {"request": first, "role": "alias", "index": 0, "prompt": "", "answers": ["other words"]}


@pytest.fixture
def store(world: World, tmp_path: Path) -> TextLake:
    return TextLake(tmp_path / "lake", world.model, load_requests(world.facts)[:4])


def test_rows_of_every_role_are_in_the_order_of_the_requests(store: TextLake) -> None:
    rows = store.rows(store.generations(questions=store.questions))
    roles = ["efficacy", *["paraphrase"] * 2, *["generation"] * 2]
    assert [row["role"] for row in rows[:6]] == [*roles, "portability"]
    assert [row["role"] for row in rows[6:]] == roles * 3
    greedy = [row for row in rows if row["role"] != "generation"]
    model = open_model(str(_folder(store)), "float64", "cpu").model
    assert [row["text"] for row in greedy] == continue_texts(model, [row["prompt"] for row in greedy], 4)
    assert {row["prompt_index"]: row["text"] == "" for row in rows if row["role"] == "generation"} == {
        0: False,
        1: True,
    }
    only = store.rows(store.generations(GenerationOptions(14, 4, roles=("generation",)), questions=store.questions))
    assert only == [row for row in rows if row["role"] == "generation"]
    assert store.rows(store.generations()) == [row for row in greedy if row["role"] != "portability"]


def test_texts_change_only_with_the_version(store: TextLake) -> None:
    rows = store.rows(store.generations(questions=store.questions))
    first = next(row for row in rows if row["role"] == "generation")
    assert first["prompt"] == "the city of kara pul"
    assert (GENERATIONS.version, first["text"]) == (1, "kara dora bol bol dil sul dal mira saso")


def test_scores_are_the_metrics_of_the_rows(store: TextLake) -> None:
    generations = store.generations(questions=store.questions)
    scores = store.rows(store.scores(generations, questions=store.questions))
    found = {(s["request"], s["metric"], s["role"], s["prompt_index"]): s["value"] for s in scores}
    assert len(found) == len(scores)
    texts = [row for row in store.rows(generations) if row["role"] == "generation"]
    references = [f"{r.target_new} is the river of {r.subject}" for r in store.requests]
    corpus = Consistency.fit(references)
    for row, reference in zip(texts, [text for text in references for _ in range(2)], strict=True):
        place = (row["request"], row["prompt_index"])
        assert found[place[0], "fluency", "generation", place[1]] == fluency(row["text"])
        assert found[place[0], "consistency", "generation", place[1]] == corpus.score(row["text"], [reference])
    assert found[store.requests[0].request_id, "fluency", "generation", 1] is None  # an empty text
    assert {s["prompt_index"] for s in scores if s["metric"] == "consistency published"} == {0}
    assert {s["metric"] for s in store.rows(store.scores(store.generations()))} == {
        "free exact",
        "free contains",
    }


def test_scores_of_a_perfect_and_a_null_model(store: TextLake, world: World, tmp_path: Path) -> None:
    """Requests for what the model generates anyway score 1; with all weights zero they score 0."""
    model = open_model(str(world.model), "float64", "cpu").model
    texts = continue_texts(model, [request.filled for request in store.requests], OPTIONS.answer_tokens)
    wanted = [
        EditRequest(r.request_id, r.prompt, r.subject, text.strip(), "x")
        for r, text in zip(store.requests, texts, strict=True)
    ]
    perfect = TextLake(tmp_path / "perfect", world.model, wanted)
    scores = summarise_texts(perfect.lake, perfect.scores(perfect.generations()))
    assert scores == {"efficacy free exact": 1, "efficacy free contains": 1}
    null = tmp_path / "null"
    with torch.no_grad():
        for weight in model.model.parameters():
            weight.zero_()
    model.model.save_pretrained(null)
    model.tokenizer.save_pretrained(null)
    open_model.cache_clear()
    silent = TextLake(tmp_path / "silent", null, wanted)
    scores = summarise_texts(silent.lake, silent.scores(silent.generations(), questions=silent.questions))
    assert scores["efficacy free exact"] == scores["efficacy free contains"] == 0


def test_aliases_and_answers_of_questions_count(store: TextLake) -> None:
    generations = store.generations(questions=store.questions)
    rows = store.rows(generations)
    first = store.requests[0].request_id
    portable = next(row for row in rows if row["role"] == "portability")
    edited = next(row for row in rows if row["role"] == "efficacy")
    place = {"request": first, "index": 0, "prompt": ""}
    table = [
        {**place, "role": "alias", "answers": [edited["text"]]},
        {**place, "role": "portability", "prompt": portable["prompt"], "answers": [portable["text"].split()[0]]},
    ]
    other = store.lake.write("questions", 1, {"n": 2}, {}, pa.Table.from_pylist(table, schema=QUESTIONS)).id
    before = {
        (s["role"], s["metric"]): s["value"]
        for s in store.rows(store.scores(generations, questions=store.questions))
        if s["request"] == first
    }
    after = {
        (s["role"], s["metric"]): s["value"]
        for s in store.rows(store.scores(generations, questions=other))
        if s["request"] == first
    }
    assert before["efficacy", "free exact"] == 0
    assert after["efficacy", "free exact"] == 1
    assert (after["portability", "free exact"], after["portability", "free contains"]) == (0, 1)
    without = {s["role"]: s["value"] for s in store.rows(store.scores(generations)) if s["metric"] == "free exact"}
    assert without["portability"] is None  # no answers, no score
    assert without["efficacy"] is not None


def test_scores_of_a_subset_of_the_requests_are_the_same(store: TextLake) -> None:
    generations = store.generations(questions=store.questions)
    part = requests_table(store.requests[:2], "test").store(store.lake).id
    parents = {"generations": generations, "requests": part, "questions": store.questions}
    rows = store.rows(store.make(TEXT_SCORES, NoSettings(), parents))
    kept = {request.request_id for request in store.requests[:2]}
    everything = store.rows(store.scores(generations, questions=store.questions))
    key = lambda row: sorted(map(str, row.items()))  # noqa: E731
    assert sorted(rows, key=key) == sorted((row for row in everything if row["request"] in kept), key=key)


def test_essence_scores_the_base_models_texts_and_the_references(store: TextLake) -> None:
    base = store.generations(questions=store.questions)
    parents = {"state": store.model, "requests": store.asked, "questions": store.questions, "base": base}
    artifact = store.make(ESSENCE, NoSettings(), parents)
    model = open_model(str(_folder(store)), "float64", "cpu").model
    rows = [row for row in store.rows(base) if row["role"] == "generation"]
    values = [s["value"] for s in store.rows(artifact) if s["metric"] == "essence"]
    assert values == pytest.approx([e.value for e in essences(model, [r["prompt"] + r["text"] for r in rows])])
    assert min(values) > 1
    given = [f"{r.target_new} is the river of {r.subject}" for r in store.requests]
    published = [s["value"] for s in store.rows(artifact) if s["metric"] == "essence published"]
    assert published == pytest.approx([e.published for e in essences(model, given)])
    without = store.make(ESSENCE, NoSettings(), {"state": store.model, "requests": store.asked})
    assert store.rows(without) == []
    assert summarise_texts(store.lake, without) == {}


def test_the_summary_weighs_requests_equally_and_omits_missing_scores(store: TextLake) -> None:
    rows = [("a", 1.0), ("a", 3.0), ("b", 6.0), ("b", None), ("c", None)]
    table = [
        {"request": r, "metric": "fluency", "role": "generation", "prompt_index": n, "value": v}
        for n, (r, v) in enumerate(rows)
    ]
    table.append({"request": "a", "metric": "essence", "role": "generation", "prompt_index": 0, "value": None})
    artifact = store.lake.write(
        "text_scores", 1, {}, {}, pa.Table.from_pylist(table, schema=kinds.kind("text_scores").schema)
    ).id
    assert summarise_texts(store.lake, artifact) == {"fluency": 4.0}
    assert not math.isclose(10 / 3, 4.0)  # the mean over prompts differs


def test_permuted_requests_give_the_same_scores(store: TextLake, world: World, tmp_path: Path) -> None:
    reversed_lake = TextLake(tmp_path / "reversed_lake", world.model, store.requests[::-1])
    found = [
        sorted(
            b.rows(b.scores(b.generations(questions=b.questions), questions=b.questions)),
            key=lambda row: sorted(map(str, row.items())),
        )
        for b in (store, reversed_lake)
    ]
    assert found[0] == found[1]


def test_a_rerun_gives_the_same_bytes(store: TextLake, world: World, tmp_path: Path) -> None:
    again = TextLake(tmp_path / "again", world.model, store.requests)
    artifacts = [b.lake.manifest(b.generations(questions=b.questions)) for b in (store, again)]
    assert artifacts[0].id == artifacts[1].id
    assert artifacts[0].digest == artifacts[1].digest


def test_views_have_the_state_that_generated_the_texts(store: TextLake) -> None:
    generations = store.generations(questions=store.questions)
    scores = store.scores(generations, questions=store.questions)
    essence = store.make(ESSENCE, NoSettings(), {"state": store.model, "requests": store.asked, "base": generations})
    wrote = query(store.lake, "SELECT DISTINCT artifact, state, requests FROM generations").to_pylist()
    assert [tuple(row.values()) for row in wrote] == [(generations, store.model, store.asked)]
    scored = query(store.lake, "SELECT DISTINCT artifact, state, requests FROM text_scores").to_pylist()
    assert {tuple(row.values()) for row in scored} == {(a, store.model, store.asked) for a in (scores, essence)}
    sql = "SELECT avg(value) AS mean, count(*) - count(value) AS lacking FROM text_scores WHERE metric = 'fluency'"
    (row,) = query(store.lake, sql).to_pylist()
    assert row["lacking"] == len(store.requests)
    assert row["mean"] == pytest.approx(summarise_texts(store.lake, scores)["fluency"])


def _folder(store: TextLake) -> Path:
    return Path(str(store.lake.manifest(store.model).about["folder"]))
