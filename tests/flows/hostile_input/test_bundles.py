"""A packed run from a stranger: what it names is fetched only by consent, and it takes what this machine has."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny_world, untrusted_models
from support.error_checks import refused
from support.tiny_world import World, editflow

from editflow.editing.errors import EditingError
from editflow.flows import rerun_bundle
from editflow.flows.console.errors import UsageError
from editflow.flows.spec import consent
from editflow.storage.artifacts.store import Lake
from editflow.tasks.environment import cores as machine
from editflow.tasks.reproduction.run_bundle import RunBundle, write_bundle

MODEL = {"source": "org/tiny", "dtype": "float32", "device": "cpu"}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> RunBundle:
    """A finished run as it would be packed."""
    folder = tmp_path_factory.mktemp("strangers")
    world = tiny_world.make(folder / "world")
    record = tiny_world.record_directly(world.spec, folder / "lake", "requests.count=2")
    return rerun_bundle.export_bundle(Lake.open(folder / "lake"), record)


def told(pack: RunBundle, environment: dict[str, Any] | None = None, **sections: Any) -> RunBundle:
    """The pack with sections of its spec, or its environment, as a stranger wrote them."""
    spec = {**pack.record.spec, **sections}
    made_with = pack.record.environment if environment is None else environment
    return replace(pack, record=replace(pack.record, spec=spec, environment=made_with))


def laid(pack: RunBundle, folder: Path, **here: Any) -> Any:
    return rerun_bundle.open_bundle(pack, folder / "in", **{"model": None, "corpus": None, "threads": None, **here})


@pytest.mark.parametrize(
    ("where", "threads"), [("environment", 1024), ("environment", 100), ("spec", 256), ("spec", 100)]
)
def test_threads_end_at_the_cores_of_this_machine(
    pack: RunBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str, threads: int
) -> None:
    cores = max(machine(), torch.get_num_threads())
    theirs = told(pack, {"threads": threads}) if where == "environment" else told(pack, {}, threads=threads)
    assert laid(theirs, tmp_path).threads == min(cores, threads)
    assert "cores" in capsys.readouterr().err
    assert laid(theirs, tmp_path, threads=cores + 1).threads == cores + 1  # what is asked for here is not bounded
    assert laid(told(pack, {"threads": 1}), tmp_path).threads == 1
    assert "cores" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("target_values", "steps", 0),
        ("target_values", "steps", True),
        ("target_values", "learning_rate", float("nan")),
        ("corpus", "partitions", -1),
        ("corpus", "tokens", 2**60),
        ("edit", "batch_size", "many"),
        ("edit", "method", "theirs"),
        ("requests", "count", 0),
        ("requests", "more", 1),
    ],
)
def test_its_settings_pass_the_checks_of_a_spec(
    pack: RunBundle, tmp_path: Path, section: str, key: str, value: Any
) -> None:
    theirs = told(pack, **{section: {**pack.record.spec[section], key: value}})
    with pytest.raises((UsageError, EditingError)):
        laid(theirs, tmp_path)
    assert not (tmp_path / "in").exists()
    laid(pack, tmp_path)  # control


def test_nothing_is_fetched_without_consent(pack: RunBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither asked for nor looked up: the hub hears nothing before."""

    def hear(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", hear)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", hear)
    corpus = {**pack.record.spec["corpus"], "source": "hub:org/texts:en@abc"}
    for theirs, named in ((told(pack, model=MODEL), "org/tiny"), (told(pack, corpus=corpus), "org/texts")):
        bare = replace(theirs, inputs={"requests.source": pack.inputs["requests.source"]})
        with pytest.raises(UsageError, match=r"--download") as caught:
            laid(bare, tmp_path)
        assert named in str(caught.value)
        assert any(named in text for text in rerun_bundle.to_download(bare, model=None, corpus=None))
    assert "MB" in str(rerun_bundle.to_download(told(pack, model=MODEL), model=None, corpus=None))
    allowed = laid(told(pack, model=MODEL), tmp_path, download=True)
    assert allowed.model.source == "org/tiny"
    assert rerun_bundle.to_download(told(pack, model=MODEL), model="org/mine", corpus=None) == []
    assert rerun_bundle.to_download(pack, model=None, corpus=None) == []


@pytest.mark.parametrize("name", ["/etc", "../texts", "org/a/b", "~/texts", "org/te xts", "", "a:/etc", "a@../b"])
def test_a_hub_data_set_is_not_a_path(pack: RunBundle, tmp_path: Path, name: str) -> None:
    theirs = replace(told(pack, corpus={**pack.record.spec["corpus"], "source": f"hub:{name}"}), inputs=pack.inputs)
    bare = replace(theirs, inputs={"requests.source": pack.inputs["requests.source"]})
    with pytest.raises(UsageError, match="no data set"):
        laid(bare, tmp_path, download=True)


@pytest.mark.parametrize(
    "place", ["/etc", "/dev/zero", "~/.ssh", "~nobody-of-that-name/x", "pipe.gguf", "a\0b", "x" * 5000]
)
def test_a_model_that_it_names_here_is_a_folder_that_holds_one(
    pack: RunBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    os.mkfifo(tmp_path / "pipe.gguf")
    theirs = told(pack, model={**MODEL, "source": place})
    with pytest.raises((UsageError, EditingError)) as caught:
        rerun_bundle._repeated(
            theirs, tmp_path / "lake", {"model": None, "corpus": None, "threads": None, "download": True}
        )
    assert "\n" not in str(caught.value)


def test_the_folder_that_is_used_is_reported(
    pack: RunBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    laid(pack, tmp_path)
    assert "--model names another" in capsys.readouterr().err
    laid(pack, tmp_path, model=pack.record.spec["model"]["source"])
    assert "--model" not in capsys.readouterr().err


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard input is a terminal; the user's end of it."""
    ours, theirs = pty.openpty()
    with open(theirs, encoding="utf-8") as reading:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stdin", reading)
        yield ours
    os.close(ours)


@pytest.mark.parametrize(("typed", "agreed"), [("y", True), ("yes", True), ("n", False), ("", False), ("maybe", False)])
def test_on_a_terminal_it_asks(
    terminal: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    os.write(terminal, f"{typed}\n".encode())
    assert consent.agreement(["model org/tiny (about 5 MB) from the hub"]) is agreed
    assert "org/tiny (about 5 MB)" in capsys.readouterr().err
    assert consent.agreement([])


def test_without_a_terminal_the_command_names_the_flag(pack: RunBundle, tmp_path: Path) -> None:
    file = tmp_path / "run.zip"
    file.write_bytes(write_bundle(told(pack, model=MODEL)))
    refused(editflow("rerun", file), "org/tiny", "--download")
    refused(editflow("rerun", "last", "--download", "--lake", tmp_path / "none"), "")


def test_a_model_in_a_terminal_whose_user_says_yes_runs_no_code(world: World, tmp_path: Path, terminal: int) -> None:
    """Whatever is typed: there is no question."""
    folder = tmp_path / "model"
    tiny_world.save_model(folder)
    untrusted_models.CODE["an architecture of their own"](folder)
    os.write(terminal, b"y\ny\n")
    refused(editflow("plan", world.spec, "--lake", tmp_path / "lake", "--set", f"model.source={folder}"), "never run")
    assert not untrusted_models.mark(folder).exists()
    assert sys.stdin.readline() == "y\n"  # nobody has read the answer
