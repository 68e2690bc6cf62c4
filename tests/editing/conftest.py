"""Tiny random models of every declared architecture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from oracle.tiny import FAMILIES
from support.tiny_words import word_tokenizer

from editflow.editing.models.editable import EditableModel
from editflow.editing.models.loading import as_editable
from editflow.editing.requests.record import EditRequest

UNLIKE = ("gpt2", "gptj", "llama", "mistral")
"""Architectures that differ in orientation of weights, parallel layers and sliding windows."""


@pytest.fixture(params=UNLIKE)
def tiny(request: pytest.FixtureRequest) -> EditableModel:
    """A random model of each of these architectures in float64: four layers, width 32, keys of width 64."""
    return _random(request.param)


@pytest.fixture(params=sorted(FAMILIES))
def every(request: pytest.FixtureRequest) -> EditableModel:
    """The same for every declared architecture."""
    return _random(request.param)


def _random(family: str) -> EditableModel:
    torch.manual_seed(11)
    return as_editable(FAMILIES[family]().model, word_tokenizer())


@pytest.fixture
def llama() -> EditableModel:
    """Only the Llama model, for tests in which the architecture does not matter."""
    return _random("llama")


@pytest.fixture
def requests() -> list[EditRequest]:
    """Five facts of different lengths; subjects of one to three words, targets of one and two."""
    rows = [
        ("a", "the capital of {} is", "France", "Rome", "Paris"),
        ("b", "{} was born in the city of", "Anna", "Old Madrid", "Rome"),
        ("c", "{} speaks", "Karl Van Der Berg", "Italy", "Spain"),
        ("d", "where the {} went then is", "Great North River", "sea home", "Nice"),
        ("e", "who lives in {} , says", "Lyon", "Omar", "Lucia"),
    ]
    return [
        EditRequest(i, prompt, subject, new, true, "", (f"in {subject} it is",), ("the capital is", "Omar plays"))
        for i, prompt, subject, new, true in rows
    ]


@pytest.fixture
def random_keys() -> Callable[..., torch.Tensor]:
    """`random_keys(d, n, seed)`: keys with a few dominant directions, like a real layer's."""

    def make(d: int, n: int, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        directions = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
        scales = torch.logspace(1, -4, d, dtype=torch.float64)
        return directions @ (scales[:, None] * torch.randn(d, n, generator=generator, dtype=torch.float64))

    return make
