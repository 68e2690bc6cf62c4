"""The last line of every command: what to run next, quoted for a shell and valid for this lake."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from editflow.flows.console.output import lake_folder, print_line
from editflow.tasks.console.terminal import quoted, safe

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake

QUESTION = "The capital of France is"
LONGEST = 80
"""Characters of a prompt that a hint repeats."""


def print_next(text: str) -> None:
    """The last line of a command that people read: what to type next, and what that is good for."""
    print_line(f"[dim]next:[/] {quoted(text)}")


def typed(*words: str, lake: str | None = None) -> str:
    """A command of editflow in backticks, quoted for a shell; with the lake of --lake, unless that is ./lake."""
    return f"`{' '.join(map(_word, ['editflow', *words, *_where(lake)]))}`"


def first_run(lake: str | None = None) -> str:
    """How to make the first run from here."""
    demo = "specs/demo.toml"
    if is_file(demo):
        return f"{typed('run', demo, lake=lake)} to edit a hundred facts into the default model"
    return "`editflow run --help` for how to run a spec; those to start from are in the repository's specs/"


def question(lake: Lake, state: str) -> str:
    """A prompt that the last batch of a state has edited the answer of."""
    from editflow.storage.errors import StorageError

    try:
        batch = lake.manifest(state).parents["requests"]
        rows = lake.read(batch if isinstance(batch, str) else batch[0], columns=["prompt", "subject"])
        first = rows.slice(0, 1).to_pylist()[0]
    except (StorageError, KeyError, IndexError):
        return QUESTION
    text = str(first["prompt"]).replace("{}", str(first["subject"]))
    return text if len(text) <= LONGEST and text == safe(text) and not text.startswith("-") else QUESTION


def _where(lake: str | None) -> list[str]:
    """The words that name a lake. One of the environment is named as well: it may be set for one command only."""
    try:
        place = lake_folder(lake) if lake is not None else ""
    except FileNotFoundError:  # the working folder is gone
        place = str(lake)
    if not place or ("EDITFLOW_LAKE" not in os.environ and _is_usual(place)):
        return []
    return ["--lake", f"./{place}" if place.startswith("-") else place]


def _is_usual(place: str) -> bool:
    """Whether that is ./lake."""
    try:
        return Path(place).absolute() == Path("lake").absolute()
    except OSError:  # the working folder is gone
        return False


def is_file(path: str) -> bool:
    """Whether a path that a record names is a file here; a record may name anything."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def _word(text: str) -> str:
    """A word for a shell; what cannot be shown as it is, in the $'…' of bash and zsh."""
    if text == safe(text):
        return f'"{text}"' if " " in text and not set(text) & set('"\\$`!') else shlex.quote(text)
    raw = "".join(f"\\x{byte:02x}" for byte in os.fsencode(text))
    return f"$'{raw}'"
