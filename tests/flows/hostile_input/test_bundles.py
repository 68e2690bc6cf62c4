"""Bundles from a stranger: downloads need consent, and limits of this machine hold."""

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
from editflow.flows.console.errors import UsageError
from editflow.flows.reproduction.export_bundle import export_bundle
from editflow.flows.reproduction.recorded_runs import BundledRun, RerunOptions, check_repetition
from editflow.flows.rerun import rerun_bundle
from editflow.flows.spec import consent
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.artifacts.store import Lake
from editflow.tasks.environment import cores as machine
from editflow.tasks.reproduction.run_bundle import RunBundle, write_bundle

MODEL = {"source": "org/tiny", "dtype": "float32", "device": "cpu"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> RunBundle:
    """The bundle of a finished run."""
    folder = tmp_path_factory.mktemp("strangers")
    world = tiny_world.make(folder / "world")
    record = tiny_world.record_directly(world.spec, folder / "lake", "requests.count=2")
    return export_bundle(Lake.open(folder / "lake"), record)


def changed(bundle: RunBundle, environment: dict[str, Any] | None = None, **sections: Any) -> RunBundle:
    """The bundle with other sections of its spec, or another environment."""
    spec = {**bundle.record.spec, **sections}
    made_with = bundle.record.environment if environment is None else environment
    return replace(bundle, record=replace(bundle.record, spec=spec, environment=made_with))


def opened(bundle: RunBundle, folder: Path, **options: Any) -> RunSpec:
    """The spec of the bundle's repetition, after all checks but that of the model's content."""
    run, given = BundledRun(bundle), RerunOptions(**options)
    check_repetition(run, given)
    return run.with_inputs(folder / "in", given)


@pytest.mark.parametrize(
    ("where", "threads"), [("environment", 1024), ("environment", 100), ("spec", 256), ("spec", 100)]
)
def test_threads_are_limited_to_the_cores_of_this_machine(
    bundle: RunBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str, threads: int
) -> None:
    cores = max(machine(), torch.get_num_threads())
    theirs = changed(bundle, {"threads": threads}) if where == "environment" else changed(bundle, {}, threads=threads)
    assert opened(theirs, tmp_path).threads == min(cores, threads)
    assert "cores" in capsys.readouterr().err
    assert opened(theirs, tmp_path, threads=cores + 1).threads == cores + 1  # the user's own number is not limited
    assert opened(changed(bundle, {"threads": 1}), tmp_path).threads == 1
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
def test_settings_are_validated_like_those_of_a_spec(
    bundle: RunBundle, tmp_path: Path, section: str, key: str, value: Any
) -> None:
    theirs = changed(bundle, **{section: {**bundle.record.spec[section], key: value}})
    with pytest.raises((UsageError, EditingError)):
        opened(theirs, tmp_path)
    assert not (tmp_path / "in").exists()
    opened(bundle, tmp_path)  # control


def test_nothing_is_downloaded_without_consent(
    bundle: RunBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request reaches the hub before."""

    def contact(*_: object, **__: object) -> None:
        raise AssertionError("the hub was contacted")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", contact)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", contact)
    corpus = {**bundle.record.spec["corpus"], "source": "hub:org/texts:en@abc"}
    for theirs, named in ((changed(bundle, model=MODEL), "org/tiny"), (changed(bundle, corpus=corpus), "org/texts")):
        bare = replace(theirs, inputs={"requests.source": bundle.inputs["requests.source"]})
        with pytest.raises(UsageError, match=r"--download") as caught:
            opened(bare, tmp_path)
        assert named in str(caught.value)
        assert any(named in text for text in BundledRun(bare).downloads(RerunOptions()))
    assert "MB" in str(BundledRun(changed(bundle, model=MODEL)).downloads(RerunOptions()))
    allowed = opened(changed(bundle, model=MODEL), tmp_path, download=True)
    assert allowed.model.source == "org/tiny"
    assert BundledRun(changed(bundle, model=MODEL)).downloads(RerunOptions(model="org/mine")) == []
    assert BundledRun(bundle).downloads(RerunOptions()) == []


@pytest.mark.parametrize("name", ["/etc", "../texts", "org/a/b", "~/texts", "org/te xts", "", "a:/etc", "a@../b"])
def test_the_name_of_a_data_set_cannot_be_a_path(bundle: RunBundle, tmp_path: Path, name: str) -> None:
    theirs = replace(
        changed(bundle, corpus={**bundle.record.spec["corpus"], "source": f"hub:{name}"}), inputs=bundle.inputs
    )
    bare = replace(theirs, inputs={"requests.source": bundle.inputs["requests.source"]})
    with pytest.raises(UsageError, match="not a data set"):
        opened(bare, tmp_path, download=True)


@pytest.mark.parametrize(
    "place", ["/etc", "/dev/zero", "~/.ssh", "~nobody-of-that-name/x", "pipe.gguf", "a\0b", "x" * 5000]
)
def test_the_recorded_model_must_be_a_folder_with_a_model(
    bundle: RunBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    os.mkfifo(tmp_path / "pipe.gguf")
    theirs = changed(bundle, model={**MODEL, "source": place})
    (tmp_path / "run.zip").write_bytes(write_bundle(theirs))
    with pytest.raises((UsageError, EditingError)) as caught:
        rerun_bundle.fn(str(tmp_path / "run.zip"), str(tmp_path / "lake"), download=True)
    assert "\n" not in str(caught.value)


def test_the_model_folder_is_printed(bundle: RunBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened(bundle, tmp_path)
    assert "--model" in capsys.readouterr().err
    opened(bundle, tmp_path, model=bundle.record.spec["model"]["source"])
    assert "--model" not in capsys.readouterr().err


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The user's end of a terminal that is standard input."""
    ours, theirs = pty.openpty()
    with open(theirs, encoding="utf-8") as reading:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stdin", reading)
        yield ours
    os.close(ours)


@pytest.mark.parametrize(("typed", "agreed"), [("y", True), ("yes", True), ("n", False), ("", False), ("maybe", False)])
def test_a_terminal_is_asked(
    terminal: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    os.write(terminal, f"{typed}\n".encode())
    assert consent.ask_agreement(["model org/tiny (about 5 MB) from the hub"]) is agreed
    assert "org/tiny (about 5 MB)" in capsys.readouterr().err
    assert consent.ask_agreement([])


def test_without_a_terminal_the_error_names_the_flag(bundle: RunBundle, tmp_path: Path) -> None:
    file = tmp_path / "run.zip"
    file.write_bytes(write_bundle(changed(bundle, model=MODEL)))
    refused(editflow("rerun", file), "org/tiny", "--download")
    refused(editflow("rerun", "last", "--download", "--lake", tmp_path / "none"), "")


def test_no_answer_lets_a_model_run_code(world: World, tmp_path: Path, terminal: int) -> None:
    """The command does not ask."""
    folder = tmp_path / "model"
    tiny_world.save_model(folder)
    untrusted_models.CODE["an architecture of their own"](folder)
    os.write(terminal, b"y\ny\n")
    refused(editflow("plan", world.spec, "--lake", tmp_path / "lake", "--set", f"model.source={folder}"), "never run")
    assert not untrusted_models.mark(folder).exists()
    assert sys.stdin.readline() == "y\n"  # the answer was not read
