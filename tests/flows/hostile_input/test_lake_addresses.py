"""A record of a lake may name any address: commands name it first, and read it only with the user's consent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import tiny_world
from support.tiny_world import World, editflow
from support.web_server import Served, served

from editflow.flows.console.errors import UsageError
from editflow.flows.edit_model import edit
from editflow.flows.pipeline.tracked_run import run_tracked, with_retry
from editflow.flows.spec.loading import load_spec
from editflow.flows.withdraw import withdraw
from editflow.storage.artifacts.store import Lake


@pytest.fixture(scope="module")
def web(world: World) -> Iterator[Served]:
    with served(world.facts.parent) as server:
        yield server


@pytest.fixture(scope="module")
def received(world: World, web: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one run whose facts came from another host."""
    lake = tmp_path_factory.mktemp("received") / "lake"
    source = f"http://{web.host}/{world.facts.name}"
    spec = load_spec(world.spec, [f"requests.source={source}"])
    run_tracked(spec, Lake.open(lake), None, lambda _use, _ref: None, with_retry(edit), tiny_world.DirectPipeline)
    return lake


@pytest.fixture
def lake(received: Path, web: Served, tmp_path: Path) -> Path:
    web.seen.clear()
    return Path(shutil.copytree(received, tmp_path / "lake"))


def test_a_run_is_exported(lake: Path, web: Served, tmp_path: Path) -> None:
    words = ("export-run", "last", "--lake", lake, "--out", tmp_path / "run.zip")
    refused = editflow(*words)
    assert (refused.code, web.seen, (tmp_path / "run.zip").exists()) == (2, [], False)
    assert [word for word in (web.host, "requests.source", "--download") if word not in refused.err] == []
    assert editflow(*words, "--download").code == 0
    assert web.seen, "the control"


def test_a_fact_is_withdrawn(lake: Path, web: Served) -> None:
    fact = Lake.open(lake).read(tiny_world.artifacts(lake, "requests")[0].id)["request"][0].as_py()
    words = ("impact", "--withdraw", f"request:{fact}", "--lake", lake)
    assert (editflow(*words).code, web.seen) == (0, []), "the preview reads nothing"
    refused = editflow(*words, "--redo")
    assert (refused.code, web.seen) == (2, [])
    assert web.host in refused.err
    assert "--download" in refused.err
    with pytest.raises(UsageError, match="--download"):
        withdraw.fn(f"request:{fact}", str(lake))
    assert web.seen == []


def test_an_artifact_is_computed_again(lake: Path, web: Served) -> None:
    """Either its manifest has the recipe, or the whole run is walked, which reads the facts."""
    words = ("verify", "--repair", "--lake", lake)
    requests = tiny_world.payload(lake, tiny_world.artifacts(lake, "requests")[0])
    requests.unlink()
    refused = editflow(*words)
    assert (refused.code, web.seen) == (1, [])
    assert web.host in refused.out + refused.err
    again = editflow(*words, "--download")
    assert again.code == 0, again.err
    assert web.seen, "the control"
    assert requests.exists()


def test_a_source_named_by_a_manifest_is_not_read(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source in an artifact's description is not part of its id, so anyone can change it."""
    sources_read: list[str] = []
    monkeypatch.setattr(
        "editflow.tasks.stages.documents.read_documents", lambda source, *_: sources_read.append(source) or iter(())
    )
    documents = tiny_world.artifacts(lake, "documents")[0]
    manifest = tiny_world.payload(lake, documents).parent / "manifest.json"
    words = ("verify", documents.id, "--deep", "--stage", "documents", "--lake", lake)
    found = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(found | {"about": found["about"] | {"source": "hub:evil/data"}}))
    refused = editflow(*words)
    assert sources_read == []
    assert "hub:evil/data" in refused.out + refused.err
    assert "--download" in refused.out + refused.err
    editflow(*words, "--download")
    assert sources_read == ["hub:evil/data"], "the control"


def test_a_data_set_named_by_a_record_is_not_read(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources_read: list[str] = []
    monkeypatch.setattr(
        "editflow.flows.reproduction.recorded_runs.describe_corpus", lambda source: sources_read.append(source) or {}
    )
    started = next((lake / "runs").iterdir()) / "started.json"
    record = json.loads(started.read_text())
    record["spec"]["corpus"]["source"] = "hub:evil/data"
    started.write_text(json.dumps(record))
    refused = editflow("export-run", "last", "--download", "--lake", lake, "--out", lake.parent / "run.zip")
    assert (refused.code, sources_read) == (2, [])
    assert "corpus" in refused.err
