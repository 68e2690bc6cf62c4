"""Models on the hub: the configuration is downloaded first, then only the files that a run reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import untrusted_models
from support.local_hub import hub
from support.tiny_world import World

from editflow.editing.errors import EditingError, UnknownModel
from editflow.tasks.models.model_download import complete_folder, configured_folder, hub_folder, is_remote
from editflow.tasks.models.model_source import model_folder

ID = "org/tiny"


@pytest.fixture
def published(world: World, tmp_path: Path) -> Path:
    """A published model, with additional files that no run reads."""
    folder = Path(shutil.copytree(world.model, tmp_path / "published"))
    for name in ("consolidated.safetensors", "pytorch_model.bin", "modeling_tiny.py", "README.md"):
        (folder / name).write_bytes(b"never read")
    return folder


def test_only_files_that_are_read_are_downloaded(world: World, published: Path, tmp_path: Path) -> None:
    with hub({ID: published}, tmp_path / "cache") as served:
        assert is_remote(ID)
        configured_folder(ID)
        assert not [name for name in served.sent if not name.endswith(".json")]
        assert complete_folder(ID) is None
        folder = model_folder(ID)
        assert {path.name for path in folder.iterdir()} == {path.name for path in world.model.iterdir()}
        assert complete_folder(ID) == folder
        assert not is_remote(ID)
        assert {"model.safetensors", "tokenizer.json"} <= set(served.sent)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (untrusted_models.CODE["a declared architecture"], "code"),
        (untrusted_models.KEPT_OUT["GPTQ"][0], "gptq"),
        (untrusted_models.set_keys("config.json", model_type="bert"), "bert"),
        (untrusted_models.set_keys("adapter_config.json", base_model_name_or_path="org/base"), "org/base"),
        (untrusted_models.delete_files("model.safetensors", "consolidated.safetensors"), "pickle"),
    ],
    ids=["code", "packed", "an undeclared architecture", "an adapter", "pickles alone"],
)
def test_a_model_that_cannot_be_edited_is_refused_before_its_weights_are_downloaded(
    published: Path, tmp_path: Path, change: untrusted_models.Change, word: str
) -> None:
    change(published)
    with hub({ID: published}, tmp_path / "cache") as served, pytest.raises(EditingError, match=word):
        hub_folder(ID)
    assert not [name for name in served.sent if not name.endswith(".json")]


def test_a_model_in_the_cache_needs_no_hub(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub({ID: published}, tmp_path / "cache"):
        folder = hub_folder(ID)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert hub_folder(ID) == folder
    with pytest.raises(UnknownModel, match="network"):
        hub_folder("org/other")
