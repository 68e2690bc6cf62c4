"""Folders that an untrusted lake names: a folder without the model is refused, and no pipe or device blocks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.tiny_world import World

from editflow.editing.errors import EditingError
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.tasks.errors import TaskError
from editflow.tasks.models import model_identity
from editflow.tasks.models.model_description import ModelDescription
from editflow.tasks.models.model_identity import identify


@pytest.fixture
def pinned(world: World, tmp_path: Path) -> tuple[Lake, Manifest]:
    lake = Lake.open(tmp_path / "lake")
    ref, _ = identify(lake, str(world.model), "float32", "cpu", None, lake.find)
    return lake, lake.manifest(ref.id)


@pytest.mark.parametrize("what", ["pipe", "device", "none", "number", "nul", "long", "pipes", "another"])
def test_a_folder_without_the_model_is_refused(pinned: tuple[Lake, Manifest], tmp_path: Path, what: str) -> None:
    lake, model = pinned
    for memory in lake.files.list(model_identity.FINGERPRINTS):
        (Path(lake.uri) / model_identity.FINGERPRINTS / memory).unlink()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipes").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        os.mkfifo(tmp_path / "pipes" / name)
    tiny_world.save_model(tmp_path / "another", scale=0.5)
    folders = {name: str(tmp_path / name) for name in ("pipe", "pipes", "another")}
    places: dict[str, Any] = {**folders, "device": "/dev/zero", "number": 7, "nul": "a\0b", "long": "x" * 9000}
    about = {key: value for key, value in model.about.items() if key != "folder"}
    if what in places:
        about["folder"] = places[what]
    with pytest.raises((EditingError, TaskError)) as caught:
        model_identity._find_folder(lake, replace(model, about=about), "float32", "cpu")
    assert "\n" not in str(caught.value)


def test_the_folder_of_the_model_is_found(pinned: tuple[Lake, Manifest], world: World) -> None:
    lake, model = pinned
    assert model_identity._find_folder(lake, model, "float32", "cpu") == world.model.resolve()


@pytest.mark.parametrize("value", ["y", None, [1], -1, 10**400, float("nan")])
def test_recorded_sizes_of_a_model_must_be_numbers(pinned: tuple[Lake, Manifest], value: Any) -> None:
    model = pinned[1]
    found = ModelDescription.read(model)
    found.check_layers([0, 1], 2)
    found.check_window(32)
    for key in ("depth", "key_width", "positions"):
        wrong = value if key != "positions" or value is not None else "y"
        with pytest.raises((EditingError, TaskError)):
            ModelDescription.read(replace(model, about={**model.about, key: wrong}))
