"""Free-generation accuracy: does the model generate the right answer greedily, with no part of it given?

Teacher forcing gives a model all of an answer but its last token, and the answer's length; without it published edits
look far worse (The Mirage of Model Editing, arXiv 2502.11177). Two scores, 0 or 1 per prompt:

    exact      the continuation begins with an answer and the answer ends there: what follows is nothing, a line break
               or a punctuation mark (closed-book question answering cuts there: LLaMA, arXiv 2302.13971, §3.2)
    contains   an answer is anywhere in the continuation

Both look at whole words, and ignore capitals, punctuation between words and an article before the answer (as SQuAD's
exact match does, arXiv 1606.05250). `exact` implies `contains`. An answer that is denied ("not in Rome") is contained
all the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from editflow.editing.metrics.texts.words import composed

_BETWEEN = re.compile(r"[\s!\"'(),./:;?\[\\\]`{}\u2010-\u2027\u3001\u3002-]+")
"""Spaces and punctuation. Signs such as + and # belong to their word, and so do marks that combine with a letter."""
_ARTICLE = re.compile(r"\A(?:the|an|a)\s+(?=\w)")
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Kana and Han: written without spaces, so that any place between two of them may end a word."""
_BEGIN = r"\W*(?:(?:the|an|a)\s+)?"
_END = r"(?![-'’&/]\w)[^\S\n]*(?=[^\w\s]|\n|\Z)"


def matches(text: str, answers: Sequence[str]) -> tuple[bool, bool]:
    """(exact, contains) of a continuation for the best of the answers; (False, False) for no answers."""
    plain = _plain(text)
    patterns = [pattern for pattern in map(_pattern, answers) if pattern]
    exact = any(re.match(_BEGIN + pattern + _END, plain) for pattern in patterns)
    return exact, exact or any(re.search(pattern, plain) for pattern in patterns)


def _plain(text: str) -> str:
    return composed(composed(text).casefold())


def _pattern(answer: str) -> str:
    """The answer's words as a regular expression, whole words at both ends; empty for an answer without a word."""
    words = [word for word in _BETWEEN.split(_ARTICLE.sub("", _plain(answer).strip())) if word]
    if not words:
        return ""
    before = "" if re.match(f"[{_UNSPACED}]", words[0]) else r"(?<!\w)"
    after = "" if re.search(rf"[{_UNSPACED}]\Z", words[-1]) else r"(?![\w+#])"
    point = r"\.?+" if answer.rstrip().endswith(".") else ""  # of an abbreviation, not of the sentence
    return before + r"\W+".join(map(re.escape, words)) + after + point
