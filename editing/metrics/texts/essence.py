"""Essence: does the model still know what a subject is, beyond the edited fact?

    essence = exp(Σ NLL / (N − 1))     over the N tokens, the first one given, of a text about the subject

The perplexity, from 1 up, of a text that does not change with the edits: less is better, and what counts is how far
an edit raises it. The drift is named in ROME (arXiv 2202.05262, §3.1 and §3.5), which prints no score of it; its code
has one, essence_score.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from editflow.editing.metrics.perplexity import window_nll
from editflow.editing.metrics.texts.words import composed
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.tokens import encode

TOKENS = 100
"""A text is cut after so many, as in the published code."""


@dataclass(frozen=True)
class Essence:
    """Of one text: how many tokens were predicted, and their summed NLL in nats."""

    predicted: int
    nll: float

    @property
    def value(self) -> float | None:
        """Perplexity over the predicted tokens; None for a text of fewer than two tokens."""
        return math.exp(self.nll / self.predicted) if self.predicted else None

    @property
    def published(self) -> float | None:
        """As the published code counts it: over all N tokens, though nothing is asked of the first; a little less."""
        return math.exp(self.nll / (self.predicted + 1)) if self.predicted else None


def about(subject: str, references: Sequence[str]) -> list[str]:
    """The reference texts that name the subject, whole words in any case.

    The published code takes those whose title is the subject, among texts of which the new answer is true; so it finds
    one only for a subject of which the new answer holds already, and reports nothing for most requests.
    """
    name = re.compile(rf"(?<!\w){re.escape(composed(subject).casefold().strip())}(?!\w)")
    return [text for text in references if subject.strip() and name.search(composed(text).casefold())]


def essences(
    model: EditableModel, texts: Sequence[str], progress: Callable[[int], None] = lambda _texts: None
) -> list[Essence]:
    """Of each text, its first 100 tokens. Raises NonFinite for weights that hold NaN."""
    windows = [encode(model.tokenizer, text)[0][:TOKENS] for text in texts]
    whole = [n for n, window in enumerate(windows) if len(window) >= 2]
    found = window_nll(model, [windows[n] for n in whole], progress=progress)
    scored = {n: Essence(*one) for n, one in zip(whole, found, strict=True)}
    return [scored.get(n, Essence(0, 0.0)) for n in range(len(texts))]
