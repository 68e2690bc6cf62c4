"""The reference texts satisfy their rules: one for each new target of a relation, naming the target."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from editflow.editing.requests.record import EditRequest
from editflow.tasks.sources.edit_requests import load_requests

FACTS = Path(__file__).parents[3] / "specs" / "facts"


@pytest.fixture(scope="module")
def starter() -> list[EditRequest]:
    return load_requests(FACTS / "starter.jsonl")


@pytest.fixture(scope="module")
def references() -> list[dict[str, str]]:
    return [json.loads(line) for line in (FACTS / "references.jsonl").read_text(encoding="utf-8").splitlines()]


def breaches(requests: Sequence[EditRequest], references: Sequence[dict[str, str]]) -> set[str]:
    """The names of the rules that the reference texts break for a set of requests."""
    pairs = [(reference["relation"], reference["target"]) for reference in references]
    wanted = {(request.relation, request.target_new) for request in requests}
    rules = {
        "missing": wanted <= set(pairs),
        "unused": set(pairs) <= wanted,
        "order": pairs == sorted(set(pairs)),
        "length": all(40 <= len(reference["text"].split()) <= 90 for reference in references),
        "name": all(re.search(rf"\b{re.escape(reference['target'])}\b", reference["text"]) for reference in references),
        "copied": len({reference["text"] for reference in references}) == len(references),
    }
    return {name for name, kept in rules.items() if not kept}


def test_every_new_target_has_a_reference_text(starter: list[EditRequest], references: list[dict[str, str]]) -> None:
    assert breaches(starter, references) == set()


@pytest.mark.parametrize("rule", ["missing", "unused", "order", "length", "name", "copied"])
def test_a_broken_reference_is_detected(
    starter: list[EditRequest], references: list[dict[str, str]], rule: str
) -> None:
    """The control of the test above."""
    first, second, *rest = references
    worse = {
        "missing": [second, *rest],
        "unused": [first, second, *rest, {**first, "relation": "zoo"}],
        "order": [second, first, *rest],
        "length": [{**first, "text": first["target"]}, second, *rest],
        "name": [{**first, "text": "word " * 40}, second, *rest],
        "copied": [{**first, "text": second["text"]}, second, *rest],
    }
    assert rule in breaches(starter, worse[rule])
