"""Fluency: how little a text repeats itself (ROME, arXiv 2202.05262, §3.3: GE, the entropy of its n-grams).

    fluency = (H2 + 2·H3) / 3        Hn = −Σ f(g) log2 f(g)  over the text's n-grams g of words and marks

f(g) is the share of g among the n-grams. In bits, from 0 (one repeated word) to (log2(n−1) + 2·log2(n−2)) / 3 for n
words, if no two bigrams are equal. Longer texts can reach more, so compare only texts with the same length limit.
Papers report it times 100. It measures only repetition: words in random order have a high fluency.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from editflow.editing.metrics.texts.words import decomposed, marked_words


def fluency(text: str) -> float | None:
    """Fluency of a generated text, in bits; None for fewer than three words, which have no trigram."""
    words = marked_words(text)
    return _weighted(words) if len(words) >= 3 else None


def published_fluency(prompt: str, text: str) -> float:
    """Fluency as in the published code, which includes the prompt and gives 0 for a text without trigrams.

    The prompt is the same before and after an edit and hides part of the change: a model that generates nothing keeps
    its prompt's fluency. So `fluency` excludes the prompt, and is not available for an empty text.
    """
    return _weighted(marked_words(decomposed(prompt + text)))


def _weighted(words: Sequence[str]) -> float:
    return (entropy(words, 2) + 2 * entropy(words, 3)) / 3


def entropy(words: Sequence[str], n: int) -> float:
    """Entropy in bits of the words' n-grams; 0 if there are none."""
    counts = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    total = counts.total()
    return math.fsum(count / total * math.log2(total / count) for count in counts.values())
