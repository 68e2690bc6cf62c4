"""Some facts of a file without end: the same ones as of the whole file in memory, and the same refusals."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from editflow.editing.errors import InvalidRequest
from editflow.tasks.errors import BadRecord
from editflow.tasks.sources.edit_requests import choose, load_chosen, load_requests

COUNT = 1_000


def rows(count: int, length: int = 0) -> list[dict[str, Any]]:
    return [
        {"prompt": "{} lives in", "subject": f"Ann {n}", "alt": "Rome", "relation": "home", "about": "x" * length}
        for n in range(count)
    ]


def written(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def peak(use: Callable[[], object]) -> int:
    """Most bytes held while it runs: the least of three times, as other threads of this process may hold more then."""
    found = []
    for _ in range(3):
        tracemalloc.start()
        use()
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return min(found)


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (7, 0), (7, 3), (20, 3)])
def test_the_same_are_chosen(tmp_path: Path, count: int, seed: int) -> None:
    facts = written(tmp_path / "facts.jsonl", rows(20))
    texts = written(tmp_path / "texts.jsonl", [{"relation": "home", "target": "Rome", "text": "Rome is old."}])
    for references in (None, str(texts)):
        found = load_chosen(facts, None, references, count, seed)
        assert found == choose(load_requests(facts, None, references), count, seed, facts)
        assert {fact.references for fact in found} == {("Rome is old.",) if references else ()}
    assert [f.subject for f in found] != [f.subject for f in load_requests(facts)[:count]]  # control: not the first


def test_joined_cases_count_once(tmp_path: Path) -> None:
    rewrites = [
        {"prompt": "{} is in", "subject": f"Ann {n}", "target_new": {"str": "Rome"}, "target_true": {"str": "Nice"}}
        for n in range(3)
    ]
    pairs = [(0, 1), (1, 2), (2, 0)]
    cases = [
        {"requested_rewrite": [rewrites[a], rewrites[b]], "questions": [f"{a}{b}?"], "new_answer": "x"}
        for a, b in pairs
    ]
    path = written(tmp_path / "cases.jsonl", cases)
    assert load_chosen(path, None, None, 3, 1) == choose(load_requests(path), 3, 1, path)


def test_what_is_refused_of_a_whole_file_is_refused(tmp_path: Path) -> None:
    """Whether or not the records at fault would have been chosen."""
    some = rows(20)
    for bad, error, message in (
        (some[4] | {"alt": "Bari"}, InvalidRequest, r"line 21: .* contradicts \(→ 'Rome', → 'Bari'\) .*line 5"),
        (some[4], InvalidRequest, "line 21: .* duplicates .*line 5"),
        ({"prompt": "x"}, InvalidRequest, "line 21: no subject and no target_new"),
        ({"prompt": "{} and {}", "subject": "y", "alt": "z"}, InvalidRequest, "line 21: the prompt has 2"),
    ):
        path = written(tmp_path / "facts.jsonl", [*some, bad])
        for use in (lambda p=path: load_chosen(p, None, None, 1, 0), lambda p=path: load_requests(p)):
            with pytest.raises(error, match=message):
                use()
    with pytest.raises(BadRecord, match="holds 20 requests, 21 are asked for; lower requests.count"):
        load_chosen(written(tmp_path / "facts.jsonl", some), None, None, 21, 0)
    with pytest.raises(BadRecord, match="holds no requests"):
        load_chosen(written(tmp_path / "facts.jsonl", []), None, None, 1, 0)


@pytest.mark.slow
def test_memory_does_not_hold_what_is_not_chosen(tmp_path: Path) -> None:
    few, many = (written(tmp_path / f"{n}.jsonl", rows(n, 300)) for n in (10, COUNT))
    load_chosen(few, None, None, 5, 0)
    assert (
        peak(lambda: load_chosen(many, None, None, 5, 0))
        < peak(lambda: load_chosen(few, None, None, 5, 0)) + 200 * COUNT
    )
    assert peak(lambda: load_requests(many)) > 600 * COUNT  # the control holds them all
