"""Attention for short rows and products in bfloat16 agree with the model's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracle.rows import row_logits
from oracle.tiny import GPT2, LLAMA
from support.tiny_words import word_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel, GPTJConfig, GPTJForCausalLM, LlamaConfig, LlamaForCausalLM

from editflow.editing.models.attention import NAME, short_rows
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import PaddedBatch, run, run_prefix
from editflow.editing.models.loading import as_editable
from editflow.editing.models.precision import narrow_products

SEQUENCES = [[3, 4, 5, 6, 7, 8], [9, 10, 11], [12, 13, 14, 15]]
SPLITS = [4, 0, 2]


def test_attention_for_short_rows_gives_the_models_numbers(tiny: EditableModel) -> None:
    before = tiny.model.config._attn_implementation
    suffix = PaddedBatch.pad([s[n:] for s, n in zip(SEQUENCES, SPLITS, strict=True)])
    with short_rows(tiny):
        inside = tiny.model.config._attn_implementation
        prefix = run_prefix(tiny, PaddedBatch.pad([s[:n] for s, n in zip(SEQUENCES, SPLITS, strict=True)]))
        logits = tiny.logits(run(tiny, suffix, prefix=prefix))
    assert tiny.model.config._attn_implementation == before
    assert inside == (NAME if tiny.model.is_backend_compatible() else before)
    for row, (sequence, n) in enumerate(zip(SEQUENCES, SPLITS, strict=True)):
        assert torch.allclose(logits[row, : len(sequence) - n], row_logits(tiny.model, sequence)[n:], atol=1e-9)


def test_most_families_use_the_attention_registry(llama: EditableModel) -> None:
    """The control of the test above: the attention for short rows does run."""
    with short_rows(llama):
        assert llama.model.config._attn_implementation == NAME


def test_an_error_restores_attention_and_weights() -> None:
    model = as_editable(LlamaForCausalLM(LlamaConfig(**LLAMA)), word_tokenizer())

    def weights() -> dict[str, Any]:
        return {name: (p.data_ptr(), p.dtype) for name, p in model.model.named_parameters()}

    before = (model.model.config._attn_implementation, weights())
    with pytest.raises(RuntimeError), short_rows(model), narrow_products(model):
        assert weights() != before[1]  # control
        raise RuntimeError
    assert (model.model.config._attn_implementation, weights()) == before


@pytest.mark.parametrize(
    "bare",
    [
        lambda: LlamaForCausalLM(LlamaConfig(**LLAMA)),
        lambda: GPT2LMHeadModel(GPT2Config(**GPT2)),
        lambda: GPTJForCausalLM(GPTJConfig(**GPT2, rotary_dim=4)),
    ],
    ids=["llama", "gpt2", "gptj"],
)
def test_narrow_products_are_close_and_in_bfloat16(bare: Callable[[], Any]) -> None:
    """Also for a head that shares its matrix with the embedding: both stay wide."""
    torch.manual_seed(11)
    model, rows = as_editable(bare(), word_tokenizer()), PaddedBatch.pad(SEQUENCES)
    with torch.no_grad():
        wide = run(model, rows)
        with narrow_products(model):
            types = {p.dtype for p in model.down_projection(1).parameters() if p.dim() > 1}
            narrow = run(model, rows)
            assert model.model.get_output_embeddings().weight.dtype == torch.float32
        assert torch.equal(run(model, rows), wide)
    assert types == {torch.bfloat16}
    real = rows.mask.bool()
    distance = float((narrow - wide)[real].abs().max() / wide[real].abs().max())
    assert 1e-5 < distance < 0.05  # the lower limit is the control: eight bits leave their mark


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_only_float32_products_are_narrowed(dtype: torch.dtype) -> None:
    """A narrow model's head still fits its layers, with attention for short rows too."""
    model = as_editable(LlamaForCausalLM(LlamaConfig(**LLAMA)).to(dtype), word_tokenizer())
    rows = PaddedBatch.pad(SEQUENCES)
    with torch.no_grad(), short_rows(model):
        with narrow_products(model):
            inside = run(model, rows)
        logits = model.logits(inside)
        same = torch.equal(inside, run(model, rows))
    assert logits.dtype == inside.dtype == dtype
    assert same == (dtype != torch.float32)
