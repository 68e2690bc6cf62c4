"""Documents as token windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from editflow.editing.models.tokens import encode


def windows(tokenizer: Any, texts: Iterable[str], length: int, limit: int) -> Iterator[tuple[int, list[int]]]:
    """(number of the text, its next window of at most `length` tokens), until `limit` tokens have been given."""
    given = 0
    for number, text in enumerate(texts):
        ids, _ = encode(tokenizer, text)
        for start in range(0, len(ids), length):
            window = ids[start : start + min(length, limit - given)]
            given += len(window)
            yield number, window
            if given >= limit:
                return
