"""Requests of the whole-run benchmark: the requested number, unique subjects, no edited neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.city_requests import write_requests
from benchmarks.inputs import FACTS
from editflow.tasks.sources.edit_requests import load_requests

pytestmark = pytest.mark.exhaustive


def test_new_subjects_follow_the_starter_set(tmp_path: Path) -> None:
    starter = load_requests(FACTS)
    write_requests(tmp_path / "many.jsonl", len(starter) + 500)
    requests = load_requests(tmp_path / "many.jsonl")
    assert requests[: len(starter)] == starter
    more = requests[len(starter) :]
    assert len(more) == 500
    assert not {request.subject for request in more} & {request.subject for request in starter}
    assert len({request.subject for request in more}) == len(more)
    assert all(request.target_new != request.target_true for request in more)
    kept = {prompt for request in starter for prompt in request.neighborhood_prompts}
    assert not any(request.subject in prompt for request in more for prompt in kept)
    edited = {request.filled for request in more}
    near = [prompt for request in more for prompt in request.neighborhood_prompts]
    assert not edited & set(near)
    assert edited & {request.filled for request in requests}  # control: such prompts would be found


def test_requesting_more_records_than_exist_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="100000 records requested"):
        write_requests(tmp_path / "many.jsonl", 100_000)
    assert not (tmp_path / "many.jsonl").exists()
