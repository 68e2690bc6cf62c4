"""Context texts: short continuations of common openings, sampled from the base model."""

from __future__ import annotations

import torch

from editflow.editing.editors.options import ContextOptions
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import PaddedBatch, run
from editflow.editing.models.tokens import encode

OPENINGS = ("The", "Therefore", "Because", "I", "You")
"""First words of the sampled contexts, in rotation (as in the published settings of MEMIT and AlphaEdit)."""


@torch.no_grad()
def sample_contexts(model: EditableModel, options: ContextOptions) -> list[str]:
    """Return `options.count` texts to put before a prompt, each ending in ". ".

    Top-k sampling with a generator seeded by `options.seed`: the same model, options and machine give the same texts.
    """
    generator = torch.Generator().manual_seed(options.seed)
    sequences = [encode(model.tokenizer, OPENINGS[i % len(OPENINGS)])[0] for i in range(options.count)]
    if not sequences:
        return []
    for _ in range(options.tokens):
        rows = PaddedBatch.pad(sequences, model.device)
        hidden = run(model, rows)[torch.arange(len(sequences)), rows.lengths - 1]
        top = model.logits(hidden).float().cpu().topk(min(options.top_k, model.model.config.vocab_size))
        picks = torch.multinomial(top.values.softmax(-1), 1, generator=generator)
        for sequence, token in zip(sequences, top.indices.gather(1, picks)[:, 0].tolist(), strict=True):
            sequence.append(token)
    return [_clean(model.tokenizer.decode(s, skip_special_tokens=True)) for s in sequences]


def _clean(text: str) -> str:
    """Return the text as one line without braces, which would turn it into a template."""
    return " ".join(text.replace("{", " ").replace("}", " ").split()) + ". "
