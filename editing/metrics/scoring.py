"""Teacher-forced scores of targets after prompts. Each prompt runs once for all of its targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editflow.editing.errors import NonFinite
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import KVPrefix, PaddedBatch, run
from editflow.editing.models.lm_head import Nll, losses
from editflow.editing.models.tokens import continuation


@dataclass(frozen=True)
class Score:
    """Score of one target after one prompt: mean NLL per token (nats), number of tokens, and how many are the argmax.

    `said` is the argmax at the place of each token, given the target's tokens before it.
    """

    nll: float
    tokens: int
    hits: int
    said: tuple[int, ...] = ()

    @property
    def argmax(self) -> bool:
        """Whether each token is the argmax, so that greedy decoding gives the target."""
        return self.hits == self.tokens


@dataclass(frozen=True)
class _Question:
    place: tuple[int, int]
    prompt: tuple[int, ...]
    target: list[int]


@torch.no_grad()
def score(
    model: EditableModel,
    asked: Sequence[tuple[str, Sequence[str]]],
    prompts_per_pass: int = 64,
    progress: Callable[[int], None] = lambda _prompts: None,
) -> list[list[Score]]:
    """Return the scores of all targets after their prompts, in the order given.

    Scores `prompt + " " + target`. Equal prompts run once, and the head runs only at the targets' positions.
    """
    groups: dict[tuple[int, ...], list[_Question]] = {}
    for i, (prompt, targets) in enumerate(asked):
        for j, target in enumerate(targets):
            prompt_ids, target_ids = continuation(model.tokenizer, prompt, target, f"prompt {prompt!r}")
            groups.setdefault(tuple(prompt_ids), []).append(_Question((i, j), tuple(prompt_ids), target_ids))
    scores: dict[tuple[int, int], Score] = {}
    ordered = sorted(groups, key=lambda ids: (len(ids), ids))
    for start in range(0, len(ordered), prompts_per_pass):
        part = ordered[start : start + prompts_per_pass]
        scores.update(_score_pass(model, part, [groups[ids] for ids in part]))
        progress(len(part))
    return [[scores[i, j] for j in range(len(targets))] for i, (_, targets) in enumerate(asked)]


def _score_pass(
    model: EditableModel, prompts: Sequence[tuple[int, ...]], questions: Sequence[Sequence[_Question]]
) -> dict[tuple[int, int], Score]:
    """Run the prompts once, then the targets without their last token on top of the prompts."""
    from transformers import DynamicCache

    rows = PaddedBatch.pad(prompts, model.device)
    cache = DynamicCache()
    hidden = run(model, rows, cache=cache)
    first = hidden[torch.arange(len(prompts)), rows.lengths - 1]
    flat = [(row, question) for row, group in enumerate(questions) for question in group]
    longer = [i for i, (_, question) in enumerate(flat) if len(question.target) > 1]
    # (question, hidden state that predicts it, token) for every token of every target
    states = [first[[row for row, _ in flat]]]
    tokens = [question.target[0] for _, question in flat]
    owners = list(range(len(flat)))
    if longer:
        prefix = KVPrefix.from_cache(model, cache, rows.mask)
        chosen = torch.tensor([flat[i][0] for i in longer], device=model.device)
        rest = run(
            model,
            PaddedBatch.pad([flat[i][1].target[:-1] for i in longer], model.device),
            prefix=prefix.select(chosen),
        )
        for place, i in enumerate(longer):
            target = flat[i][1].target
            states.append(rest[place, : len(target) - 1])
            tokens += target[1:]
            owners += [i] * (len(target) - 1)
    wanted = torch.tensor(tokens, device=model.device)
    nll, said = _read_head(model, torch.cat(states), wanted)
    return _collect([question.place for _, question in flat], torch.tensor(owners), nll, said, wanted.cpu())


def _read_head(model: EditableModel, states: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """NLL of each token, and the argmax at its place, (M,)."""
    said = torch.zeros_like(tokens)
    found = losses(model, states, Nll(tokens, said)).cpu().double()
    if not bool(torch.isfinite(found).all()):
        raise NonFinite("the NLL of a target is not finite: check the model's weights and dtype")
    return found, said.cpu()


def _collect(
    places: Sequence[tuple[int, int]], owners: Tensor, nll: Tensor, said: Tensor, tokens: Tensor
) -> dict[tuple[int, int], Score]:
    """Collect the targets' scores. A target's tokens are in order, but tokens of other targets may be between them."""
    zeros = torch.zeros(len(places), dtype=torch.float64)
    counts = zeros.index_add(0, owners, torch.ones_like(nll))
    means = zeros.index_add(0, owners, nll) / counts
    hits = zeros.index_add(0, owners, (said == tokens).double())
    words: list[list[int]] = [[] for _ in places]
    for owner, word in zip(owners.tolist(), said.tolist(), strict=True):
        words[owner].append(word)
    rows = zip(places, means.tolist(), counts.tolist(), hits.tolist(), words, strict=True)
    return {place: Score(mean, int(count), int(right), tuple(found)) for place, mean, count, right, found in rows}
