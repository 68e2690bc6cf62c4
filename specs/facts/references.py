"""The texts of references.jsonl: what is typical of a target, for metrics that compare generated text with it."""

import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("references.jsonl")


@dataclass(frozen=True)
class Reference:
    """A few sentences about things of which, under the relation, the target is the answer."""

    relation: str
    target: str
    text: str


def read_references(path: Path = FILE) -> list[Reference]:
    """The texts in the file's order, one JSON object a line."""
    return [Reference(**json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
