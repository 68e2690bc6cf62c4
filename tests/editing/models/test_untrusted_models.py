"""An untrusted model runs no code, reads no pickle or other file, and is either complete or refused."""

from __future__ import annotations

import ast
import builtins
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support import tiny_world, untrusted_models
from support.untrusted_models import CODE, KEPT_OUT, LEFT_ALONE, gguf_file, mark

from editflow.editing.errors import UnknownModel
from editflow.editing.models.loading import (
    convert_gguf,
    files_digest,
    load,
    load_gguf_meta_model,
    load_meta_model,
    tensor_digests,
)
from editflow.editing.models.tokens import encode

ROOT = Path(__file__).parents[3]
OPENERS = {
    *("from_pretrained", "from_config", "from_file", "load_state_dict_from_url", "pipeline", "snapshot_download"),
    *(
        "hf_hub_download",
        "load_dataset",
        "get_class_from_dynamic_module",
        "load_custom_generate",
        "apply_chat_template",
    ),
}
MAY = {
    "editing/models/library.py": {"from_pretrained", "from_config"},
    "tasks/models/model_download.py": {"snapshot_download"},
    "tasks/sources/corpus.py": {"load_dataset"},
    "tasks/sources/parquet_and_hub.py": {"load_dataset"},
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "model"
    tiny_world.save_model(folder)
    return folder


@pytest.fixture
def model(sound: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that tests may change."""
    return Path(shutil.copytree(sound, tmp_path / "model"))


@pytest.fixture
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Whoever asks a question or opens a connection in the block; nobody should."""
    asked: list[object] = []

    def ask(question: object = "") -> str:
        asked.append(question)
        return "y"

    def connect(_self: object, address: object) -> None:
        asked.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(builtins, "input", ask)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield asked


def test_only_one_module_opens_models() -> None:
    """All other modules use it; `trust_remote_code` is false everywhere."""
    found: dict[str, set[str]] = {}
    for path in ROOT.glob("*/**/*.py"):
        place = path.relative_to(ROOT).as_posix()
        if place.startswith((".", "build/")):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in OPENERS and not (name == "from_file" and place.startswith("tests/")):
                    found.setdefault(place, set()).add(name)
                assert all(k.arg != "trust_remote_code" or _is_false(k.value) for k in node.keywords), place
    assert found == MAY


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize("what", CODE)
def test_code_is_never_run_and_no_question_is_asked(model: Path, nobody_answers: list[object], what: str) -> None:
    CODE[what](model)
    for opened in (load, load_meta_model):
        with pytest.raises(UnknownModel, match="code|unknown|downloaded or compiled") as caught:
            opened(model)
        assert "\n" not in str(caught.value)
    assert not mark(model).exists()
    assert not nobody_answers


def test_code_that_runs_is_noticed(model: Path) -> None:
    """The control: the hostile files above do run code if allowed to."""
    CODE["a tokenizer"](model)
    subprocess.run([sys.executable, "-S", str(model / "theirs.py")], check=True)
    assert mark(model).exists()


@pytest.mark.parametrize("what", KEPT_OUT)
def test_an_invalid_model_folder_is_refused(model: Path, nobody_answers: list[object], what: str) -> None:
    change, word = KEPT_OUT[what]
    change(model)
    with pytest.raises(UnknownModel) as caught:
        load(model)
    assert word in str(caught.value)
    assert str(model.parent) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not nobody_answers


PLANNED = ("an adapter beside", "tensors of an adapter", "float8", "GPTQ", "modelopt in a part", "a path in an index",
           "a shard that nothing names", "a billion layers", "a pointer for weights", "a pipe for weights")  # fmt: skip


@pytest.mark.parametrize("what", PLANNED)
def test_a_plan_refuses_it_before_any_weight_is_read(model: Path, what: str) -> None:
    change, word = KEPT_OUT[what]
    change(model)
    with pytest.raises(UnknownModel, match=word):
        load_meta_model(model)


@pytest.mark.parametrize("what", LEFT_ALONE)
def test_other_files_in_a_model_folder_change_nothing(
    sound: Path, model: Path, nobody_answers: list[object], what: str
) -> None:
    LEFT_ALONE[what](model)
    before, after = load(sound), load(model)
    assert list(tensor_digests(after)) == list(tensor_digests(before))
    text = "the river speaks"
    assert encode(after.tokenizer, text) == encode(before.tokenizer, text)
    load_meta_model(model)
    assert not nobody_answers
    assert not mark(model).exists()


def test_an_adapter_alone_names_its_base(model: Path) -> None:
    for path in model.iterdir():
        path.unlink()
    untrusted_models.set_keys("adapter_config.json", base_model_name_or_path="org/base")(model)
    for opened in (load, load_meta_model):
        with pytest.raises(UnknownModel, match=r"adapter of 'org/base'"):
            opened(model)


def test_masks_of_old_checkpoints_are_accepted(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 32, "vocab_size": len(tiny_world.WORDS)}
    tiny_world.save_model(tmp_path / "old", model=GPT2LMHeadModel(GPT2Config(**shape)))
    untrusted_models.add_tensor("transformer.h.0.attn.bias", 1, 1, 32, 32)(tmp_path / "old")
    untrusted_models.add_tensor("transformer.h.0.attn.masked_bias", 1)(tmp_path / "old")
    load(tmp_path / "old")
    untrusted_models.add_tensor("transformer.h.0.attn.bias.more", 1)(tmp_path / "old")
    with pytest.raises(UnknownModel, match=r"bias.more|no place"):
        load(tmp_path / "old")


def test_a_token_without_an_embedding_row_is_refused_only_in_texts(model: Path) -> None:
    """Unused tokens beyond the embedding are common; without the check, a text with one raises IndexError."""
    import json

    path = model / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["unheard"] = len(vocabulary)
    path.write_text(json.dumps(content))
    loaded = load(model)
    encode(loaded.tokenizer, "the river speaks")
    with pytest.raises(UnknownModel, match="no row|rows"):
        encode(loaded.tokenizer, "the unheard river")


def test_a_device_or_pipe_among_a_tokenizers_files_is_not_digested(sound: Path, model: Path) -> None:
    before = files_digest(model)
    untrusted_models.make_pipe("tokenizer.fifo")(model)
    assert files_digest(model) == before == files_digest(sound)
    untrusted_models.write_file("tokenizer.more", "x")(model)
    assert files_digest(model) != before


def test_other_files_beside_a_gguf_file_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody_answers: list[object]
) -> None:
    """Neither a tokenizer's code, nor another file of that name in the working folder."""
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    for folder in (alone, beside):
        folder.mkdir()
    gguf_file(alone / "model.gguf")
    shutil.copy(alone / "model.gguf", beside)
    for what in ("a tokenizer", "a declared architecture"):
        CODE[what](beside)
    (beside / "tokenizer.json").write_text("{}")
    (tmp_path / "model.gguf").write_text("another file")
    monkeypatch.chdir(tmp_path)
    load_gguf_meta_model(beside / "model.gguf")
    for folder in (alone, beside):
        convert_gguf(folder / "model.gguf", folder / "converted")
    written = {path.name: path.read_bytes() for path in (alone / "converted").iterdir()}
    assert {path.name: path.read_bytes() for path in (beside / "converted").iterdir()} == written
    assert not mark(beside).exists()
    assert not nobody_answers
    load(alone / "converted")


@pytest.mark.parametrize("what", ["an adapter", "one of three parts", "a pointer", "a pipe", "another file"])
def test_an_incomplete_gguf_file_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "model.gguf"
    if what == "an adapter":
        gguf_file(path, "blk.0.ffn_down.weight.lora_a")
    elif what == "one of three parts":
        gguf_file(path, parts=3)
    elif what == "a pipe":
        untrusted_models.make_pipe(path.name)(tmp_path)
    else:
        path.write_text(untrusted_models.POINTER if what == "a pointer" else "other")
    word = {"an adapter": "lora_a", "one of three parts": "3 parts", "a pointer": "git lfs", "a pipe": "regular"}
    with pytest.raises(UnknownModel, match=word.get(what, "GGUF")):
        convert_gguf(path, tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def test_rotary_tables_of_a_gguf_file_are_accepted(tmp_path: Path) -> None:
    convert_gguf(gguf_file(tmp_path / "model.gguf", "rope_freqs.weight"), tmp_path / "converted")
    assert (tmp_path / "converted" / "model.safetensors").is_file()


def test_a_panic_of_a_library_is_one_line(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A panic of Rust code, which is not an Exception, is reported too; an interrupt is not caught."""

    class Panic(BaseException):
        pass

    for raised, expected in ((Panic("first\nsecond"), UnknownModel), (KeyboardInterrupt(), KeyboardInterrupt)):

        def fail(*_: object, error: BaseException = raised, **__: object) -> None:
            raise error

        monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", fail)
        with pytest.raises(expected) as caught:
            load(model)
        assert "second" not in str(caught.value)


def test_editable_float_types_are_accepted(model: Path) -> None:
    """The control of float8: the same weight in the other types."""
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        untrusted_models.cast_weight(kind)(model)
        load(model)
