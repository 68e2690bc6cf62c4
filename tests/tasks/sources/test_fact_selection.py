"""Selecting facts from a large file: the same facts and the same errors as from the whole file in memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from editflow.editing.errors import InvalidRequest
from editflow.tasks.errors import BadRecord
from editflow.tasks.sources.edit_requests import choose_requests, load_and_choose, load_requests

COUNT = 1_000


def rows(count: int, length: int = 0) -> list[dict[str, Any]]:
    return [
        {"prompt": "{} lives in", "subject": f"Ann {n}", "alt": "Rome", "relation": "home", "about": "x" * length}
        for n in range(count)
    ]


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def peak(use: Callable[[], object]) -> int:
    """Peak memory in bytes during a call: the minimum of three, as other threads may allocate memory too."""
    found = []
    for _ in range(3):
        tracemalloc.start()
        use()
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return min(found)


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (7, 0), (7, 3), (20, 3)])
def test_the_same_facts_are_chosen(tmp_path: Path, count: int, seed: int) -> None:
    facts = write_lines(tmp_path / "facts.jsonl", rows(20))
    texts = write_lines(tmp_path / "texts.jsonl", [{"relation": "home", "target": "Rome", "text": "Rome is old."}])
    for references in (None, str(texts)):
        found = load_and_choose(facts, None, references, count, seed)
        assert found == choose_requests(load_requests(facts, None, references), count, seed, facts)
        assert {fact.references for fact in found} == {("Rome is old.",) if references else ()}
    assert [f.subject for f in found] != [f.subject for f in load_requests(facts)[:count]]  # not just the first


def test_joined_cases_are_counted_once(tmp_path: Path) -> None:
    rewrites = [
        {"prompt": "{} is in", "subject": f"Ann {n}", "target_new": {"str": "Rome"}, "target_true": {"str": "Nice"}}
        for n in range(3)
    ]
    pairs = [(0, 1), (1, 2), (2, 0)]
    cases = [
        {"requested_rewrite": [rewrites[a], rewrites[b]], "questions": [f"{a}{b}?"], "new_answer": "x"}
        for a, b in pairs
    ]
    path = write_lines(tmp_path / "cases.jsonl", cases)
    assert load_and_choose(path, None, None, 3, 1) == choose_requests(load_requests(path), 3, 1, path)


def test_records_that_are_not_chosen_are_checked_too(tmp_path: Path) -> None:
    some = rows(20)
    for bad, error, message in (
        (some[4] | {"alt": "Bari"}, InvalidRequest, r"line 21: .* contradicts \(→ 'Rome', → 'Bari'\) .*line 5"),
        (some[4], InvalidRequest, "line 21: .* duplicates .*line 5"),
        ({"prompt": "x"}, InvalidRequest, "line 21: no subject and no target_new"),
        ({"prompt": "{} and {}", "subject": "y", "alt": "z"}, InvalidRequest, "line 21: the prompt has 2"),
    ):
        path = write_lines(tmp_path / "facts.jsonl", [*some, bad])
        for use in (lambda p=path: load_and_choose(p, None, None, 1, 0), lambda p=path: load_requests(p)):
            with pytest.raises(error, match=message):
                use()
    with pytest.raises(BadRecord, match="holds 20 requests.*lower requests.count"):
        load_and_choose(write_lines(tmp_path / "facts.jsonl", some), None, None, 21, 0)
    with pytest.raises(BadRecord, match="holds no requests"):
        load_and_choose(write_lines(tmp_path / "facts.jsonl", []), None, None, 1, 0)


@pytest.mark.slow
def test_facts_that_are_not_chosen_are_not_kept_in_memory(tmp_path: Path) -> None:
    few, many = (write_lines(tmp_path / f"{n}.jsonl", rows(n, 300)) for n in (10, COUNT))
    load_and_choose(few, None, None, 5, 0)
    assert (
        peak(lambda: load_and_choose(many, None, None, 5, 0))
        < peak(lambda: load_and_choose(few, None, None, 5, 0)) + 200 * COUNT
    )
    assert peak(lambda: load_requests(many)) > 600 * COUNT  # which keeps all of them
