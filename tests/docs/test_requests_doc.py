"""docs/requests.md shows a valid record, the messages for invalid ones, and the sizes of the starter set."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from docs.generate import DOCS, blocks
from editflow.editing.errors import EditingError
from editflow.tasks.errors import TaskError
from editflow.tasks.sources.edit_requests import load_requests

TEXT = (DOCS / "requests.md").read_text(encoding="utf-8")
STARTER = DOCS.parent / "specs" / "facts" / "starter.jsonl"
FIRST = {
    "case_id": 1,
    "relation": "country",
    "requested_rewrite": {"subject": "Paris", "prompt": "{} lies in", "target_new": "Italy", "target_true": "France"},
}


def other(*, case_id: int = 2, **rewrite: Any) -> dict[str, Any]:
    """The first record with another id and subject, and other changes."""
    return {"case_id": case_id, "requested_rewrite": FIRST["requested_rewrite"] | {"subject": "Lyon"} | rewrite}


WRONG: dict[str, Any] = {
    "not an object": [],
    "field missing": {"case_id": 2},
    "field of another type": other(subject=7),
    "no target": other(target_new=None),
    "prompts not a list of texts": other() | {"paraphrase_prompts": "one"},
    "text that UTF-8 cannot hold": other(subject="Ly\ud800on"),
    "control character": other(subject="Ly\0on"),
    "too long": other(subject="L" * 10_001),
    "empty subject": other(subject=" "),
    "subject not in its prompt": other(prompt="It lies in"),
    "not exactly one `{}`": other(prompt="{} and {} lie in"),
    "empty target": other(target_new=""),
    "both targets equal": other(target_new="France"),
    "prompt empty or ends with a space": other(prompt="{} lies in "),
    "duplicate": other(subject="paris"),
    "contradiction": other(subject="Paris", target_new="Spain"),
    "contradiction in another prompt": other(subject="Paris", prompt="{} is in", target_new="Spain")
    | {"relation": "country"},
    "id used twice": other(case_id=1),
}
UNREADABLE = {
    "not JSON": "nonsense",
    "field twice": '{"case_id": 1, "case_id": 2}',
    "nested too deeply": '{"case_id": ' + "[" * 100_000,
}


def listed() -> dict[str, str]:
    """{problem: message} of the document's table."""
    table = TEXT.partition("## Checks")[2].partition("## The starter set")[0]
    return dict(re.findall(r"^\| (.+?) \| `{1,2}(facts.+?)`{1,2} \|$", table, re.MULTILINE))


def test_every_message_is_listed() -> None:
    assert set(listed()) == {*WRONG, *UNREADABLE}


@pytest.mark.parametrize("problem", [*UNREADABLE, *WRONG])
def test_each_message_is_the_one_in_the_table(problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    second = UNREADABLE.get(problem) or json.dumps(WRONG[problem])
    Path("facts.jsonl").write_text(f"{json.dumps(FIRST)}\n{second}\n", encoding="utf-8")
    with pytest.raises((EditingError, TaskError)) as caught:
        load_requests(Path("facts.jsonl"))
    assert str(caught.value) == listed()[problem]


def test_the_records_shown_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "shown.json"
    path.write_text("[" + ",".join(blocks("requests.md", "json")) + "]", encoding="utf-8")
    (shown,) = load_requests(path)
    assert shown.filled == "The composer Giacomo Puccini came from"
    assert (shown.target_new, shown.target_true, shown.relation) == ("Russia", "Italy", "composer-country")
    assert len(shown.paraphrase_prompts) == len(shown.neighborhood_prompts) == 1


def test_the_sizes_of_the_starter_set_are_right() -> None:
    counts = Counter(request.relation for request in load_requests(STARTER))
    rows = dict(re.findall(r"^\| ([a-z-]+) \| (\d+) \|", TEXT.partition("### What the default model knows")[2], re.M))
    assert {name: int(count) for name, count in rows.items()} == {**counts, "all": counts.total()}
    assert f"{counts.total()} false facts to write, in {len(counts)} relations" in TEXT
