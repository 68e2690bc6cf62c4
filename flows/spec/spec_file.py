"""The path of a spec file together with what was read from it, so that a flow does not read it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Self, TypeVar

Content = TypeVar("Content")


class SpecFile(str, Generic[Content]):
    """A path that a command passes to a flow, with the validated `content` of the file.

    It is a string because Prefect records and shows the parameters of a flow, and must only see the path.
    """

    content: Content

    def __new__(cls, path: Path, content: Content) -> Self:
        """The path as text, with the content as an attribute."""
        self = super().__new__(cls, str(path))
        self.content = content
        return self


def content_of(spec: str, settings: Sequence[str], load: Callable[[Path, Sequence[str]], Content]) -> Content:
    """The content that a command passed on, or else that of the file. Raises what `load` raises."""
    if isinstance(spec, SpecFile):
        content: Content = spec.content
        return content
    return load(Path(spec), settings)
