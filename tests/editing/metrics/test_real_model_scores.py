"""Success and accuracy of the default model on twenty facts of the starter set equal those from single passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from oracle import literal

from editflow.editing.metrics.measure import measure
from editflow.editing.metrics.published import published_accuracy
from editflow.editing.models.loading import load
from editflow.editing.models.tokens import continuation
from editflow.editing.requests.record import EditRequest
from editflow.tasks.models.model_source import model_folder
from editflow.tasks.sources.edit_requests import choose_requests, load_requests
from editflow.tasks.sources.packaged_data import MODEL

pytestmark = [pytest.mark.real_model, pytest.mark.exhaustive]

STARTER = Path(__file__).parents[3] / "specs" / "facts" / "starter.jsonl"


def one_prompt_each(count: int) -> list[EditRequest]:
    """Facts with the first of their paraphrases and of their neighbours."""
    return [
        replace(
            fact,
            paraphrase_prompts=fact.paraphrase_prompts[:1],
            neighborhood_prompts=fact.neighborhood_prompts[:1],
        )
        for fact in choose_requests(load_requests(STARTER), count, 0, STARTER)
    ]


def test_scores_of_twenty_facts_equal_those_from_logits() -> None:
    # In float32 two correct orders of summation part by some 1e-5 themselves.
    model = load(model_folder(MODEL.name), "float64")
    facts = one_prompt_each(20)
    rows = measure(model, facts, ["efficacy", "paraphrase", "neighbourhood"])
    assert len(rows) == 60
    by_id = {fact.request_id: fact for fact in facts}
    found = {0.0: 0, 1.0: 0}
    for row in rows:
        fact = by_id[row.request_id]
        new, true = (
            literal.score(model.model, *continuation(model.tokenizer, row.prompt, target, "test"))
            for target in (fact.target_new, fact.target_true)
        )
        assert (row.nll_new, row.nll_true) == pytest.approx((new[0], true[0]), abs=1e-5)
        wanted, other = (true, new) if row.metric == "neighbourhood" else (new, true)
        assert row.success == float(wanted[0] < other[0])
        assert row.accuracy == float(wanted[1])
        found[row.success or 0.0] += 1
    assert min(found.values()) > 10  # both outcomes occur, so the score is not constant


def test_without_bos_the_published_count_equals_ours() -> None:
    """The default model's tokenizer adds no BOS token."""
    model = load(model_folder(MODEL.name))
    facts = one_prompt_each(20)
    wanted = {row.request_id: row.hits / row.tokens for row in measure(model, facts, ["neighbourhood"])}
    asked = [(fact.neighborhood_prompts[0], fact.target_true, True) for fact in facts]
    assert published_accuracy(model, asked) == pytest.approx([wanted[fact.request_id] for fact in facts])
