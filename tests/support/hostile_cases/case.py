"""One case: a changed input and the command that reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from support.hostile_cases.good import Good


@dataclass(frozen=True)
class Ask:
    """A command's arguments. With `call`, that function runs instead, and the arguments only describe it."""

    words: tuple[str, ...]
    call: Callable[[], object] | None = None
    finds: bool = False
    """Whether exit code 1 is valid: the command reports findings."""
    connects: bool = False
    """Whether the command may connect to the listener."""
    secrets: tuple[str, ...] = ()
    """Additional texts that must not be printed or written."""
    keeps: tuple[Path, ...] = ()
    """Paths that the command must not change."""


@dataclass(frozen=True)
class Setting:
    """The environment of a case: its folder, the valid inputs, the listener's port, and the random generator."""

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
