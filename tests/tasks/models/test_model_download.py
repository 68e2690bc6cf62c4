"""A model on the hub: its configuration is read first, then the files that are used, and no others are fetched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import untrusted_models
from support.local_hub import hub
from support.tiny_world import World

from editflow.editing.errors import EditingError, UnknownModel
from editflow.tasks.models.model_download import configured_folder, hub_folder, is_remote, whole_folder
from editflow.tasks.models.model_source import model_folder

ID = "org/tiny"


@pytest.fixture
def there(world: World, tmp_path: Path) -> Path:
    """The model as its publisher has it, with files beside it that no run reads."""
    folder = Path(shutil.copytree(world.model, tmp_path / "there"))
    for name in ("consolidated.safetensors", "pytorch_model.bin", "modeling_tiny.py", "README.md"):
        (folder / name).write_bytes(b"not for us")
    return folder


def test_only_what_is_read_is_fetched(world: World, there: Path, tmp_path: Path) -> None:
    with hub({ID: there}, tmp_path / "cache") as served:
        assert is_remote(ID)
        configured_folder(ID)
        assert not [name for name in served.sent if not name.endswith(".json")]
        assert whole_folder(ID) is None
        folder = model_folder(ID)
        assert {path.name for path in folder.iterdir()} == {path.name for path in world.model.iterdir()}
        assert whole_folder(ID) == folder
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
def test_what_cannot_be_edited_is_refused_before_its_weights(
    there: Path, tmp_path: Path, change: untrusted_models.Change, word: str
) -> None:
    change(there)
    with hub({ID: there}, tmp_path / "cache") as served, pytest.raises(EditingError, match=word):
        hub_folder(ID)
    assert not [name for name in served.sent if not name.endswith(".json")]


def test_a_model_in_the_cache_needs_no_hub(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub({ID: there}, tmp_path / "cache"):
        folder = hub_folder(ID)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert hub_folder(ID) == folder
    with pytest.raises(UnknownModel, match="network"):
        hub_folder("org/other")
