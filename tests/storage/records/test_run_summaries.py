"""A record with a summary that no run writes is damaged; summaries that runs write are valid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import DamagedRecord
from editflow.storage.records.runs import Runs
from editflow.storage.run_values import is_summary

SCORES = {"success": 33.3, "accuracy": 0, "magnitude": None}
MEASURES = {"efficacy": SCORES, "score": {"harmonic": 1.5}, "perplexity": 30.5, "texts": {"fluency": None},
            "ability": {"sst2": {"letters": {"accuracy": 50.0, "mcc": None, "count": 4}}}}  # fmt: skip
MOVE = {"release": 2, "move": "settle", "at": "2026-11-22", "entries": ["1.1"], "status": "applied", "state": "ab",
        "measures": {"efficacy": 90.0}, "reasons": [], "to": 0, "run": ""}  # fmt: skip
BATCH = {"batch": 1, "facts": 2, "edited": 2, "state": "ab", "metrics": {"efficacy": SCORES}}
VALID: dict[str, dict[str, Any]] = {
    "of a run": {"facts": 2, "state": "ab", "before": MEASURES, "after": {**MEASURES, "more": {}}, "batches": [BATCH]},
    "of an evaluation": {"queue": "q", "release": 2, "state": "ab", "facts": 2, "before": MEASURES, "after": MEASURES,
                         "batches": []},
    "of an empty evaluation": {"queue": "q", "release": 0, "state": None, "facts": 0},
    "of an application": {"queue": "q", "release": 2, "pending": 0, "settled": [MOVE], "state": "ab"},
    "of a search": {},
    "of a later version": {"facts": 1, "colour": ["red"]},
}  # fmt: skip
STRANGE = (None, [], {}, "x", True, {"": None}, [None], {"x": {"y": "z"}}, [{"x": 1}])
UNUSED = {"colour", "mcc", "count", "more"}
"""Fields that no reader uses."""


@pytest.mark.parametrize("summary", VALID.values(), ids=VALID)
def test_summaries_that_runs_write_are_valid(summary: dict[str, Any], lake: Lake) -> None:
    assert is_summary(summary)
    runs = Runs(lake.files)
    runs.finish(run := runs.start("tiny", {}), "completed", summary=summary)
    assert runs.get(run.run_id).summary == summary


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, one in inside for place in places(one, (*path, name)))]


def changed(summary: dict[str, Any], place: tuple[Any, ...], value: object) -> Any:
    made = json.loads(json.dumps(summary))
    inside: Any = made
    for name in place[:-1]:
        inside = inside[name]
    inside[place[-1]] = value
    return made


@pytest.mark.parametrize("name", ["of a run", "of an application"])
def test_a_wrong_type_anywhere_is_invalid(name: str) -> None:
    """Numbers and states may be null."""
    summary, refused = VALID[name], 0
    for place in places(summary)[1:]:
        was = summary
        for step in place:
            was = was[step]
        for value in STRANGE:
            number = type(was) in {int, float, type(None)}
            like = type(value) is type(was) or (value is None and (number or place[-1] == "state"))
            if like or UNUSED & set(map(str, place)):
                continue
            assert not is_summary(changed(summary, place, value)), (place, value)
            refused += 1
    assert refused > 80, "the control: many values were tried"


@pytest.mark.parametrize(
    ("name", "gone"),
    [("of a run", ["after"]), ("of a run", ["facts"]), ("of a run", ["batches"]), ("of a run", ["after", "efficacy"]),
     ("of a run", ["after", "perplexity"]), ("of a run", ["after", "ability", "sst2"]),
     ("of a run", ["after", "ability", "sst2", "letters"]), ("of a run", ["after", "texts"]),
     ("of a run", ["batches", 0, "state"]), ("of an application", ["queue"]), ("of an application", ["pending"]),
     ("of an application", ["settled", 0, "release"])],
)  # fmt: skip
def test_required_fields_must_be_present(name: str, gone: list[Any]) -> None:
    summary = json.loads(json.dumps(VALID[name]))
    inside: Any = summary
    for step in gone[:-1]:
        inside = inside[step]
    del inside[gone[-1]]
    assert not is_summary(summary)


def test_a_record_with_an_invalid_summary_is_damaged(lake: Lake) -> None:
    runs = Runs(lake.files)
    runs.finish(run := runs.start("tiny", {}), "completed", summary=VALID["of a run"])
    path = Path(lake.files.path(f"runs/{run.run_id}/finished.json"))
    record = json.loads(path.read_text())
    record["summary"]["before"]["efficacy"] = None
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedRecord, match=r"finished\.json"):
        runs.get(run.run_id)
    assert [found.status for found in runs.all()] == ["damaged"]
