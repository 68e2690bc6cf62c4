"""Every declared architecture: its key times its weight is its output, and changes land where they are declared."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from oracle.rows import added, layer_output, row_logits
from oracle.tiny import FAMILIES, LLAMA
from oracle.wide import widen
from tiny_words import word_tokenizer
from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

from editing.errors import UnknownFamily
from editing.linalg.solvers import LowRank
from editing.models.editable import EditableModel
from editing.models.family import families, family_of
from editing.models.loading import editable
from editing.models.rows import Rows, capture, run

IDS = [5, 9, 12, 30, 7]


def test_every_architecture_is_covered_here() -> None:
    declared = [name for family in families() for name in family.model_types]
    assert len(set(declared)) == len(declared)
    assert {FAMILIES[name]().model.config.model_type for name in FAMILIES} == set(declared)


def test_what_the_down_projection_gives_joins_the_layers_output_unchanged(every: EditableModel) -> None:
    assert torch.allclose(*_moved(every), atol=1e-9)


@pytest.mark.parametrize(("kind", "config"), [(Gemma2ForCausalLM, Gemma2Config), (Gemma3ForCausalLM, Gemma3TextConfig)])
def test_a_norm_after_the_down_projection_would_be_noticed(kind: Any, config: Any) -> None:
    """The control of the test above, and why these are refused: neither layers nor a head that caps logits fit."""
    torch.manual_seed(11)
    bare = widen(kind(config(**LLAMA, head_dim=16, pad_token_id=0, final_logit_softcapping=1.0)))
    model = editable(bare, word_tokenizer(), family_of("llama"))
    layer, added = _moved(model)
    assert not torch.allclose(layer, added, atol=1e-3)
    assert not torch.allclose(model.logits(run(model, Rows.pad([IDS])))[0], row_logits(bare, IDS), atol=1e-3)
    with pytest.raises(UnknownFamily, match=f"'{bare.config.model_type}' normalises .*Gemma 1, Llama or Qwen3"):
        editable(bare, word_tokenizer())


def _moved(model: EditableModel) -> tuple[torch.Tensor, torch.Tensor]:
    """By what a layer's output (T, d) moves, and what was added to its down-projection's output (T, d)."""
    delta = torch.zeros(len(IDS), 32, dtype=torch.float64)
    delta[2] = torch.randn(32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = layer_output(model.model, model.layers[1], IDS)
    with added(model.down_projection(1), 2, delta[2]):
        after = layer_output(model.model, model.layers[1], IDS)
    return after - before, delta


def test_key_times_weight_is_the_modules_output(every: EditableModel) -> None:
    module = every.down_projection(1)
    with capture(module, inputs=True) as keys, capture(module, inputs=False) as values:
        run(every, Rows.pad([IDS]))
    W, bias = every.weight(1), getattr(module, "bias", None)
    assert W.shape == (32, 64) == (32, every.key_width(1))
    wanted = values[0][0] if bias is None else values[0][0] - bias
    assert torch.allclose(keys[0][0] @ W.T, wanted, atol=1e-10)
    assert every.model.state_dict()[every.tensor_name(1)].data_ptr() == W.data_ptr()


def test_a_change_at_one_position_changes_nothing_before_it(every: EditableModel) -> None:
    with capture(every.layers[1], inputs=False) as seen:
        base = run(every, Rows.pad([IDS]))
    moved = seen[0].clone()
    moved[:, 2] = moved[:, 2].flip(-1)  # a constant shift would vanish in a layer norm
    edited = run(every, Rows.pad([IDS]), entering=(2, moved))
    assert torch.allclose(edited[:, :2], base[:, :2], atol=1e-10)
    assert not torch.allclose(edited[:, 2:], base[:, 2:], atol=1e-3)


def test_adding_a_change_adds_it_to_the_layers_output(every: EditableModel) -> None:
    module = every.down_projection(2)
    with capture(module, inputs=True) as keys, capture(module, inputs=False) as before:
        run(every, Rows.pad([IDS]))
    change = LowRank(torch.randn(32, 2, dtype=torch.float64), torch.randn(64, 2, dtype=torch.float64))
    every.add(2, change)
    with capture(module, inputs=False) as after:
        run(every, Rows.pad([IDS]))
    assert torch.allclose(after[0], before[0] + keys[0] @ change.dense().T, atol=1e-9)
    original = every.weight(2).clone() - change.dense()
    every.replace(2, original)
    assert torch.allclose(every.weight(2), original)
    assert torch.isfinite(row_logits(every.model, IDS)).all()


def test_refusals() -> None:
    with pytest.raises(UnknownFamily, match=r"'bert' has no declaration \(declared: gemma, gpt2, gpt_neox, ") as error:
        family_of("bert")
    for part in ("model_type", "paths of its layers and down-projection", "orientation", "tuple", "family.py"):
        assert part in str(error.value)
