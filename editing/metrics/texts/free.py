"""Free-generation accuracy: does the model generate the right answer greedily, without teacher forcing?

Teacher forcing reveals all of an answer but its last token, and its length. Without it, published edits are far less
successful (The Mirage of Model Editing, arXiv 2502.11177). Two scores, 0 or 1 per prompt:

    exact      the continuation begins with an answer, followed by nothing, a line break or a punctuation mark
               (where closed-book question answering cuts: LLaMA, arXiv 2302.13971, §3.2)
    contains   an answer is anywhere in the continuation

Both compare whole words, and ignore case, punctuation between words and an article before the answer (like SQuAD's
exact match, arXiv 1606.05250). `exact` implies `contains`. `contains` is also true for a denial ("not in Rome").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from editflow.editing.metrics.texts.words import composed

_BETWEEN = re.compile(r"[\s!\"'(),./:;?\[\\\]`{}\u2010-\u2027\u3001\u3002-]+")
"""Spaces and punctuation. Signs such as + and # are part of words, and so are combining marks."""
_ARTICLE = re.compile(r"\A(?:the|an|a)\s+(?=\w)")
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Kana and Han: written without spaces, so a word may end after any character."""
_BEGIN = r"\W*(?:(?:the|an|a)\s+)?"
_END = r"(?![-'’&/]\w)[^\S\n]*(?=[^\w\s]|\n|\Z)"


def matches(text: str, answers: Sequence[str]) -> tuple[bool, bool]:
    """Return (exact, contains) of a continuation for any of the answers; (False, False) for no answers."""
    plain = _plain(text)
    patterns = [pattern for pattern in map(_pattern, answers) if pattern]
    exact = any(re.match(_BEGIN + pattern + _END, plain) for pattern in patterns)
    return exact, exact or any(re.search(pattern, plain) for pattern in patterns)


def _plain(text: str) -> str:
    return composed(composed(text).casefold())


def _pattern(answer: str) -> str:
    """Return a regular expression for the answer's words, as whole words; "" for an answer without words."""
    words = [word for word in _BETWEEN.split(_ARTICLE.sub("", _plain(answer).strip())) if word]
    if not words:
        return ""
    before = "" if re.match(f"[{_UNSPACED}]", words[0]) else r"(?<!\w)"
    after = "" if re.search(rf"[{_UNSPACED}]\Z", words[-1]) else r"(?![\w+#])"
    full_stop = r"\.?+" if answer.rstrip().endswith(".") else ""  # it belongs to an abbreviation, not to the sentence
    return before + r"\W+".join(map(re.escape, words)) + after + full_stop
