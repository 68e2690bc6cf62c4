"""Tiny random models of every declared architecture, with a word tokenizer built on the spot."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from oracle.tiny import FAMILIES
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from editing.models.editable import EditableModel
from editing.models.loading import editable
from editing.requests.record import EditRequest

WORDS = (
    "the capital of France Italy Spain is Paris Rome Madrid in city a an was born speaks plays lives works Anna Karl "
    "Lucia Omar Van Der Berg Great Old River North sea blue red green one two three four five six seven eight . , who "
    "what where says because Therefore I You The Because and then went home to see it again Lyon Turin Nice Bari"
).split()


def word_tokenizer(*, bos: bool = False) -> PreTrainedTokenizerFast:
    """One token a word; with `bos`, one more at the start of every text."""
    vocabulary = {word: n for n, word in enumerate(["<unk>", "<s>", *dict.fromkeys(WORDS)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>")


@pytest.fixture(params=sorted(FAMILIES))
def tiny(request: pytest.FixtureRequest) -> EditableModel:
    """A random model of each architecture in float64; four layers, width 32, keys of width 64."""
    torch.manual_seed(11)
    return editable(FAMILIES[request.param]().model, word_tokenizer())


@pytest.fixture
def llama() -> EditableModel:
    """The Llama one alone, where the architecture does not matter."""
    torch.manual_seed(11)
    return editable(FAMILIES["llama"]().model, word_tokenizer())


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


CONTEXTS = ("The city is blue . ", "Because I see two . ", "You went home . ")


@pytest.fixture
def random_keys() -> Callable[..., torch.Tensor]:
    """`random_keys(d, n, seed)`: keys that use few directions strongly, as a real layer's do."""

    def make(d: int, n: int, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        directions = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
        scales = torch.logspace(1, -4, d, dtype=torch.float64)
        return directions @ (scales[:, None] * torch.randn(d, n, generator=generator, dtype=torch.float64))

    return make
