"""An unusable model, layer or corpus is reported in one line, and leaves nothing in the lake."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.error_checks import refused, unharmed
from support.terminals import several
from support.tiny_world import World, editflow


@pytest.mark.parametrize(
    ("setting", "fragments"),
    [
        ("model.source=smollm2-135m-instrukt", ["no model 'smollm2-135m-instrukt'", "'smollm2-135m-instruct'"]),
        ("model.source=/nowhere/model", ["no model '/nowhere/model'"]),
        ("model.source=nobody/no-such-model", ["nobody/no-such-model", "hub"]),
        ("corpus.source=/nowhere/corpus.txt", ["no corpus '/nowhere/corpus.txt'"]),
        ("requests.source=nowhere.jsonl", ["no file nowhere.jsonl"]),
        ("model.device=warp", ["warp"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_missing_source_is_named(
    world: World, server: str, tmp_path: Path, setting: str, fragments: list[str]
) -> None:
    lake = tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", setting), *fragments)
    unharmed(lake)


def test_an_unsupported_architecture_is_named(world: World, server: str, tmp_path: Path) -> None:
    from transformers import BertConfig, BertLMHeadModel

    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, is_decoder=True
    )
    BertLMHeadModel(config).save_pretrained(tmp_path / "bert")
    lake = tmp_path / "lake"
    answer = editflow("run", world.spec, "--lake", lake, "--set", f"model.source={tmp_path / 'bert'}")
    refused(answer, "architecture 'bert' has no declaration", "llama")
    unharmed(lake)


@pytest.mark.exhaustive
@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_model_folder_with_a_missing_file_is_refused(world: World, server: str, tmp_path: Path, missing: str) -> None:
    tiny_world.save_model(tmp_path / "model")
    (tmp_path / "model" / missing).unlink()
    lake = tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"model.source={tmp_path / 'model'}"), "model")
    unharmed(lake)


@pytest.mark.parametrize("settings", [("edit.layers=[0, 9]", "edit.z_layer=9"), ("edit.z_layer=4",)])
def test_a_layer_out_of_range_is_refused(world: World, server: str, tmp_path: Path, settings: tuple[str, ...]) -> None:
    lake = tmp_path / "lake"
    parts = [part for setting in settings for part in ("--set", setting)]
    refused(editflow("run", world.spec, "--lake", lake, *parts), "out of range", "layers 0…3")
    unharmed(lake, "model")


def changed_model(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The tiny model with its tensors changed in place."""
    from safetensors.torch import load_file, save_file

    tiny_world.save_model(folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_model_with_a_missing_tensor_is_refused(world: World, server: str, tmp_path: Path) -> None:
    """transformers would replace it with random numbers."""
    name = "model.layers.1.mlp.down_proj.weight"
    model, lake = changed_model(tmp_path / "model", lambda tensors: tensors.pop(name)), tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"model.source={model}"), "missing 1 tensors", name)
    unharmed(lake)


def test_a_model_with_the_configuration_of_another_is_refused(world: World, server: str, tmp_path: Path) -> None:
    model, lake = tmp_path / "model", tmp_path / "lake"
    tiny_world.save_model(model)
    config = model / "config.json"
    config.write_text(config.read_text().replace('"intermediate_size": 64', '"intermediate_size": 48'))
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"model.source={model}"), str(model))
    unharmed(lake)


@pytest.mark.exhaustive
@pytest.mark.parametrize("length", [3, 4, 8, 60])
def test_a_truncated_gguf_file_is_refused(
    world: World, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setenv("EDITFLOW_CACHE", str(tmp_path / "cache"))
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 20) + b"general.architecture"
    path, lake = tmp_path / "model.gguf", tmp_path / "lake"
    path.write_bytes((header + bytes(64))[:length])
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"model.source={path}"), "model.gguf", "GGUF")
    unharmed(lake)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_window_longer_than_the_context_of_the_model_is_refused(world: World, server: str, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", "corpus.window=257"), "window = 257", "256 positions")
    unharmed(lake, "model")


@pytest.mark.exhaustive
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(world: World, server: str, tmp_path: Path, value: float) -> None:
    name = "model.layers.1.mlp.down_proj.weight"

    def spoil(tensors: dict[str, Any]) -> None:
        tensors[name][0, 0] = value

    model, lake = changed_model(tmp_path / "model", spoil), tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"model.source={model}"), name, "NaN or infinity")
    unharmed(lake)


