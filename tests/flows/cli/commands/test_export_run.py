"""A run in one file: repeated without its lake and files, compared with its digests, and refused if it is changed."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pytest
import torch
from support import tiny_world
from support.error_checks import refused
from support.tiny_world import World, editflow

from editflow.flows.console.errors import UsageError
from editflow.flows.reproduction import export_bundle
from editflow.flows.reproduction.recorded_runs import BundledRun, RerunOptions, pinned_hub_corpus
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import RunRecord, Runs
from editflow.tasks.errors import UnknownSource
from editflow.tasks.reproduction.run_bundle import InputFile, RunBundle, read_bundle, write_bundle
from editflow.tasks.sources.edit_requests import load_requests

MODEL = "model.source"


@dataclass(frozen=True)
class Exported:
    """A finished run of a world of its own, and its file."""

    world: World
    lake: Path
    record: RunRecord
    file: Path

    @property
    def bundle(self) -> RunBundle:
        return read_bundle(self.file)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    world, lake, file = tiny_world.make(folder / "world"), folder / "lake", folder / "tiny-run.zip"
    record = tiny_world.record_directly(world.spec, lake, "requests.count=2")
    answer = editflow("export-run", record.run_id, "--out", file, "--lake", lake, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["inputs"] == {"requests.source": "facts.jsonl", "corpus.source": "corpus.jsonl"}
    assert answer.json["outside"] == {MODEL: str(world.model)}
    return Exported(world, lake, record, file)


@pytest.fixture
def alone(exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """(file, model) in another folder, without the lake and the other files of the run."""
    file, model = shutil.copy(exported.file, tmp_path), shutil.copytree(exported.world.model, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITFLOW_LAKE", "")
    for gone in (exported.world.folder, exported.lake):
        gone.rename(gone.with_name(f"{gone.name}-gone"))
    yield Path(file), Path(model)
    for gone in (exported.world.folder, exported.lake):
        gone.with_name(f"{gone.name}-gone").rename(gone)


def test_a_run_repeats_identically_without_its_lake(exported: Exported, alone: tuple[Path, Path], server: str) -> None:
    """All digests are equal without the lake and the files; and the fresh lake's run can be exported again."""
    file, model = alone
    answer = editflow("rerun", file, "--model", model, "--lake", "fresh", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["same"]
    wanted = {use.artifact: use.stage for use in exported.record.uses}
    assert {row["artifact"]: row["stage"] for row in answer.json["rows"]} == wanted
    assert all(row["digest"] == row["again"] for row in answer.json["rows"])
    before = tiny_world.digests(exported.lake.with_name("lake-gone"))
    assert {id_: digest for id_, digest in tiny_world.digests(Path("fresh")).items() if id_ in before} == before
    assert len(tiny_world.artifacts(Path("fresh"), "reproduction")) == 1
    assert not exported.world.corpus.exists(), "control: only the bundle and the model exist"
    again = editflow("export-run", "tiny", "--lake", "fresh", "--json")
    assert again.code == 0, again.err
    assert read_bundle(Path("tiny-run.zip")).inputs == exported.bundle.inputs
    refused(editflow("rerun", file, "--model", model, "--into", "fresh"), "already a lake")


def opened(bundle: RunBundle, folder: Path, corpus: str | None = None) -> RunSpec:
    """The spec of the bundle's repetition."""
    return BundledRun(bundle).with_inputs(folder, RerunOptions(model="m", corpus=corpus))


def rewritten(file: Path, changed: Mapping[str, bytes], *, true: bool) -> Path:
    """The file with some parts replaced; with `true`, also their digests in the index."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()} | dict(changed)
    index = json.loads(parts["pack.json"])
    if true:
        index["sha256"] |= {name: hashlib.sha256(data).hexdigest() for name, data in changed.items()}
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in (parts | {"pack.json": json.dumps(index).encode()}).items():
            archive.writestr(name, data)
    path = file.with_name("changed.zip")
    path.write_bytes(out.getvalue())
    return path


def test_a_changed_fact_is_refused_or_reported(exported: Exported, alone: tuple[Path, Path], server: str) -> None:
    """The digest in the bundle shows it; if that is changed too, the results do."""
    file, model = alone
    name, found = "inputs/requests.source/facts.jsonl", exported.bundle.inputs["requests.source"].data
    first = str(exported.bundle.record.summary["facts"])
    assert first == "2"
    rows = [json.loads(line) for line in found.splitlines()]
    for row in rows:
        row["requested_rewrite"]["target_new"] = {"str": "the river"}
    facts = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    refused(editflow("rerun", rewritten(file, {name: facts}, true=False), "--model", model, "--into", "no"), "changed")
    assert not Path("no").exists()
    answer = editflow("rerun", rewritten(file, {name: facts}, true=True), "--model", model)
    assert answer.code == 1
    assert "differs is requests" in answer.err
    assert "no payload" in answer.out
    for same in ("documents", "second moment", "null space"):
        assert same not in answer.out


def test_a_different_model_is_refused_before_work(exported: Exported, alone: tuple[Path, Path], server: str) -> None:
    file, _ = alone
    refused(editflow("rerun", file, "--into", "a"), "model")
    tiny_world.save_model(Path("other"), scale=0.5)
    refused(
        editflow("rerun", file, "--model", "other", "--into", "b"), "model other (", "is not the one of run", "--model"
    )
    assert {m.kind for m in Lake.open("b").manifests()} <= {"model"}


@pytest.fixture
def lake(exported: Exported, tmp_path: Path) -> Lake:
    """A copy of the lake, which a test may change."""
    return Lake.open(shutil.copytree(exported.lake, tmp_path / "lake"))


def test_the_same_run_gives_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "again.zip"
    answer = editflow("export-run", "last", "--out", out, "--lake", exported.lake)
    assert out.read_bytes() == exported.file.read_bytes()
    assert f"`editflow rerun {out}`" in answer.err
    assert answer.err.splitlines()[1] == f"not in it: {MODEL} = {exported.world.model}"
    spec = exported.bundle.spec
    assert 'source = "inputs/requests.source/facts.jsonl"' in spec
    assert 'source = "inputs/corpus.source/corpus.jsonl"' in spec


def test_changed_input_files_are_refused(exported: Exported, lake: Lake, tmp_path: Path) -> None:
    words = ["export-run", "last", "--lake", lake.uri, "--out", tmp_path / "out.zip"]
    facts, corpus = exported.world.facts, exported.world.corpus
    for file, other, fragment in (
        (facts, facts.read_bytes().replace(b"it is", b"it was"), "facts of run"),
        (corpus, corpus.read_bytes() + b"\n", "is not what run"),
    ):
        was = file.read_bytes()
        try:
            file.write_bytes(other)
            refused(editflow(*words), file.name, fragment, "restore")
            file.rename(tmp_path / file.name)
            refused(editflow(*words), file.name)
        finally:
            file.write_bytes(was)
    assert not (tmp_path / "out.zip").exists()


def test_a_large_corpus_is_not_exported(exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read from its recorded place or from --corpus, and a different one is refused."""
    monkeypatch.setattr("editflow.flows.reproduction.export_bundle.MAX_CORPUS_BYTES", 10)
    found = export_bundle.export_bundle(Lake.open(exported.lake), exported.record)
    assert list(found.inputs) == ["requests.source"]

    def spec(corpus: str | None = None) -> str:
        return opened(found, tmp_path / "in", corpus=corpus).corpus.source

    assert spec() == str(exported.world.corpus)
    shutil.copy(exported.world.corpus, tmp_path / "c.jsonl")
    assert spec(str(tmp_path / "c.jsonl")) == str(tmp_path / "c.jsonl")
    other = tiny_world.write_lines(tmp_path / "d.jsonl", tiny_world.documents(30))
    with pytest.raises(UsageError, match="--corpus"):
        spec(str(other))
    with pytest.raises(UnknownSource):
        spec(str(tmp_path / "none.jsonl"))


def test_a_corpus_on_the_hub_is_pinned_to_its_commit(exported: Exported) -> None:
    pinned = {"hub": "some/texts", "config": "en", "revision": "abc"}
    manifests = tuple(
        replace(m, spec={**m.spec, "corpus": pinned}) if m.kind == "documents" else m for m in exported.bundle.manifests
    )
    found = pinned_hub_corpus(replace(exported.bundle, manifests=manifests))
    assert found == {"corpus.source": "hub:some/texts:en@abc"}


def test_data_of_a_url_is_exported_as_records(exported: Exported, tmp_path: Path) -> None:
    found = export_bundle._read_input("requests.source", exported.world.facts.as_uri())
    path = tmp_path / found.name
    path.write_bytes(found.data)
    assert found.name == "records.jsonl"
    assert load_requests(path) == load_requests(exported.world.facts)


def test_a_bundle_reads_no_other_file_of_the_machine(exported: Exported, tmp_path: Path) -> None:
    """Everything that a stranger's bundle reads is in it, or named by the user."""
    bundle = exported.bundle
    spec = {**bundle.record.spec, "requests": {**bundle.record.spec["requests"], "references": "/etc/passwd"}}
    ours = replace(bundle, record=replace(bundle.record, spec=spec))
    with pytest.raises(UsageError, match="requests.references"):
        opened(ours, tmp_path / "a")
    more = replace(bundle, inputs={**bundle.inputs, "model.source": InputFile("x", b"")})
    with pytest.raises(UsageError, match="model.source"):
        opened(more, tmp_path / "b")
    bare = replace(bundle, inputs={"requests.source": bundle.inputs["requests.source"]}, manifests=())
    with pytest.raises(UsageError, match="corpus .* is not what run"):
        opened(bare, tmp_path / "d")
    late = replace(bundle, record=replace(bundle.record, environment={"threads": "many"}))
    kept = opened(late, tmp_path / "c")
    assert kept.threads in {None, torch.get_num_threads()}, "an invalid number of threads is ignored"


def test_wrong_input_gets_one_line(exported: Exported, lake: Lake, tmp_path: Path) -> None:
    runs = Runs(lake.files)
    served = runs.start("served", {})
    runs.finish(served, "completed", summary={"queue": "current", "facts": 0, "batches": [], "before": {}, "after": {}})
    where = ["--lake", lake.uri]
    refused(editflow("export-run", served.run_id, *where), "took its requests from a queue")
    refused(editflow("export-run", "nobody", *where), "0 runs match 'nobody'")
    refused(editflow("export-run", exported.record.run_id, "--out", tmp_path, *where), "is a folder")
    refused(editflow("rerun", tmp_path / "none.zip", *where), "none.zip", "give a run, or a file")
    refused(editflow("rerun", exported.world.facts, *where), "is not an intact bundle", "export the run again")
    refused(editflow("rerun", exported.record.run_id, "--model", "m", *where), "--model is for a bundle")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(exported.file.read_bytes()[:-100])
    refused(editflow("rerun", cut, *where), "cut.zip", "not a zip file")
    gone = next(use.artifact for use in exported.record.uses if use.stage == "state 1")
    shutil.rmtree(Path(lake.uri) / "artifacts" / gone[:2] / gone)
    refused(editflow("export-run", exported.record.run_id, *where), gone[:12], "run its spec again")
    assert write_bundle(exported.bundle) == exported.file.read_bytes()
