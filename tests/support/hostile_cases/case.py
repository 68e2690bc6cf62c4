"""One case: what was changed, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from support.hostile_cases.good import Good


@dataclass(frozen=True)
class Ask:
    """A command's words; with `call`, the function under the command in its place, and the words only name it."""

    words: tuple[str, ...]
    call: Callable[[], object] | None = None
    finds: bool = False
    """Whether exit code 1 is an answer: what was found is wrong."""
    connects: bool = False
    """Whether the address of the listener is the asker's own wish."""
    secrets: tuple[str, ...] = ()
    """More texts that must come out nowhere."""
    keeps: tuple[Path, ...] = ()
    """What the question only reads."""


@dataclass(frozen=True)
class Setting:
    """Where a case is made: a folder of its own, the good things, a port where a listener waits, and the draws."""

    number: int
    draw: Random
    good: Good
    folder: Path
    port: int

    @property
    def outside(self) -> Path:
        return self.good.outside


@dataclass(frozen=True)
class Case:
    number: int
    kind: str
    story: str
    ask: Ask
    folder: Path = field(compare=False, default=Path())

    def __str__(self) -> str:
        words = " ".join(word if len(word) < 200 else f"{word[:150]}…" for word in self.ask.words)
        return f"case {self.number} ({self.kind}): {self.story}; then: {ascii(words)[1:-1]}"


def command(*words: object, **more: object) -> Ask:
    return Ask(tuple(map(str, words)), **more)  # type: ignore[arg-type]