def test_activations_that_are_not_finite_are_refused(world: World, server: str, tmp_path: Path) -> None:
    """Finite weights whose products overflow: no artifact with NaN may enter the lake."""

    def enlarge(tensors: dict[str, Any]) -> None:
        for name in tensors:
            if name.startswith("model.layers.1.mlp."):
                tensors[name] *= 1e20

    model, lake = changed_model(tmp_path / "model", enlarge), tmp_path / "lake"
    answer = editflow("run", world.spec, "--lake", lake, "--set", f"model.source={model}")
    refused(answer)
    assert "NaN" in answer.err or "not finite" in answer.err
    unharmed(lake, "model", "requests", "documents", "tokens")


def test_a_truncated_model_file_is_refused(world: World, server: str, tmp_path: Path) -> None:
    model, lake = tmp_path / "model", tmp_path / "lake"
    tiny_world.save_model(model)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-900])
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"model.source={model}"), str(model))
    unharmed(lake)


@pytest.mark.parametrize(
    ("name", "rows", "fragments"),
    [
        ("empty.jsonl", [], []),
        ("blank.jsonl", ["", ""], ["0 documents"]),
        ("short.jsonl", [{"text": "the city"}] * 9, ["0 documents", "50 characters", "corpus.min_characters"]),
        ("one.jsonl", [{"text": "the city of " * 20}], ["1 documents"]),
        ("broken.jsonl", [{"text": "the city of " * 20}, '{"text": ', {"text": "x"}], []),
        ("columns.jsonl", [{"body": "the city of " * 20}] * 3, ["no text column 'text'", "body"]),
        ("numbers.jsonl", [{"text": 3}] * 3, ["'text'"]),
        ("corpus.pdf", ["%PDF"], ["unknown format", ".jsonl"]),
        ("corpus.xml", ["<mediawiki><page>"], ["not a complete MediaWiki export"]),
        ("corpus.parquet", ["PAR"], []),
    ],
)
def test_an_unusable_corpus_is_named(
    world: World,
    server: str,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    name: str,
    rows: list[Any],
    fragments: list[str],
) -> None:
    corpus, lake = tiny_world.write_lines(tmp_path / name, rows), tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", f"corpus.source={corpus}"), name, *fragments)
    unharmed(lake, "model", "requests")
    assert not [r.getMessage() for r in caplog.records if not r.name.startswith("prefect")], (
        "a library writes to the log"
    )


@pytest.mark.exhaustive
def test_a_corpus_too_small_for_the_layer_gives_a_warning_with_the_numbers(
    world: World, environment: dict[str, str], tmp_path: Path
) -> None:
    run = ["run", world.spec, "--lake", tmp_path / "lake", "--set", "corpus.tokens=60"]
    # The second run reuses everything and must warn too.
    command = several([run, run])
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "second moments" in line]
    assert len(warnings) == 2
    for warning in warnings:
        assert "60 tokens for 64 dimensions" in warning
        assert "corpus.tokens above 640" in warning
    assert "Traceback" not in done.stderr


def test_a_threshold_without_a_null_space_is_refused(world: World, copied: Path) -> None:
    answer = editflow(
        "run", world.spec, "--lake", copied, "--set", "null_space.rule=absolute", "--set", "null_space.value=1e-30"
    )
    refused(answer, "no eigenvalue under the threshold", "layer 0")
    tiny_world.sound(copied)
