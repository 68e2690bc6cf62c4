"""Words of a text, for metrics that count them: documented rules instead of a library's tokenizer."""

from __future__ import annotations

import re
import unicodedata

_MARKED = re.compile(r"\w+(?:[-.,'’]\w+)*|[^\w\s]")
_TERM = re.compile(r"\w\w+")


def composed(text: str) -> str:
    """The text in Unicode's form NFKC, so that a letter written in two ways is one letter."""
    return unicodedata.normalize("NFKC", text)


def decomposed(text: str) -> str:
    """What the published code makes of a generated text: form NFKD, and a space for an empty line."""
    return unicodedata.normalize("NFKD", text).replace("\n\n", " ")


def marked_words(text: str) -> list[str]:
    """Words and punctuation marks in order, capitals kept.

    A word is a run of letters, digits and underscores, also across a hyphen, apostrophe, point or comma inside it
    (`well-known`, `don't`, `3.14`); each other character that is no space is a mark. nltk's word_tokenize, which the
    published code uses, cuts contractions in two (`do n't`) and keeps `...` together; else the two mostly agree.
    """
    return _MARKED.findall(composed(text))


def terms(text: str) -> list[str]:
    """Runs of two or more letters, digits or underscores, in lower case: scikit-learn's rule for TF-IDF."""
    return _TERM.findall(text.lower())
