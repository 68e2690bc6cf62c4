"""Tiny random models in float64, one for each weight orientation, and where their parts are."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from transformers import GPT2Config, GPT2LMHeadModel, GPTJConfig, GPTJForCausalLM, LlamaConfig, LlamaForCausalLM

from oracle.wide import widen

VOCAB, HIDDEN, INNER = 200, 32, 64

LLAMA = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.25,  # the usual 0.02 leaves every prediction uniform at this width
}
GPT2 = {
    "vocab_size": VOCAB,
    "n_embd": HIDDEN,
    "n_inner": INNER,
    "n_layer": 4,
    "n_head": 4,
    "n_positions": 64,
    "initializer_range": 0.25,
}


def _parts(
    model: Any, blocks: Any, linear: str, key_of: Callable[[Any, Any], Any], *, transposed: bool = False
) -> SimpleNamespace:
    linears = [getattr(block.mlp, linear) for block in blocks]
    return SimpleNamespace(model=model, layers=list(blocks), linears=linears, transposed=transposed, key_of=key_of)


def llama() -> SimpleNamespace:
    model = widen(LlamaForCausalLM(LlamaConfig(**LLAMA)))
    return _parts(model, model.model.layers, "down_proj", lambda mlp, x: mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x))


def gpt2() -> SimpleNamespace:
    model = widen(GPT2LMHeadModel(GPT2Config(**GPT2)))
    return _parts(model, model.transformer.h, "c_proj", lambda mlp, x: mlp.act(mlp.c_fc(x)), transposed=True)


def gptj() -> SimpleNamespace:
    model = widen(GPTJForCausalLM(GPTJConfig(**GPT2, rotary_dim=4)))
    return _parts(model, model.transformer.h, "fc_out", lambda mlp, x: mlp.act(mlp.fc_in(x)))


FAMILIES = {"llama": llama, "gpt2": gpt2, "gptj": gptj}
