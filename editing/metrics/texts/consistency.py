"""Consistency: does a text use the words of texts about the new answer? (ROME, arXiv 2202.05262, §3.3: RS)

    consistency = cos(v(text), v(references))
    v(d)ₜ = (count of t in d) · idf(t)        idf(t) = ln((1 + n) / (1 + nₜ)) + 1

over terms t, with n reference texts in total, of which nₜ contain t. The smooth idf and the rule for terms are
scikit-learn's defaults, as in the published code. From 0 (no common term) to 1. Papers report it times 100.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from editflow.editing.metrics.texts.words import composed, decomposed, terms


@dataclass(frozen=True)
class Consistency:
    """The number of reference texts, and for each term the number of texts that contain it.

    Compare only scores fitted on the same texts.
    """

    texts: int
    counts: Mapping[str, int]

    @classmethod
    def fit(cls, texts: Iterable[str]) -> Consistency:
        """Count over all distinct reference texts of a data set."""
        found = [set(terms(text)) for text in sorted({composed(text) for text in texts})]
        return cls(len(found), Counter(term for text_terms in found for term in text_terms))

    def score(self, text: str, references: Sequence[str]) -> float:
        """Consistency of a text with the concatenation of its reference texts; 0 for a text without terms.

        A term that is in no reference text has the idf of nₜ = 0, so irrelevant words lower the score.
        """
        return self._cosine(terms(composed(text)), terms(composed(" ".join(references))))

    def published(self, texts: Sequence[str], references: Sequence[str]) -> float:
        """Consistency as in the published code, of a request's texts together with their prompts.

        It drops terms that are in no reference text. With few reference texts, one matching word then gives a high
        score. It decomposes the accents of the texts but not of the references, so `José` never matches `José`. Returns
        0 where the published code divides by 0.
        """
        known = [term for term in terms(decomposed(" ".join(texts))) if term in self.counts]
        return self._cosine(known, terms(composed(" ".join(references))))

    def idf(self, term: str) -> float:
        """Inverse document frequency; 1 for a term that is in all texts."""
        return math.log((1 + self.texts) / (1 + self.counts.get(term, 0))) + 1

    def _cosine(self, left: Sequence[str], right: Sequence[str]) -> float:
        vocabulary = sorted({*left, *right})
        if not left or not right:
            return 0.0
        idf = np.array([self.idf(term) for term in vocabulary])
        counts = [Counter(left), Counter(right)]
        a, b = (idf * np.array([count[term] for term in vocabulary]) for count in counts)
        return min(1.0, float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))))
