"""submit, queue, releases and rollback, with releases whose states are texts instead of models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import tiny_world
from support.error_checks import refused
from support.hostile_lake import SHOWN, TEXT
from support.queue_without_model import fact, judge
from support.terminals import COMMANDING
from support.tiny_world import editflow

from editflow.storage.artifacts.store import Lake
from editflow.tasks.releases.queue import Queue
from editflow.tasks.releases.release import apply_next


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Releases 2 (a) and 4 (a, b); one rejected, one superseded and one pending request."""
    queue = Queue(Lake.open(tmp_path / "lake").files, "current")
    queue.submit([fact("a")])
    apply_next(queue, 5, judge)
    queue.submit([fact("b"), fact("c", "bad")])
    apply_next(queue, 5, judge)
    queue.submit([fact("d")])
    queue.submit([fact("d", "green")])
    return tmp_path / "lake"


def statuses(lake: Path) -> dict[str, tuple[str, str]]:
    rows = editflow("queue", "--lake", lake, "--json").json
    return {row["entry"]: (row["status"], row["reason"]) for row in rows}


def test_the_queue_lists_the_outcome_of_each_request(lake: Path) -> None:
    assert statuses(lake) == {
        "1.1": ("applied", ""),
        "2.1": ("applied", ""),
        "2.2": ("rejected", "efficacy 0 is under 90"),
        "3.1": ("superseded", "by 4.1"),
        "4.1": ("pending", ""),
    }
    shown = editflow("queue", "--lake", lake).out
    assert "2 applied, 1 rejected, 1 superseded, 1 pending" in shown


def test_superseded_requests_are_reported(lake: Path, tmp_path: Path) -> None:
    """By a single request and by a file; an applied request stays applied until it is edited again."""
    single = ("--subject", "d", "--prompt", "{} is", "--target", "white")
    answer = editflow("submit", *single, "--lake", lake)
    assert "superseded" in answer.out
    assert "4.1" in answer.out
    rows = [{"subject": s, "prompt": "{} is", "target_new": "black"} for s in "ad"]
    file = tiny_world.write_lines(tmp_path / "f.jsonl", rows)
    answer = editflow("submit", file, "--lake", lake, "--json").json
    assert answer == {"queue": "current", "entries": ["6.1", "6.2"], "superseded": ["5.1"]}
    assert statuses(lake)["5.1"] == ("superseded", "by 6.2")
    assert statuses(lake)["1.1"] == ("applied", "")


def test_releases_are_listed_and_rolled_back_to_by_number_and_by_state(lake: Path) -> None:
    rows = editflow("releases", "--lake", lake, "--json").json
    assert [(row["release"], row["what"], row["served"]) for row in rows] == [
        (2, "1 applied", ""), (4, "1 applied", "yes"), (5, "1 rejected", ""),
    ]  # fmt: skip
    assert rows[0]["measured"] == "efficacy 100"
    back = editflow("rollback", "current", "--to", "base+ared", "--lake", lake)
    refused(back, "2 released states begin with 'base+ared'")
    back = editflow("rollback", "current", "--to", "2", "--lake", lake, "--json").json
    assert back == {"release": 2, "state": "base+ared", "withdrawn": ["2.1"], "applied": []}
    assert statuses(lake)["2.1"] == ("withdrawn", "rolled back to release 2")
    forth = editflow("rollback", "current", "--to", "base+ared+b", "--lake", lake, "--json").json
    assert forth == {"release": 4, "state": "base+ared+bred", "withdrawn": [], "applied": ["2.1"]}
    assert "back to 4" in editflow("releases", "--lake", lake).out
    none = editflow("rollback", "current", "--to", "0", "--lake", lake)
    assert "the base model" in none.out
    assert {entry for entry, (status, _) in statuses(lake).items() if status == "withdrawn"} == {"1.1", "2.1"}


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["current", "--to", "3"], "no other release 3: choose one of 0, 2; `editflow releases current`"),
        (["current", "--to", "4"], "no other release 4"),
        (["current", "--to", "-1"], "0 released states begin with '-1'"),
        (["current", "--to", "99999999999"], "0 released states begin with"),
        (["current", "--to", "f00"], "0 released states begin with 'f00'"),
        (["other"], "nothing was released yet"),
        (["A/B"], "use 1 to 64 of a-z"),
    ],
)
def test_an_invalid_rollback_changes_nothing(lake: Path, words: list[str], fragment: str) -> None:
    before = editflow("releases", "--lake", lake, "--json").json
    refused(editflow("rollback", *words, "--lake", lake), fragment)
    assert editflow("releases", "--lake", lake, "--json").json == before


def test_requests_cannot_control_the_terminal(tmp_path: Path) -> None:
    queue = Queue(Lake.open(tmp_path / "lake").files, "current")
    queue.submit([fact(TEXT.strip()), fact("a", f"{TEXT} bad")])
    hidden = "\u202eR \u200b <script>"  # allowed in a fact
    queue.submit([fact(hidden)])
    rows = [{"subject": text, "prompt": "{} is", "target_new": text} for text in (TEXT.strip(), hidden)]
    refusal, taken = (tiny_world.write_lines(tmp_path / f"{n}.jsonl", [row]) for n, row in enumerate(rows))
    answers = [
        editflow(*words, "--lake", tmp_path / "lake") for words in (["submit", refusal], ["submit", taken], ["queue"])
    ]
    for answer, code, parts in zip(answers, (2, 0, 0), (["\\x1b[31mE"], ["\\u202eR", "<script>"], SHOWN), strict=True):
        assert answer.code == code, answer.err
        assert not COMMANDING.search(answer.out + answer.err)
        assert all(part in (answer.out + answer.err).replace("\n", "") for part in parts)
    rows = editflow("queue", "--lake", tmp_path / "lake", "--json")
    assert not COMMANDING.search(rows.out)
    assert json.dumps(TEXT.strip(), ensure_ascii=False)[1:-1] in json.dumps(rows.json, ensure_ascii=False)
