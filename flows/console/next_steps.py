"""The last line of a command: what to run next, quoted for a shell, with this lake."""

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
MAX_PROMPT = 80
"""Maximum number of characters of a prompt in a hint."""


def print_next(text: str) -> None:
    """Print the last line of a command: what to run next, and why."""
    print_line(f"[dim]next:[/] {quoted(text)}")


def shell_command(*words: str, lake: str | None = None) -> str:
    """An editflow command in backticks, quoted for a shell, with --lake unless the lake is ./lake."""
    return f"`{' '.join(map(_word, ['editflow', *words, *_lake_words(lake)]))}`"


def first_run(lake: str | None = None) -> str:
    """A hint for the first run."""
    demo = "specs/demo.toml"
    if is_file(demo):
        return f"{shell_command('run', demo, lake=lake)} to edit a hundred facts into the default model"
    return "`editflow run --help` for how to run a spec; those to start from are in the repository's specs/"


def question(lake: Lake, state: str) -> str:
    """A prompt edited by the last batch of a state, or a general one."""
    from editflow.storage.errors import StorageError

    try:
        batch = lake.manifest(state).parents["requests"]
        rows = lake.read(batch if isinstance(batch, str) else batch[0], columns=["prompt", "subject"])
        first = rows.slice(0, 1).to_pylist()[0]
    except (StorageError, KeyError, IndexError):
        return QUESTION
    text = str(first["prompt"]).replace("{}", str(first["subject"]))
    return text if len(text) <= MAX_PROMPT and text == safe(text) and not text.startswith("-") else QUESTION


def _lake_words(lake: str | None) -> list[str]:
    """The --lake words of a lake. One set by EDITFLOW_LAKE is included: it may be set for this command only."""
    try:
        place = lake_folder(lake) if lake is not None else ""
    except FileNotFoundError:  # the working folder is gone
        place = str(lake)
    if not place or ("EDITFLOW_LAKE" not in os.environ and _is_default(place)):
        return []
    return ["--lake", f"./{place}" if place.startswith("-") else place]


def _is_default(place: str) -> bool:
    """Whether a folder is ./lake."""
    try:
        return Path(place).absolute() == Path("lake").absolute()
    except OSError:  # the working folder is gone
        return False


def is_file(path: str) -> bool:
    """Whether a path from a record is a file here. A record may contain any text."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long, or contains a zero byte
        return False


def _word(text: str) -> str:
    """A word quoted for a shell. Unprintable characters use $'…' of bash and zsh."""
    if text == safe(text):
        return f'"{text}"' if " " in text and not set(text) & set('"\\$`!') else shlex.quote(text)
    raw = "".join(f"\\x{byte:02x}" for byte in os.fsencode(text))
    return f"$'{raw}'"
