"""Fluency: how little a text repeats itself (ROME, arXiv 2202.05262, §3.3, there GE: entropy of its n-grams).

    fluency = (H2 + 2·H3) / 3        Hn = −Σ f(g) log2 f(g)  over the text's n-grams g of words and marks

f(g) is the share of g among the n-grams. In bits; 0 for a repeated word, at most
(log2(n−1) + 2·log2(n−2)) / 3 for n words, which a text reaches when no two of its bigrams are alike. Longer texts have
room for more, so only texts of one length limit compare. Papers print it times 100. It sees repetition alone: words in
random order are fluent to it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from editflow.editing.metrics.texts.words import decomposed, marked_words


def fluency(text: str) -> float | None:
    """Fluency of what a model wrote, in bits; None for a text of fewer than three words, which has no trigram."""
    words = marked_words(text)
    return _weighted(words) if len(words) >= 3 else None


def published_fluency(prompt: str, text: str) -> float:
    """The same as the published code counts it: the prompt belongs to the text, and a text without trigrams has 0.

    The prompt's words are the same before and after an edit and hide a part of the change; a model that falls silent
    keeps its prompt's fluency. So `fluency` leaves the prompt out and calls a silent model's not available.
    """
    return _weighted(marked_words(decomposed(prompt + text)))


def _weighted(words: Sequence[str]) -> float:
    return (entropy(words, 2) + 2 * entropy(words, 3)) / 3


def entropy(words: Sequence[str], n: int) -> float:
    """Entropy in bits of the shares of the n-grams of words; 0 where there is none."""
    counts = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    total = counts.total()
    return math.fsum(count / total * math.log2(total / count) for count in counts.values())
