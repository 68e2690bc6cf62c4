"""Small tokenizers of the usual kinds, trained in seconds, with and without a BOS token."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from support.tiny_words import WORDS

TEXT = [" ".join(WORDS), *WORDS, *(f" {word}" for word in WORDS), "São Paulo, 東京 – naïve café!"]


def byte_level() -> Tokenizer:
    """Like GPT-2, Qwen and Llama 3: byte-level BPE; a word's token includes the space before it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def pieces() -> Tokenizer:
    """Like Llama 2 and Mistral: spaces become ▁, with one more before the text."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    specials = ["<unk>", "<s>", *(f"<0x{n:02X}>" for n in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def unigram() -> Tokenizer:
    """Like T5 and XLNet: a unigram model."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=["<unk>", "<s>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


KINDS: dict[str, Callable[[], Tokenizer]] = {"byte level": byte_level, "pieces": pieces, "unigram": unigram}


@cache
def _trained(kind: str) -> str:
    # Train once: training a unigram model is not deterministic.
    return str(KINDS[kind]().to_str())


def built(kind: str, *, bos: bool) -> PreTrainedTokenizerFast:
    """A tokenizer of a kind, wrapped by transformers; with `bos`, `<s>` precedes every text."""
    tokenizer = Tokenizer.from_str(_trained(kind))
    if bos:
        first = tokenizer.token_to_id("<s>")
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", first)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")
