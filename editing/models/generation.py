"""Continuation of prompts: greedy, or sampled with noise that depends on the prompt alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editflow.editing.errors import NonFinite
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import KVPrefix, PaddedBatch, left_by, run
from editflow.editing.models.tokens import encode

Choice = Callable[[Tensor], list[int]]
"""From the logits (B, vocabulary) of what comes next to one token a row."""


def continue_text(model: EditableModel, prompt: str, tokens: int = 16) -> str:
    """The `tokens` likeliest next tokens, one after the other, as text."""
    return continue_texts(model, [prompt], tokens)[0]


def continue_texts(model: EditableModel, prompts: Sequence[str], tokens: int = 16) -> list[str]:
    """The same of several prompts together; what has run is kept, so each token costs a pass over one position."""
    asked = [encode(model.tokenizer, prompt)[0] for prompt in prompts]
    return _texts(model, _continue(model, asked, [tokens] * len(asked), likeliest))


@dataclass(frozen=True)
class Writing:
    """Texts of at most `tokens` tokens, of the prompt too where `whole`, each drawn from the `top_k` likeliest."""

    tokens: int
    top_k: int = 1
    seed: int = 0
    whole: bool = False

    def budget(self, prompt: Sequence[int]) -> int:
        """How many tokens may follow a prompt's; none without one."""
        return max(0, self.tokens - self.whole * len(prompt)) if prompt else 0

    def choice(self, prompts: Sequence[str]) -> Choice:
        """How the next tokens of these prompts are chosen."""
        return likeliest if self.top_k == 1 else Drawing(self.top_k, [noise(self.seed, prompt) for prompt in prompts])


def write_texts(
    model: EditableModel,
    prompts: Sequence[str],
    writing: Writing,
    prompts_per_pass: int = 32,
    progress: Callable[[int], None] = lambda _tokens: None,
) -> list[str]:
    """What the model writes after each prompt, up to the end-of-text token. `progress` receives numbers of tokens.

    A text depends on model, prompt and `writing` alone: not on its neighbours, on their order or on the padding, but
    for tokens so near to a tie that the last bits of a float32 sum decide (so `prompts_per_pass` is part of the version
    of what is stored). Prompts of about one length share a pass; one that is given twice runs once.
    """
    ids = {prompt: encode(model.tokenizer, prompt)[0] for prompt in prompts}
    asked = [prompt for prompt in ids if writing.budget(ids[prompt])]
    ordered = sorted(asked, key=lambda prompt: (len(ids[prompt]), prompt))
    found = dict.fromkeys(ids, "")
    for start in range(0, len(ordered), prompts_per_pass):
        part = ordered[start : start + prompts_per_pass]
        budgets = [writing.budget(ids[prompt]) for prompt in part]
        continuations = _continue(model, [ids[prompt] for prompt in part], budgets, writing.choice(part), progress)
        found.update(zip(part, _texts(model, continuations), strict=True))
    return [found[prompt] for prompt in prompts]


def budget(model: EditableModel, prompts: Sequence[str], writing: Writing) -> int:
    """The sum of the budgets of the different prompts: what `write_texts` reports to `progress` in total."""
    return sum(writing.budget(encode(model.tokenizer, prompt)[0]) for prompt in set(prompts))


def noise(seed: int, prompt: str) -> torch.Generator:
    """The source of a prompt's noise under a seed."""
    digest = hashlib.sha256(f"{seed}\0{prompt}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def likeliest(logits: Tensor) -> list[int]:
    """The argmax of each row."""
    return [int(token) for token in logits.argmax(-1)]


@dataclass(frozen=True)
class Drawing:
    """Each row's token from softmax over its `top_k` likeliest, with noise of its own (the Gumbel-max trick).

    The noise belongs to words of the vocabulary, not to ranks: where two models agree, they take the same word from the
    same noise, so an edited model's text parts from the base model's only where the edit moved it.
    """

    top_k: int
    noises: Sequence[torch.Generator]

    def __call__(self, logits: Tensor) -> list[int]:
        """One token a row; call it once a position."""
        lowest = logits.topk(min(self.top_k, logits.shape[-1])).values[:, -1:]
        rows = zip(logits.cpu(), (logits >= lowest).cpu(), self.noises, strict=True)
        return [_draw(row, kept, torch.rand(len(row), generator=one)) for row, kept, one in rows]


def _draw(logits: Tensor, kept: Tensor, uniform: Tensor) -> int:
    """The kept word with the largest sum of logit and Gumbel noise, −log(−log u)."""
    words = kept.nonzero()[:, 0]
    gumbel = -(-uniform[words].double().clamp_min(2.0**-26).log()).log()
    return int(words[(logits[words].double() + gumbel).argmax()])


@torch.no_grad()
def _continue(
    model: EditableModel,
    prompts: Sequence[list[int]],
    budgets: Sequence[int],
    choose: Choice,
    progress: Callable[[int], None] = lambda _tokens: None,
) -> list[list[int]]:
    """The tokens that follow each prompt's, at most its budget, without the end-of-text token."""
    from transformers import DynamicCache

    rows = PaddedBatch.pad(prompts, model.device)
    last = (torch.arange(len(prompts), device=model.device), rows.lengths - 1)
    continuations: list[list[int]] = [[] for _ in prompts]
    left = list(budgets)
    prefix, cache = KVPrefix.empty(len(prompts), model.device), DynamicCache()
    while any(left):
        before = sum(left)
        logits = model.logits(run(model, rows, prefix=prefix, cache=cache)[last])
        if bool(logits.isnan().any()):
            raise NonFinite("what should follow a prompt is not a number: check the model's weights and dtype")
        chosen = choose(logits)
        for row, token in enumerate(chosen):
            ends = left[row] > 0 and token == model.tokenizer.eos_token_id
            continuations[row] += [token] if left[row] and not ends else []
            left[row] = 0 if ends else max(0, left[row] - 1)
        progress(before - sum(left))
        prefix = left_by(model, cache, torch.cat([prefix.mask, rows.mask], dim=1))
        cache = prefix.cache() or cache
        ids = torch.tensor(chosen, device=model.device)[:, None]
        rows, last = PaddedBatch(ids, torch.ones_like(ids)), (last[0], torch.zeros_like(last[1]))
    return continuations


def _texts(model: EditableModel, continuations: Sequence[Sequence[int]]) -> list[str]:
    return [str(model.tokenizer.decode(ids, skip_special_tokens=True)) for ids in continuations]
