"""A whole run on a Gemma 2: one layer can be edited; several layers and a multimodal Gemma 3 are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import tiny_world
from support.error_checks import refused, unharmed
from support.tiny_world import World, editflow
from transformers import Gemma3Config

from editflow.storage.artifacts.store import Lake


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random Gemma 2."""
    folder = tmp_path_factory.mktemp("gemma") / "model"
    tiny_world.save_model(folder, model=tiny_world.gemma2())
    return folder


def target_nlls(lake: Path, state: str) -> dict[str, float]:
    """{request: NLL of its new target} as evaluated on a state."""
    found = [m for m in tiny_world.artifacts(lake, "evaluation") if m.parents["state"] == state]
    rows = Lake.open(lake).read(found[0].id).to_pylist()
    return {row["request"]: row["nll_new"] for row in rows if row["metric"] == "efficacy"}


def test_one_layer_is_edited_to_its_target_values(world: World, gemma: Path, tmp_path: Path) -> None:
    settings = (
        f"model.source={gemma}", "edit.layers=[2]", "edit.batch_size=6", "edit.ridge=0.001", "contexts.count=0",
        "target_values.clamp=3",
    )  # fmt: skip
    lake = tmp_path / "lake"
    edited = tiny_world.run_directly(world.spec, lake, *settings, "target_values.steps=20")
    still = tiny_world.run_directly(world.spec, lake, *settings, "target_values.steps=1")
    (model,) = tiny_world.artifacts(lake, "model")
    before, after = target_nlls(lake, model.id), target_nlls(lake, edited["state"])
    assert len(before) == len(after) == 6
    assert sum(after.values()) / 6 < sum(before.values()) / 6 - 0.2
    # The control: δ = 0, so the weights do not change.
    assert target_nlls(lake, still["state"]) == pytest.approx(before, abs=1e-3)


def test_several_layers_are_refused(world: World, gemma: Path, server: str, tmp_path: Path) -> None:
    parts = ("--set", f"model.source={gemma}", "--set", "edit.layers=[1, 2]")
    answer = editflow("run", world.spec, "--lake", tmp_path / "lake", *parts)
    refused(answer, "edit.layers = [1, 2] with edit.z_layer = 2", "gemma2 normalises", "edit.layers = [2]")
    unharmed(tmp_path / "lake", "model")


def test_a_multimodal_model_is_refused(world: World, server: str, tmp_path: Path) -> None:
    Gemma3Config(text_config=tiny_world.LLAMA).save_pretrained(tmp_path / "model")
    answer = editflow("run", world.spec, "--lake", tmp_path / "lake", "--set", f"model.source={tmp_path / 'model'}")
    refused(answer, "'gemma3' reads images", "'gemma3_text'")
    unharmed(tmp_path / "lake")
