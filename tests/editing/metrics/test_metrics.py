"""Metrics equal the literal scores, and are right for models that know everything, nothing, or the wrong answer."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
import torch
from oracle import literal

from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.metrics import scoring
from editflow.editing.metrics.measure import measure, prompt_count
from editflow.editing.metrics.metric import PromptScore
from editflow.editing.metrics.perplexity import perplexity, window_nll
from editflow.editing.metrics.registry import metric
from editflow.editing.metrics.score_columns import cases
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.generation import continue_text, continue_texts
from editflow.editing.models.tokens import continuation, encode
from editflow.editing.requests.record import EditRequest

NAMES = ("efficacy", "paraphrase", "neighbourhood")


def mean(rows: list[PromptScore], name: str, column: str) -> float | None:
    """A metric's mean over cases."""
    found = cases([vars(row) | {"request": row.request_id} for row in rows if row.metric == name], column)
    return fmean(found.values()) if found else None


def predicted_tokens(model: EditableModel, prompt: str, target: str) -> tuple[int, ...]:
    """The argmax before each of the target's tokens, from one pass over the whole text."""
    before, after = continuation(model.tokenizer, prompt, target, "test")
    logits = model.model(torch.tensor([[*before, *after]])).logits[0]
    return tuple(logits[len(before) - 1 : -1].argmax(-1).tolist())


@pytest.mark.parametrize("prompts_per_pass", [1, 3, 64])
def test_scores_equal_one_full_pass_per_target(
    tiny: EditableModel, requests: list[EditRequest], prompts_per_pass: int
) -> None:
    asked = [(r.filled, (r.target_new, r.target_true, "Old River North")) for r in requests]
    asked.append(asked[0])  # a prompt asked twice
    scores = scoring.score(tiny, asked, prompts_per_pass)
    for (prompt, targets), found in zip(asked, scores, strict=True):
        for target, one in zip(targets, found, strict=True):
            nll, argmax = literal.score(tiny.model, *continuation(tiny.tokenizer, prompt, target, "test"))
            assert one.nll == pytest.approx(nll, abs=1e-5)
            assert one.argmax is argmax
            assert one.said == predicted_tokens(tiny, prompt, target)
    for one, again in zip(scores[0], scores[-1], strict=True):  # in another pass, beside other prompts
        assert (one.nll, one.hits) == (pytest.approx(again.nll, rel=1e-12), again.hits)
    assert scores[0][0].nll != pytest.approx(scores[0][1].nll, abs=1e-5)  # control: targets differ


def test_rows_are_measured_per_request_metric_and_prompt(llama: EditableModel, requests: list[EditRequest]) -> None:
    rows = measure(llama, requests, NAMES)
    assert len(rows) == len(requests) * (1 + 1 + 2)
    turned = measure(llama, requests[::-1], NAMES)
    key = lambda row: (row.request_id, row.metric, row.prompt_index)  # noqa: E731
    for a, b in zip(sorted(rows, key=key), sorted(turned, key=key), strict=True):
        assert a.nll_new == pytest.approx(b.nll_new, abs=1e-6)
    for row in rows:
        wanted_new = row.metric != "neighbourhood"
        assert row.success == float((row.nll_new < row.nll_true) == wanted_new)
    done: list[int] = []
    measure(llama, requests, NAMES, done.append)
    assert sum(done) == prompt_count(requests, NAMES)


def test_the_tokenizers_padding_side_does_not_matter(llama: EditableModel, requests: list[EditRequest]) -> None:
    scores = []
    for side in ("right", "left"):
        llama.tokenizer.padding_side = side
        scores.append([row.nll_new for row in measure(llama, requests, NAMES)])
    assert scores[0] == scores[1]


def test_a_perfect_and_a_perfectly_wrong_model(
    llama: EditableModel, requests: list[EditRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def panel(new: scoring.Score, true: scoring.Score) -> dict[str, tuple[float | None, float | None]]:
        measured = {(r.target_new, r.target_true): [new, true] for r in requests}
        measured |= {(r.target_true, r.target_new): [true, new] for r in requests}
        monkeypatch.setattr(
            "editflow.editing.metrics.measure.score", lambda _m, asked, progress: [measured[a] for _, a in asked]
        )
        rows: list[PromptScore] = measure(llama, requests, NAMES)
        return {name: (mean(rows, name, "success"), mean(rows, name, "accuracy")) for name in NAMES}

    sure, unsure = scoring.Score(0.1, 2, 2), scoring.Score(9.0, 2, 1)
    assert panel(sure, unsure) == {"efficacy": (1, 1), "paraphrase": (1, 1), "neighbourhood": (0, 0)}
    assert panel(unsure, sure) == {"efficacy": (0, 0), "paraphrase": (0, 0), "neighbourhood": (1, 1)}
    assert panel(unsure, unsure) == dict.fromkeys(NAMES, (0, 0))  # a tie is no success


def test_the_mean_weights_cases_equally() -> None:
    rows = [{"request": request, "success": value} for request, value in (("a", 1), ("a", 1), ("a", 1), ("b", 0))]
    assert cases(rows, "success") == {"a": 1, "b": 0}
    assert cases([], "success") == {}


def test_perplexity_equals_full_passes(llama: EditableModel) -> None:
    windows = [[5, 6, 7, 8], [9, 10], [11, 12, 13, 14, 15], [9]]
    rows = window_nll(llama, windows, windows_per_pass=2)
    assert [tokens for tokens, _ in rows] == [3, 1, 4, 0]
    total = 0.0
    for window in windows:
        total += sum(literal.score(llama.model, window[:n], [window[n]])[0] for n in range(1, len(window)))
    assert perplexity(rows) == pytest.approx(math.exp(total / 8), rel=1e-5)
    llama.weight(3)[:] = torch.nan
    with pytest.raises(NonFinite, match="held-out window"):
        window_nll(llama, windows)
    with pytest.raises(NonFinite, match="NLL of a target"):
        scoring.score(llama, [("the capital of", ("France",))])


def test_greedy_continuation_takes_the_argmax(tiny: EditableModel) -> None:
    """Padded prompts of other lengths in the batch change nothing."""
    wanted, prompts = [], ["the capital of", "Anna speaks", "who lives in Lyon , says"]
    for prompt in prompts:
        ids, _ = encode(tiny.tokenizer, prompt)
        start = len(ids)
        for _ in range(4):
            ids.append(int(tiny.model(torch.tensor([ids])).logits[0, -1].argmax()))
        wanted.append(tiny.tokenizer.decode(ids[start:], skip_special_tokens=True))
    assert continue_texts(tiny, prompts, 4) == wanted
    assert continue_text(tiny, "the capital of", 4) == wanted[0]
    assert continue_texts(tiny, prompts, 1) != wanted  # control: fewer tokens


def test_a_continuation_ends_at_the_end_of_text(llama: EditableModel) -> None:
    both = ["the capital of", "Anna speaks"]
    first, other = continue_texts(llama, both, 3)
    word = llama.tokenizer(first.split()[0], add_special_tokens=False)["input_ids"][0]
    llama.tokenizer.eos_token = llama.tokenizer.convert_ids_to_tokens(word)
    assert continue_texts(llama, both, 3)[0] == ""
    assert continue_texts(llama, ["Anna speaks"], 3) == continue_texts(llama, both, 3)[1:]
    assert other


def test_unknown_metrics_are_named() -> None:
    with pytest.raises(InvalidOption, match="unknown metric 'fluency': choose from efficacy"):
        metric("fluency")
