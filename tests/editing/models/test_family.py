"""Every declared architecture: key times weight is the output, and changes have the declared effect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from oracle.rows import added, layer_output, row_logits
from oracle.tiny import FAMILIES, LLAMA
from support.tiny_words import word_tokenizer
from transformers import Gemma3Config

from editflow.editing.errors import InvalidOption, UnknownFamily
from editflow.editing.linalg.projected_ridge import LowRank
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.family import FAMILIES as DECLARED
from editflow.editing.models.family import check_target, family_of
from editflow.editing.models.forward import PaddedBatch, capture, run
from editflow.editing.models.loading import as_editable, load

IDS = [5, 9, 12, 30, 7]


def test_every_architecture_is_covered_here() -> None:
    declared = [name for family in DECLARED for name in family.model_types]
    assert len(set(declared)) == len(declared)
    assert {FAMILIES[name]().model.config.model_type for name in FAMILIES} == set(declared)


def test_the_down_projections_output_is_added_to_the_layers_output(every: EditableModel) -> None:
    found, wanted = _moved(every)
    assert torch.allclose(found, wanted, atol=1e-9)
    assert not torch.allclose(found.roll(1, 0), wanted, atol=1e-3)  # control: another token's


@pytest.mark.parametrize("name", ["gemma2", "gemma3_text"])
def test_a_norm_after_the_down_projection_would_be_noticed(name: str) -> None:
    """The control of the test above: declared as a plain Llama, neither layers nor a head that caps logits fit."""
    torch.manual_seed(11)
    bare = FAMILIES[name]().model
    model = as_editable(bare, word_tokenizer(), family_of("llama"))
    assert not torch.allclose(*_moved(model), atol=1e-3)
    capped = bare.config.final_logit_softcapping is not None
    same = torch.allclose(model.logits(run(model, PaddedBatch.pad([IDS])))[0], row_logits(bare, IDS), atol=1e-3)
    assert same is not capped
    assert capped is (name == "gemma2")


def _moved(model: EditableModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Change of a layer's output (T, d) with its down-projection's output, measured and declared."""
    delta = torch.zeros(len(IDS), 32, dtype=torch.float64)
    delta[2] = torch.randn(32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = layer_output(model.model, model.layers[1], IDS)
    at = layer_output(model.model, model.down_projection(1), IDS)
    with added(model.down_projection(1), 2, delta[2]):
        after = layer_output(model.model, model.layers[1], IDS)
    return after - before, model.output_shift(1, at, delta)


def test_key_times_weight_equals_the_modules_output(every: EditableModel) -> None:
    module = every.down_projection(1)
    with capture(module, inputs=True) as keys, capture(module, inputs=False) as values:
        run(every, PaddedBatch.pad([IDS]))
    W, bias = every.weight(1), getattr(module, "bias", None)
    assert W.shape == (32, 64) == (32, every.key_width(1))
    wanted = values[0][0] if bias is None else values[0][0] - bias
    assert torch.allclose(keys[0][0] @ W.T, wanted, atol=1e-10)
    assert not torch.allclose(keys[0][0] @ every.weight(2).T, wanted, atol=1e-3)  # control: another layer's weight
    turned = replace(every, family=replace(every.family, transposed=not every.family.transposed))
    assert turned.weight(1).shape == (64, 32)  # control: declared the other way round
    assert every.model.state_dict()[every.tensor_name(1)].data_ptr() == W.data_ptr()


def test_a_change_at_one_position_changes_nothing_before_it(every: EditableModel) -> None:
    with capture(every.layers[1], inputs=False) as seen:
        base = run(every, PaddedBatch.pad([IDS]))
    moved = seen[0].clone()
    moved[:, 2] = moved[:, 2].flip(-1)  # a constant shift would vanish in a layer norm
    edited = run(every, PaddedBatch.pad([IDS]), entering=(2, moved))
    assert torch.allclose(edited[:, :2], base[:, :2], atol=1e-10)
    assert not torch.allclose(edited[:, 2:], base[:, 2:], atol=1e-3)


def test_adding_a_change_adds_it_to_the_layers_output(every: EditableModel) -> None:
    module = every.down_projection(2)
    with capture(module, inputs=True) as keys, capture(module, inputs=False) as before:
        run(every, PaddedBatch.pad([IDS]))
    change = LowRank(torch.randn(32, 2, dtype=torch.float64), torch.randn(64, 2, dtype=torch.float64))
    every.add(2, change)
    with capture(module, inputs=False) as after:
        run(every, PaddedBatch.pad([IDS]))
    assert torch.allclose(after[0], before[0] + keys[0] @ change.dense().T, atol=1e-9)
    assert not torch.allclose(after[0], before[0], atol=1e-3)  # control
    original = every.weight(2).clone() - change.dense()
    every.replace(2, original)
    assert torch.allclose(every.weight(2), original)
    assert torch.isfinite(row_logits(every.model, IDS)).all()


def test_refusals() -> None:
    with pytest.raises(UnknownFamily, match=r"'bert' has no declaration \(declared: gemma, gemma2, ") as error:
        family_of("bert")
    for part in ("model_type", "paths of its layers and down-projection", "orientation", "tuple", "family.py"):
        assert part in str(error.value)


def test_a_multimodal_model_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    Gemma3Config(text_config={**LLAMA, "head_dim": 16}).save_pretrained(tmp_path)
    with pytest.raises(UnknownFamily, match=r"'gemma3' reads images .*'gemma3_text'"):
        load(tmp_path)


def test_target_values_before_a_norm_allow_one_layer_only() -> None:
    for name in ("gemma2", "gemma3_text"):
        with pytest.raises(InvalidOption, match=r"normalises .* edit one layer .*edit.layers = \[3\]"):
            check_target(family_of(name), [2, 3], 3)
        with pytest.raises(InvalidOption, match="edit one layer"):
            check_target(family_of(name), [2], 3)
        check_target(family_of(name), [3], 3)
    check_target(family_of("llama"), [2, 3], 3)  # control: plain layers hand residuals on
