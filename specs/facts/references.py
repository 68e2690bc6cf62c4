"""The reference texts in references.jsonl, for metrics that compare generated texts with them."""

import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("references.jsonl")


@dataclass(frozen=True)
class Reference:
    """A few sentences about subjects whose answer under the relation is the target."""

    relation: str
    target: str
    text: str


def read_references(path: Path = FILE) -> list[Reference]:
    """Read the texts in the file's order; the file has one JSON object per line."""
    return [Reference(**json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
