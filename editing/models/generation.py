"""Continuation of prompts: greedy, or sampled with noise that depends only on the prompt and the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editflow.editing.errors import NonFinite
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import KVPrefix, PaddedBatch, run
from editflow.editing.models.tokens import encode

Choice = Callable[[Tensor], list[int]]
"""From the logits (B, vocabulary) of the next token to one token per row."""


def continue_text(model: EditableModel, prompt: str, tokens: int = 16) -> str:
    """Return up to `tokens` greedily generated tokens as text."""
    return continue_texts(model, [prompt], tokens)[0]


def continue_texts(model: EditableModel, prompts: Sequence[str], tokens: int = 16) -> list[str]:
    """Continue several prompts greedily in one batch. With cached keys, each token costs a pass over one position."""
    ids = [encode(model.tokenizer, prompt)[0] for prompt in prompts]
    return _decode(model, _continue(model, ids, [tokens] * len(ids), argmax_tokens))


@dataclass(frozen=True)
class Sampling:
    """Settings of sampled texts: at most `tokens` tokens, each drawn from the `top_k` most likely.

    With `whole`, the tokens of the prompt count too.
    """

    tokens: int
    top_k: int = 1
    seed: int = 0
    whole: bool = False

    def budget(self, prompt: Sequence[int]) -> int:
        """Maximum number of tokens after a prompt's tokens; 0 for an empty prompt."""
        return max(0, self.tokens - self.whole * len(prompt)) if prompt else 0

    def choice(self, prompts: Sequence[str]) -> Choice:
        """Return the function that chooses the next tokens of these prompts."""
        if self.top_k == 1:
            return argmax_tokens
        return TopKSampler(self.top_k, [noise_generator(self.seed, prompt) for prompt in prompts])


def write_texts(
    model: EditableModel,
    prompts: Sequence[str],
    sampling: Sampling,
    prompts_per_pass: int = 32,
    progress: Callable[[int], None] = lambda _tokens: None,
) -> list[str]:
    """Return the model's text after each prompt, up to the end-of-text token. `progress` receives numbers of tokens.

    A text depends only on model, prompt and `sampling`, not on the other prompts, their order or padding. The exception
    is a near tie that the last bits of a float32 sum decide, so `prompts_per_pass` is part of the stage's version.
    Prompts of similar length share a pass; equal prompts run once.
    """
    ids = {prompt: encode(model.tokenizer, prompt)[0] for prompt in prompts}
    nonempty = [prompt for prompt in ids if sampling.budget(ids[prompt])]
    ordered = sorted(nonempty, key=lambda prompt: (len(ids[prompt]), prompt))
    texts = dict.fromkeys(ids, "")
    for start in range(0, len(ordered), prompts_per_pass):
        part = ordered[start : start + prompts_per_pass]
        budgets = [sampling.budget(ids[prompt]) for prompt in part]
        continuations = _continue(model, [ids[prompt] for prompt in part], budgets, sampling.choice(part), progress)
        texts.update(zip(part, _decode(model, continuations), strict=True))
    return [texts[prompt] for prompt in prompts]


def total_budget(model: EditableModel, prompts: Sequence[str], sampling: Sampling) -> int:
    """Sum of the budgets of the distinct prompts, which is the total that `write_texts` reports to `progress`."""
    return sum(sampling.budget(encode(model.tokenizer, prompt)[0]) for prompt in set(prompts))


def noise_generator(seed: int, prompt: str) -> torch.Generator:
    """The random generator of a prompt under a seed."""
    digest = hashlib.sha256(f"{seed}\0{prompt}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def argmax_tokens(logits: Tensor) -> list[int]:
    """The argmax of each row."""
    return [int(token) for token in logits.argmax(-1)]


@dataclass(frozen=True)
class TopKSampler:
    """Samples each row's token from softmax over its `top_k` most likely, with its own noise (the Gumbel-max trick).

    Noise is assigned to words of the vocabulary, not to ranks. So two models with the same logits choose the same word,
    and an edited model's text differs from the base model's only where the edit changed the logits.
    """

    top_k: int
    generators: Sequence[torch.Generator]

    def __call__(self, logits: Tensor) -> list[int]:
        """One token per row. Call it once per position, since it advances the generators."""
        lowest = logits.topk(min(self.top_k, logits.shape[-1])).values[:, -1:]
        rows = zip(logits.cpu(), (logits >= lowest).cpu(), self.generators, strict=True)
        return [_sample(row, kept, torch.rand(len(row), generator=one)) for row, kept, one in rows]


def _sample(logits: Tensor, kept: Tensor, uniform: Tensor) -> int:
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
    """Return the tokens generated after each prompt, at most its budget, without the end-of-text token."""
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
            raise NonFinite("the logits of the next token contain NaN: check the model's weights and dtype")
        chosen = choose(logits)
        for row, token in enumerate(chosen):
            ends = left[row] > 0 and token == model.tokenizer.eos_token_id
            continuations[row] += [token] if left[row] and not ends else []
            left[row] = 0 if ends else max(0, left[row] - 1)
        progress(before - sum(left))
        prefix = KVPrefix.from_cache(model, cache, torch.cat([prefix.mask, rows.mask], dim=1))
        cache = prefix.cache() or cache
        ids = torch.tensor(chosen, device=model.device)[:, None]
        rows, last = PaddedBatch(ids, torch.ones_like(ids)), (last[0], torch.zeros_like(last[1]))
    return continuations


def _decode(model: EditableModel, continuations: Sequence[Sequence[int]]) -> list[str]:
    return [str(model.tokenizer.decode(ids, skip_special_tokens=True)) for ids in continuations]
