"""Facts are split into passes at the least cost, and common prefixes run once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_words import facts_of

from editflow.editing.editors.suffixes import PASS_OVERHEAD, Suffixes, run_shared_prefixes, split_into_passes
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import KVPrefix
from editflow.editing.requests.record import EditRequest


def cost(lengths: list[int], parts: list[range]) -> int:
    return sum(PASS_OVERHEAD + len(part) * max(lengths[i] for i in part) for part in parts)


@given(st.lists(st.integers(1, 90), max_size=8).map(sorted), st.integers(1, 400))
def test_no_other_split_of_adjacent_items_costs_less(lengths: list[int], limit: int) -> None:
    parts = split_into_passes(lengths, limit)
    assert [i for part in parts for i in part] == list(range(len(lengths)))
    assert all(len(part) == 1 or len(part) * max(lengths[i] for i in part) <= limit for part in parts)
    for cuts in range(2 ** max(len(lengths) - 1, 0)):
        ends = [i + 1 for i in range(len(lengths) - 1) if cuts >> i & 1]
        other = [range(a, b) for a, b in zip([0, *ends], [*ends, len(lengths)], strict=True) if b > a]
        if all(len(part) == 1 or len(part) * max(lengths[i] for i in part) <= limit for part in other):
            assert cost(lengths, parts) <= cost(lengths, other)


def test_similar_lengths_share_a_pass_and_a_long_one_has_its_own() -> None:
    assert split_into_passes([10] * 6 + [500], 10_000) == [range(6), range(6, 7)]
    assert split_into_passes([10] * 6 + [11], 10_000) == [
        range(7)
    ]  # control: a little padding is cheaper than another start
    assert split_into_passes([10] * 6, 30) == [range(3), range(3, 6)]


@pytest.mark.parametrize("contexts", [("The city is blue . ", "You went home . "), ()])
def test_running_common_prefixes_once_changes_nothing(
    tiny: EditableModel, requests: list[EditRequest], contexts: tuple[str, ...]
) -> None:
    facts = facts_of(tiny, requests, contexts)
    each = 1 + len(contexts)
    rows = [row for fact in facts for row in fact.rows]
    trunks = run_shared_prefixes(tiny, rows, each)
    assert trunks.mask.sum(1).tolist()[1:] == [5, 4][: len(contexts)]  # the contexts themselves
    on = trunks.select(torch.arange(each).repeat(len(facts)))
    separate = Suffixes.build(tiny, 1, rows, KVPrefix.empty(len(rows), tiny.device), each)
    together = Suffixes.build(tiny, 1, rows, on, each)
    delta = torch.randn(len(facts), together.hidden.shape[-1], dtype=together.hidden.dtype)
    real = together.rows.mask.bool()
    assert torch.allclose(together.hidden[real], separate.hidden[real], atol=1e-10)
    assert torch.allclose(
        together.final_states(tiny, 1, delta)[real], separate.final_states(tiny, 1, delta)[real], atol=1e-9
    )
    places = torch.tensor([3, 1])
    chosen = torch.cat([torch.arange(each) + 3 * each, torch.arange(each) + each])
    some = together.select(places).final_states(tiny, 1, delta[places])
    assert torch.allclose(some[real[chosen]], separate.final_states(tiny, 1, delta)[chosen][real[chosen]], atol=1e-9)
    if contexts:  # control: another beginning is another prefix
        wrong = Suffixes.build(tiny, 1, rows, on.select(torch.arange(len(rows)).flip(0)), each)
        assert not torch.allclose(wrong.hidden[real], separate.hidden[real], atol=1e-3)
