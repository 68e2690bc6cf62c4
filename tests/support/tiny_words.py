"""A small word tokenizer, contexts of its words, and facts prepared with both."""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from editflow.editing.editors.facts import Fact, sort_by_length, tokenize_fact
from editflow.editing.models.editable import EditableModel
from editflow.editing.requests.record import EditRequest

WORDS = (
    "the capital of France Italy Spain is Paris Rome Madrid in city a an was born speaks plays lives works Anna Karl "
    "Lucia Omar Van Der Berg Great Old River North sea blue red green one two three four five six seven eight . , who "
    "what where says because Therefore I You The Because and then went home to see it again Lyon Turin Nice Bari"
).split()


def word_tokenizer(*, bos: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer with one token per word; with `bos`, one more at the start of every text."""
    vocabulary = {word: n for n, word in enumerate(["<unk>", "<s>", *dict.fromkeys(WORDS)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>")


CONTEXTS = ("The city is blue . ", "Because I see two . ", "You went home . ")


def facts_of(model: EditableModel, requests: list[EditRequest], contexts: tuple[str, ...] = CONTEXTS) -> list[Fact]:
    """The requests as prepared facts, sorted by cost."""
    return sort_by_length([tokenize_fact(model.tokenizer, r, contexts, "{} is a") for r in requests])
