"""Documents as token windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from editflow.editing.models.tokens import encode


def windows(tokenizer: Any, texts: Iterable[str], length: int, limit: int) -> Iterator[tuple[int, list[int]]]:
    """Yield (index of the text, window of at most `length` tokens), up to `limit` tokens in total."""
    total = 0
    for index, text in enumerate(texts):
        ids, _ = encode(tokenizer, text)
        for start in range(0, len(ids), length):
            window = ids[start : start + min(length, limit - total)]
            total += len(window)
            yield index, window
            if total >= limit:
                return
