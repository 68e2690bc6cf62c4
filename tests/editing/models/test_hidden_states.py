"""Hidden states equal transformers' own, for any padding and any number of prompts per pass."""

from __future__ import annotations

import pytest
import torch
from oracle.rows import layer_output
from support.tiny_words import word_tokenizer

from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.hidden_states import hidden_states
from editflow.editing.models.tokens import encode

PROMPTS = [
    "the capital of France is",
    "Anna",
    "Karl Van Der Berg speaks",
    "who lives in Lyon , says",
    "Anna",
    "Omar plays",
]
LAYERS = [0, 2, 3]


def transformers_own(model: EditableModel, side: str) -> dict[int, torch.Tensor]:
    """One padded batch through transformers' public interface: (n, d) after each layer but the last."""
    tokenizer = model.tokenizer
    tokenizer.pad_token, tokenizer.padding_side = "<unk>", side
    batch = tokenizer(PROMPTS, return_tensors="pt", padding=True)
    mask = batch["attention_mask"]
    places = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        given = model.model(
            input_ids=batch["input_ids"], attention_mask=mask, position_ids=places, output_hidden_states=True
        ).hidden_states
    last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
    rows = torch.arange(len(PROMPTS))
    return {layer: given[layer + 1][rows, last] for layer in range(model.depth - 1)}


@pytest.mark.parametrize("side", ["left", "right"])
def test_hidden_states_equal_transformers_output_hidden_states(tiny: EditableModel, side: str) -> None:
    found = hidden_states(tiny, PROMPTS, LAYERS)
    wanted = transformers_own(tiny, side)
    for layer in (0, 2):
        assert torch.allclose(found[layer], wanted[layer], atol=1e-10)
        assert not torch.allclose(found[layer], wanted[1], atol=1e-3)  # control: another layer's


def test_the_last_layers_are_before_the_final_norm(tiny: EditableModel) -> None:
    found = hidden_states(tiny, PROMPTS, [3])[3]
    assert found.shape == (len(PROMPTS), 32)
    assert found.dtype == torch.float64
    for row, prompt in zip(found, PROMPTS, strict=True):
        ids, _ = encode(tiny.tokenizer, prompt)
        assert torch.allclose(row, layer_output(tiny.model, tiny.layers[3], ids)[-1], atol=1e-10)


@pytest.mark.parametrize("prompts_per_pass", [1, 2, 5, 64])
def test_the_number_of_prompts_per_pass_does_not_matter(tiny: EditableModel, prompts_per_pass: int) -> None:
    done: list[int] = []
    whole, parts = (
        hidden_states(tiny, PROMPTS, LAYERS),
        hidden_states(tiny, PROMPTS, LAYERS, prompts_per_pass, done.append),
    )
    assert sum(done) == len(PROMPTS)
    for layer in LAYERS:
        assert torch.allclose(whole[layer], parts[layer], atol=1e-10)
        assert torch.allclose(whole[layer][1], whole[layer][4], atol=1e-10)  # the same prompt twice


def test_rows_keep_the_order_of_the_prompts(llama: EditableModel) -> None:
    forth, back = hidden_states(llama, PROMPTS, [1])[1], hidden_states(llama, PROMPTS[::-1], [1])[1]
    assert torch.allclose(forth, back.flip(0), atol=1e-10)
    assert not torch.allclose(forth, back, atol=1e-3)


def test_a_bos_token_is_included_if_the_tokenizer_has_one(llama: EditableModel) -> None:
    with_bos = EditableModel(llama.model, word_tokenizer(bos=True), llama.family)
    found = hidden_states(with_bos, ["Anna speaks"], [1])[1][0]
    ids, _ = encode(with_bos.tokenizer, "Anna speaks")
    assert ids[0] == 1
    assert torch.allclose(found, layer_output(llama.model, llama.layers[1], ids)[-1], atol=1e-10)


def test_refusals(llama: EditableModel) -> None:
    with pytest.raises(InvalidOption, match=r"layers \[4\]: choose from 0…3"):
        hidden_states(llama, PROMPTS, [0, 4])
    with pytest.raises(InvalidOption, match="layers none"):
        hidden_states(llama, PROMPTS, [])
    with pytest.raises(InvalidOption, match="prompt 1 is empty"):
        hidden_states(llama, ["Anna", ""], [0])
    llama.weight(1).fill_(torch.nan)
    with pytest.raises(NonFinite, match="layer 1 is not finite"):
        hidden_states(llama, PROMPTS, [1])
