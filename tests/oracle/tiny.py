"""Tiny random float64 models of each declared architecture and its variants, with the locations of their parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTJConfig,
    GPTJForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from oracle.wide import widen

VOCAB, HIDDEN, INNER = 200, 32, 64
WINDOW = 4  # shorter than the tests' rows, so that sliding windows have an effect

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
    return _parts(model, model.model.layers, "down_proj", _gated)


def gpt2() -> SimpleNamespace:
    model = widen(GPT2LMHeadModel(GPT2Config(**GPT2)))
    return _parts(model, model.transformer.h, "c_proj", lambda mlp, x: mlp.act(mlp.c_fc(x)), transposed=True)


def gptj() -> SimpleNamespace:
    model = widen(GPTJForCausalLM(GPTJConfig(**GPT2, rotary_dim=4)))
    return _parts(model, model.transformer.h, "fc_out", lambda mlp, x: mlp.act(mlp.fc_in(x)))


def _gated(mlp: Any, x: Any) -> Any:
    return mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x)


def _like_llama(kind: Any, config: Any, **more: Any) -> SimpleNamespace:
    model = widen(kind(config(**{**LLAMA, **more})))
    return _parts(model, model.model.layers, "down_proj", _gated)


def mistral() -> SimpleNamespace:
    return _like_llama(MistralForCausalLM, MistralConfig, sliding_window=WINDOW)


def smollm3() -> SimpleNamespace:
    """Every other layer has no positional encoding."""
    return _like_llama(SmolLM3ForCausalLM, SmolLM3Config, no_rope_layer_interval=2, pad_token_id=0)


def qwen2() -> SimpleNamespace:
    """The upper half of the layers has a sliding window, which Qwen2's configuration allows."""
    return _like_llama(
        Qwen2ForCausalLM, Qwen2Config, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=2
    )


def qwen3() -> SimpleNamespace:
    """Heads are wider than their share of the hidden states; queries and keys are normalised."""
    return _like_llama(Qwen3ForCausalLM, Qwen3Config, head_dim=16)


def gemma() -> SimpleNamespace:
    """Embeddings are scaled and tied to the head."""
    return _like_llama(GemmaForCausalLM, GemmaConfig, head_dim=16, pad_token_id=0)


NORMED = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": WINDOW, "pad_token_id": 0}


def _normed(kind: Any, config: Any, **more: Any) -> SimpleNamespace:
    """Add norms after the down-projections, with weights that are not all ones."""
    parts = _like_llama(kind, config, **NORMED, **more)
    for layer in parts.layers:
        layer.post_feedforward_layernorm.weight.data.normal_(std=0.5)
    return parts


def gemma2() -> SimpleNamespace:
    """Every other layer has a sliding window; attention scores and logits are capped with effect."""
    return _normed(Gemma2ForCausalLM, Gemma2Config, final_logit_softcapping=4.0, attn_logit_softcapping=2.0)


def gemma3_text() -> SimpleNamespace:
    """Queries and keys are normalised; layers without a window have their own rotary angles; nothing is capped."""
    kinds = ["sliding_attention", "full_attention"] * 2
    return _normed(Gemma3ForCausalLM, Gemma3TextConfig, layer_types=kinds)


def phi3() -> SimpleNamespace:
    """Gate and up-projection are one matrix."""

    def key_of(mlp: Any, x: Any) -> Any:
        gate, up = mlp.gate_up_proj(x).chunk(2, dim=-1)
        return up * mlp.activation_fn(gate)

    model = widen(Phi3ForCausalLM(Phi3Config(**LLAMA, sliding_window=WINDOW, pad_token_id=0)))
    return _parts(model, model.model.layers, "down_proj", key_of)


def phi() -> SimpleNamespace:
    """Attention and MLP are parallel, half of each head is rotated, and the LM head has a bias."""
    config = PhiConfig(**LLAMA, qk_layernorm=True)
    model = widen(PhiForCausalLM(config))
    model.lm_head.bias.data.normal_()
    return _parts(model, model.model.layers, "fc2", lambda mlp, x: mlp.activation_fn(mlp.fc1(x)))


def gpt_neox(*, parallel: bool = True) -> SimpleNamespace:
    config = {name: value for name, value in LLAMA.items() if name != "num_key_value_heads"}
    model = widen(GPTNeoXForCausalLM(GPTNeoXConfig(**config, use_parallel_residual=parallel)))
    return _parts(model, model.gpt_neox.layers, "dense_4h_to_h", lambda mlp, x: mlp.act(mlp.dense_h_to_4h(x)))


FAMILIES = {
    "llama": llama,
    "smollm3": smollm3,
    "mistral": mistral,
    "qwen2": qwen2,
    "qwen3": qwen3,
    "gemma": gemma,
    "gemma2": gemma2,
    "gemma3_text": gemma3_text,
    "phi3": phi3,
    "phi": phi,
    "gpt2": gpt2,
    "gptj": gptj,
    "gpt_neox": gpt_neox,
    "gpt_neox sequential": partial(gpt_neox, parallel=False),
}
