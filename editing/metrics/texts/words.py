"""Words of a text, for metrics that count them, by explicit rules instead of a library's tokenizer."""

from __future__ import annotations

import re
import unicodedata

_MARKED = re.compile(r"\w+(?:[-.,'’]\w+)*|[^\w\s]")
_TERM = re.compile(r"\w\w+")


def composed(text: str) -> str:
    """The text in Unicode form NFKC, which unifies different encodings of a letter."""
    return unicodedata.normalize("NFKC", text)


def decomposed(text: str) -> str:
    """The text as the published code normalises it: Unicode form NFKD, and a space for each empty line."""
    return unicodedata.normalize("NFKD", text).replace("\n\n", " ")


def marked_words(text: str) -> list[str]:
    """Return words and punctuation marks in order, in their original case.

    A word is a run of letters, digits and underscores, with single hyphens, apostrophes, points or commas inside it
    (`well-known`, `don't`, `3.14`). Every other character except spaces is a mark. nltk's word_tokenize, which the
    published code uses, mostly agrees, but splits contractions (`do n't`) and keeps `...` together.
    """
    return _MARKED.findall(composed(text))


def terms(text: str) -> list[str]:
    """Return runs of two or more letters, digits or underscores, in lower case (scikit-learn's rule for TF-IDF)."""
    return _TERM.findall(text.lower())
