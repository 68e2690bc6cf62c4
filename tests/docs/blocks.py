"""The fenced blocks of README.md and docs/, and the commands in them with the output shown below each.

The language defines a block's meaning. `console` has commands after `$ ` with their output, `bash` a script, `sql` one
query, `python` a notebook cell. A `text` block directly after one of the last two is its output. `toml` and `json`
are data. `<!-- file: NAME -->` above a block means that the reader saves it under that name. Generated parts are
left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"console", "bash", "sql", "python", "text", "toml", "yaml", "json"}
_FENCE = re.compile(
    r"(?:^<!-- file: (?P<file>\S+) -->\n)?^```(?P<language>[\w-]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_GENERATED = re.compile(r"<!-- generated: ([\w-]+) -->.*?<!-- end: \1 -->", re.DOTALL)
_WORLD = re.compile(r"<!-- runs: ([\w-]+) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block: `line` is the number of its first line of text, `output` the block with its output."""

    line: int
    language: str
    text: str
    file: str | None = None
    output: Block | None = None


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the lines shown below it, which start at `line`."""

    line: int
    text: str
    shown: str

    @property
    def plain(self) -> str:
        """The command without its comment."""
        return re.sub(r"\s+# .*$", "", self.text)


def name(document: Path) -> str:
    """The document's path within the repository."""
    return document.relative_to(ROOT).as_posix()


def world(document: Path) -> str:
    """The world in which a document's commands run: `tiny`, unless it has `<!-- runs: NAME -->`.

    `measured` is the run of tests/flows/pipeline/test_measurements.py, which runs the queries of those documents.
    """
    found = _WORLD.search(document.read_text(encoding="utf-8"))
    return found[1] if found else "tiny"


def blocks(text: str) -> list[Block]:
    """Every fenced block of a document that is not generated, in order."""
    # Blank the generated parts instead of removing them, to keep line numbers.
    text = _GENERATED.sub(lambda part: "\n" * part[0].count("\n"), text)
    found: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(text):
        block = Block(text.count("\n", 0, fence.start("text")) + 1, fence["language"], fence["text"], fence["file"])
        before = found[-1] if found else None
        follows = before is not None and not text[end : fence.start()].strip() and block.language == "text"
        if follows and before is not None and before.language in {"python", "sql"} and before.output is None:
            found[-1] = Block(before.line, before.language, before.text, before.file, block)
        else:
            found.append(block)
        end = fence.end()
    return found


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console or bash block. Raises ValueError for a console block that does not begin with one."""
    if block.language == "bash":
        yield Command(block.line, block.text, "")
        return
    if not block.text.startswith("$ "):
        raise ValueError(f"line {block.line}: a console block begins with `$ `; output alone is `text`")
    place = block.line
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        text = re.match(r"(?:.*\\\n)*.*\n", part)
        end = text.end() if text else len(part)
        yield Command(place + part[:end].count("\n"), part[:end].rstrip(), part[end:])
        place += part.count("\n")


def every_command() -> Iterator[tuple[Path, Command]]:
    """Every command of every document."""
    for document in DOCUMENTS:
        for block in blocks(document.read_text(encoding="utf-8")):
            if block.language in {"console", "bash"}:
                for command in commands(block):
                    yield document, command
