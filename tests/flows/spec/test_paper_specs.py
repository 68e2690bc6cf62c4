"""The specs of the paper's settings can be read, fit their models, and ask for the facts before anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.error_checks import refused, unharmed
from support.tiny_world import editflow

from editflow.editing.errors import InvalidOption
from editflow.flows.spec.loading import load_spec
from editflow.tasks.models.model_description import ModelDescription

FOLDER = Path(__file__).parents[3] / "specs" / "paper"
SPECS = sorted(FOLDER.glob("*.toml"))
# As the models' own config.json says.
MODELS = {
    "openai-community/gpt2-xl": ModelDescription("gpt2-xl", "float32", "gpt2", 48, 6400, 1024, 0),
    "EleutherAI/gpt-j-6b": ModelDescription("gpt-j-6b", "float32", "gptj", 28, 16384, 2048, 0),
    "meta-llama/Meta-Llama-3-8B": ModelDescription("llama-3-8b", "float32", "llama", 32, 14336, 8192, 0),
}
SEARCH = {"gpt2-xl": (0.5, 20), "gpt-j-6b": (0.5, 25), "llama-3-8b": (0.1, 25)}
"""Learning rate and steps of the published code, model by model."""
LAYERS = {"gpt2-xl": range(13, 18), "gpt-j-6b": range(3, 9), "llama-3-8b": range(4, 9)}


def test_every_model_has_both_data_sets() -> None:
    assert {spec.stem for spec in SPECS} == {f"{model}-{data}" for model in LAYERS for data in ("counterfact", "zsre")}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_settings_are_the_published_ones_and_the_model_has_the_layers(path: Path) -> None:
    spec = load_spec(path, ())
    about = MODELS[spec.model.source]
    assert spec.name == path.stem == f"{about.folder}-{spec.requests.dataset}"
    assert spec.edit.layers == list(LAYERS[about.folder])
    assert spec.edit.z_layer == spec.edit.layers[-1]
    assert (spec.requests.count, spec.edit.batch_size) == (2000, 100)
    assert (spec.null_space.rule, spec.null_space.value, spec.edit.ridge) == ("absolute", 0.02, 10.0)
    assert (spec.target_values.clamp, spec.target_values.kl, spec.target_values.weight_decay) == (0.75, 0.0625, 0.5)
    values = spec.target_values
    assert (values.learning_rate, values.steps, values.stop_at) == (*SEARCH[about.folder], 0.05)
    assert (spec.contexts.count, spec.contexts.tokens, values.after_argmax, values.forward) == (5, 10, 0, "model")
    assert spec.evaluation.generation_facts == (2000 if spec.requests.dataset == "counterfact" else 0)
    about.check_layers(spec.edit.layers, spec.edit.z_layer)
    about.check_window(spec.corpus.window)
    with pytest.raises(InvalidOption, match="out of range"):  # control
        replace(about, depth=spec.edit.z_layer).check_layers(spec.edit.layers, spec.edit.z_layer)
    for remark in ("0.01", "1.0", "at random", "100,000 articles"):
        assert remark in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("data", ["counterfact", "zsre"])
def test_missing_facts_are_reported_in_one_line(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = FOLDER / f"gpt2-xl-{data}.toml"
    wanted = load_spec(path, ()).requests.source
    refused(editflow("run", path, "--lake", tmp_path / "lake"), f"no file {wanted}")
    unharmed(tmp_path / "lake")
