"""Consistency: is a text worded like texts about the new answer? (ROME, arXiv 2202.05262, §3.3, there RS)

    consistency = cos(v(text), v(references))
    v(d)ₜ = (count of t in d) · idf(t)        idf(t) = ln((1 + n) / (1 + nₜ)) + 1

over terms t, with n reference texts in all, nₜ of which hold t (smooth idf and the rule for terms are scikit-learn's
defaults, which the published code uses). From 0, no common term, to 1. Papers print it times 100.
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
    """How many reference texts there are, and how many of them hold each term.

    Compare only scores that were fitted on the same texts.
    """

    texts: int
    holding: Mapping[str, int]

    @classmethod
    def fit(cls, texts: Iterable[str]) -> Consistency:
        """Count over all reference texts of a dataset; a text that is given twice counts once."""
        found = [set(terms(text)) for text in sorted({composed(text) for text in texts})]
        return cls(len(found), Counter(term for held in found for term in held))

    def of(self, text: str, references: Sequence[str]) -> float:
        """Of one text to its reference texts taken together; 0 for a text without a term.

        A term that no reference text holds counts with the idf of nₜ = 0, so what is beside the point lowers the score.
        """
        return self._cosine(terms(composed(text)), terms(composed(" ".join(references))))

    def published(self, texts: Sequence[str], references: Sequence[str]) -> float:
        """The same as the published code counts it: a request's texts with their prompts as one, to its references.

        Terms that no reference text holds are dropped, which matters where these are few: a text then scores high by
        one fitting word. The texts' accents are cut off their letters and those of the references are not, so `José`
        never meets `José`. Where the published code divides by 0, this is 0.
        """
        known = [term for term in terms(decomposed(" ".join(texts))) if term in self.holding]
        return self._cosine(known, terms(composed(" ".join(references))))

    def idf(self, term: str) -> float:
        """Inverse document frequency, 1 for a term of all texts."""
        return math.log((1 + self.texts) / (1 + self.holding.get(term, 0))) + 1

    def _cosine(self, left: Sequence[str], right: Sequence[str]) -> float:
        vocabulary = sorted({*left, *right})
        if not left or not right:
            return 0.0
        idf = np.array([self.idf(term) for term in vocabulary])
        counts = [Counter(left), Counter(right)]
        a, b = (idf * np.array([count[term] for term in vocabulary]) for count in counts)
        return min(1.0, float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))))
