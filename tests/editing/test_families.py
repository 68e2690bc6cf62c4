"""Every declared architecture: its key times its weight is its output, and changes land where they are declared."""

from __future__ import annotations

import pytest
import torch
from oracle.rows import row_logits

from editing.errors import UnknownFamily
from editing.linalg.solvers import LowRank
from editing.models.editable import EditableModel
from editing.models.family import families, family_of
from editing.models.rows import Rows, capture, run

IDS = [5, 9, 12, 30, 7]


def test_every_family_is_covered_here(tiny: EditableModel) -> None:
    assert {f.name for f in families()} == {"llama", "gpt2", "gptj"}
    assert tiny.family in families()


def test_key_times_weight_is_the_modules_output(tiny: EditableModel) -> None:
    module = tiny.down_projection(1)
    with capture(module, inputs=True) as keys, capture(module, inputs=False) as values:
        run(tiny, Rows.pad([IDS]))
    W, bias = tiny.weight(1), getattr(module, "bias", None)
    assert W.shape == (32, 64) == (32, tiny.key_width(1))
    wanted = values[0][0] if bias is None else values[0][0] - bias
    assert torch.allclose(keys[0][0] @ W.T, wanted, atol=1e-10)
    assert tiny.model.state_dict()[tiny.tensor_name(1)].data_ptr() == W.data_ptr()


def test_a_change_at_one_position_changes_nothing_before_it(tiny: EditableModel) -> None:
    with capture(tiny.layers[1], inputs=False) as seen:
        base = run(tiny, Rows.pad([IDS]))
    moved = seen[0].clone()
    moved[:, 2] = moved[:, 2].flip(-1)  # a constant shift would vanish in a layer norm
    edited = run(tiny, Rows.pad([IDS]), entering=(2, moved))
    assert torch.allclose(edited[:, :2], base[:, :2], atol=1e-10)
    assert not torch.allclose(edited[:, 2:], base[:, 2:], atol=1e-3)


def test_adding_a_change_adds_it_to_the_layers_output(tiny: EditableModel) -> None:
    module = tiny.down_projection(2)
    with capture(module, inputs=True) as keys, capture(module, inputs=False) as before:
        run(tiny, Rows.pad([IDS]))
    change = LowRank(torch.randn(32, 2, dtype=torch.float64), torch.randn(64, 2, dtype=torch.float64))
    tiny.add(2, change)
    with capture(module, inputs=False) as after:
        run(tiny, Rows.pad([IDS]))
    assert torch.allclose(after[0], before[0] + keys[0] @ change.dense().T, atol=1e-9)
    original = tiny.weight(2).clone() - change.dense()
    tiny.replace(2, original)
    assert torch.allclose(tiny.weight(2), original)
    assert torch.isfinite(row_logits(tiny.model, IDS)).all()


def test_refusals() -> None:
    with pytest.raises(UnknownFamily, match=r"'bert' has no declaration \(declared: gpt2, gptj, llama"):
        family_of("bert")
