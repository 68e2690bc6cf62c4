"""Essence: does the model still know what a subject is, besides the edited fact?

    essence = exp(Σ NLL / (N − 1))     over the N tokens of a text about the subject; the first is not predicted

This is the perplexity, from 1, of a text that is independent of the edits. Lower is better; the result is how much an
edit raises it. ROME (arXiv 2202.05262, §3.1 and §3.5) names the drift but reports no score; its code has one,
essence_score.
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

MAX_TOKENS = 100
"""Texts are cut to this length, as in the published code."""


@dataclass(frozen=True)
class Essence:
    """Result for one text: the number of predicted tokens, and their summed NLL in nats."""

    predicted: int
    nll: float

    @property
    def value(self) -> float | None:
        """Perplexity over the predicted tokens; None for a text of fewer than two tokens."""
        return math.exp(self.nll / self.predicted) if self.predicted else None

    @property
    def published(self) -> float | None:
        """Essence as in the published code, which divides by N instead of N − 1 and so gives a slightly lower value."""
        return math.exp(self.nll / (self.predicted + 1)) if self.predicted else None


def texts_about(subject: str, references: Sequence[str]) -> list[str]:
    """Return the reference texts that contain the subject as whole words, in any case.

    The published code takes texts whose title is the subject, among texts about the new answer. It finds one only if
    the new answer was already true of the subject, and reports nothing for most requests.
    """
    name = re.compile(rf"(?<!\w){re.escape(composed(subject).casefold().strip())}(?!\w)")
    return [text for text in references if subject.strip() and name.search(composed(text).casefold())]


def essences(
    model: EditableModel, texts: Sequence[str], progress: Callable[[int], None] = lambda _texts: None
) -> list[Essence]:
    """Return the essence of each text, over its first MAX_TOKENS tokens. Raises NonFinite."""
    windows = [encode(model.tokenizer, text)[0][:MAX_TOKENS] for text in texts]
    scorable = [n for n, window in enumerate(windows) if len(window) >= 2]
    found = window_nll(model, [windows[n] for n in scorable], progress=progress)
    scored = {n: Essence(*one) for n, one in zip(scorable, found, strict=True)}
    return [scored.get(n, Essence(0, 0.0)) for n in range(len(texts))]
