"""Lakes from untrusted sources: records are validated, and files that are not the lake's own are never touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from editflow.storage.artifacts.check import WRONG_DIGEST, Fault
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.manifest import manifest_name, payload_name
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import (
    DamagedPayload,
    DamagedRecord,
    ForeignFile,
    InvalidName,
    LakeNotWritable,
    StorageError,
)
from editflow.storage.files import Files
from editflow.storage.index import snapshot
from editflow.storage.index.catalog import Catalog
from editflow.storage.index.compaction import compact
from editflow.storage.index.rows import SCHEMAS, artifact_row
from editflow.storage.maintenance import foreign_files
from editflow.storage.maintenance.audit import Audit
from editflow.storage.maintenance.garbage_collection import census, remove, remove_if_untouched
from editflow.storage.maintenance.index_audit import index_faults
from editflow.storage.maintenance.restore import restore_manifest
from editflow.storage.maintenance.retention_policy import RetentionRule
from editflow.storage.queries.query import query
from editflow.storage.queries.views import open_views
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import Runs, Use, record_path
from editflow.storage.records.tombstones import announce_removal, removed_at

pytestmark = pytest.mark.exhaustive

RECORDS = {
    "manifest": "artifacts/*/*/manifest.json",
    "payload": "artifacts/*/*/payload-*.parquet",
    "start of a run": "runs/*/started.json",
    "end of a run": "runs/*/finished.json",
    "name": "refs/*/*.json",
    "submission": "queues/*/*.json",
    "move": "releases/*/*.json",
    "notice": "notices/*/*.json",
    "conflict": "conflicts/*.json",
    "what was removed": "removed/*",
    "fingerprint": "fingerprints/*.json",
    "log of the index": "catalog/*/_delta_log/*.json",
    "rows of the index": "catalog/[!s]*/*.parquet",
    "barrier of snapshots": "catalog/snapshot/after",
    "head of a snapshot": "catalog/snapshot/*/head.json",
    "graph of a snapshot": "catalog/snapshot/*/*.npy",
    "rows of a snapshot": "catalog/snapshot/*/*.parquet",
}
"""The path of every kind of file in a lake. Add new kinds here and to the fixture below."""
BY_OTHERS = {"prefect", "inputs"}
"""Folders of a lake without records."""
JSON = [name for name in RECORDS if name not in {"payload", "what was removed", "log of the index",
        "rows of the index", "barrier of snapshots", "graph of a snapshot", "rows of a snapshot"}]  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with every kind of record, which the tests copy."""
    lake = Lake.open(tmp_path_factory.mktemp("good") / "lake")
    runs, catalog = Runs(lake.files), Catalog(lake)
    run = runs.start("demo", {"seed": 1})

    def make(name: str, kind_name: str, **parents: str) -> str:
        return lake.write(kind_name, 1, {"name": name}, parents, rows(kind_name), created_by=run.run_id).id

    model = make("model", "model")
    state = make("state", "state", model=model)
    scores = make("scores", "perplexity", state=state)
    uses = [Use(id_, "stage", "created", 0.5) for id_ in (model, state, scores)]
    done = runs.finish(run, "completed", state=state, uses=uses)
    catalog.record_many(artifacts=lake.manifests(), uses=[(run.run_id, use) for use in uses], runs=[done])
    for folder, value in {"refs": state, "queues": {"at": "t", "requests": []}, "notices": 1}.items():
        Refs(lake.files, folder).append("demo", value)
    Refs(lake.files, "releases").append("demo", {"move": "settle", "at": "t", "state": state})
    with pytest.raises(StorageError):
        lake.write("perplexity", 1, {"name": "scores"}, {"state": state}, rows("perplexity", 3))
    announce_removal(lake.files, ["ab" * 32])
    lake.files.put("fingerprints/00.json", json.dumps({"model": model, "folder": "/nowhere"}).encode())
    snapshot.invalidate(lake.files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("editflow.storage.index.index_reader.LARGE_INDEX_BYTES", 0)
        with open_views(lake):
            pass
    return Path(lake.uri)


def rows(kind_name: str, count: int = 2) -> pa.Table:
    def values(field: pa.Field) -> list[Any]:
        text = pa.types.is_string(field.type)
        one: Any = [1] if pa.types.is_list(field.type) else "text" if text else 1
        return [one] * count

    schema = kind(kind_name).schema
    return pa.table({field.name: values(field) for field in schema}, schema=schema)


@pytest.fixture
def lake(good: Path, tmp_path: Path) -> Lake:
    return Lake.open(shutil.copytree(good, tmp_path / "lake"))


@pytest.fixture(autouse=True)
def nobody_waits() -> Iterator[None]:
    """Fail a test that blocks on a pipe or loops forever."""

    def stop(*_: object) -> None:
        raise AssertionError("the test did not end")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def first(lake: Lake, record: str) -> Path:
    return next(path for path in sorted(Path(lake.uri).rglob("*")) if here(lake, path, RECORDS[record]))


def here(lake: Lake, path: Path, pattern: str) -> bool:
    name = path.relative_to(lake.uri).as_posix()
    return name.count("/") == pattern.count("/") and fnmatch(name, pattern)


def faults(lake: Lake) -> list[Fault]:
    """All faults that `editflow verify` finds in the whole lake."""
    audit, found = Audit(lake), list[Fault]()
    parts: list[Callable[[], Any]] = [
        audit.check_foreign_files,
        lambda: audit.check_artifacts(audit.ids(), lambda _: None),
        lambda: audit.check_runs(lake.files.list("runs"), lambda _: None),
        audit.check_names,
        lambda: index_faults(lake),
    ]
    for part in parts:
        try:
            found += part()
        except ForeignFile as error:
            found.append(Fault(error.path, "", error.what, "hand"))
    return found


def everybody(lake: Lake) -> Iterator[Callable[[], object]]:
    """All readers of a lake; each may refuse it with a one-line error."""
    for id_ in list(Audit(lake).ids()):
        yield lambda id_=id_: lake.manifest(id_)
        yield lambda id_=id_: lake.find(id_)
        yield lambda id_=id_: lake.read(id_)
    yield lambda: list(lake.manifests())
    yield lambda: list(Runs(lake.files).newest())
    yield lambda: Runs(lake.files).mark_crashed()
    for folder in foreign_files.NAME_FOLDERS:
        names = Refs(lake.files, folder)
        yield lambda names=names: [names.history(name) for name in names.names()]
        yield lambda names=names: list(names.faults("demo"))
    yield lambda: removed_at(lake.files)
    yield lambda: query(lake, "SELECT * FROM artifacts, runs, uses, perplexities")
    yield lambda: census(lake, RetentionRule(runs=1), 1)


def read_by_all(lake: Lake) -> int:
    """The number of readers that refuse the lake; each must raise a one-line StorageError or nothing."""
    refusals = 0
    for reader in everybody(lake):
        try:
            reader()
        except StorageError as error:
            assert "\n" not in str(error)
            refusals += 1
            print(f"refused: {error}")  # shown if the test fails
    return refusals


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_these_tests_cover_every_kind_of_file(lake: Lake) -> None:
    """Add a new kind of record to RECORDS, to the lake of these tests, and to foreign_files.py."""
    files = [path for path in Path(lake.uri).rglob("*") if path.is_file()]
    matched = {path: [name for name, pattern in RECORDS.items() if here(lake, path, pattern)] for path in files}
    assert {path: names for path, names in matched.items() if len(names) != 1} == {}
    assert {name for names in matched.values() for name in names} == set(RECORDS)
    tops = {pattern.partition("/")[0] for pattern in RECORDS.values()}
    assert tops | BY_OTHERS == foreign_files._TOP_FOLDERS


def test_control_a_valid_lake_has_no_faults(lake: Lake, tmp_path: Path) -> None:
    """The control for all tests below: in place, moved, and opened through a link to its root."""
    (tmp_path / "deep").mkdir()
    moved = shutil.move(lake.uri, tmp_path / "deep" / "moved")
    (tmp_path / "link").symlink_to(moved)
    for place in (moved, tmp_path / "link", tmp_path / "link" / ".." / "moved"):
        here_ = Lake.open(place)
        assert faults(here_) == []
        assert read_by_all(here_) == 0
    assert query(Lake.open(tmp_path / "link"), "SELECT count(*) AS n FROM artifacts")["n"].to_pylist() == [3]
    assert remove_if_untouched(Lake.open(tmp_path / "link"), next(Lake.open(moved).ids()), 2**40), (
        "removing accepts it too"
    )


# -- ids inside records match their paths ------------------------------------------------------------------------------

OUT = [
    "../../victim/planted",
    "/var/planted",
    "",
    ".",
    "..",
    "a/b",
    "a\nb",
    "a\0b",
    "x" * 300,
    "%2e%2e",
    7,
    None,
    ["a"],
    "é",
]
NAMES: dict[str, tuple[str, list[Any]]] = {
    "manifest id": ("manifest", ["id"]),
    "manifest digest": ("manifest", ["digest"]),
    "manifest parent": ("manifest", ["parents", "model"]),
    "start of a run run_id": ("start of a run", ["run_id"]),
    "end of a run state": ("end of a run", ["state"]),
    "end of a run use": ("end of a run", ["uses", 0, "artifact"]),
    "conflict id": ("conflict", ["id"]),
    "conflict other": ("conflict", ["other"]),
}


def put(path: Path, where: list[Any], value: Any) -> None:
    whole = inner = json.loads(path.read_text())
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    path.write_text(json.dumps(whole))


def child(lake: Lake) -> Path:
    """The manifest of an artifact with a parent."""
    return next(Path(lake.files.path(manifest_name(m.id))) for m in lake.manifests() if m.kind == "state")


@pytest.mark.parametrize("name", NAMES)
def test_an_id_in_a_record_must_match_the_path_of_the_record(lake: Lake, tmp_path: Path, name: str) -> None:
    record, where = NAMES[name]
    path = child(lake) if record == "manifest" else first(lake, record)
    valid, outside = path.read_text(), tree(tmp_path)
    others = [] if where[0] in {"state", "uses", "digest", "parents"} else ["ab" * 32, "20260101T000000-abcdef"]
    for value in [*OUT, *others]:
        if value is None and name == "end of a run state":
            continue
        put(path, where, value)
        changed = path.read_text()
        named = {fault.file for fault in Audit(lake).check_foreign_files()}
        named |= {f.file for f in Audit(lake).check_artifacts(lake.ids(), lambda _: None)}
        named |= {f.file for f in Audit(lake).check_runs(lake.files.list("runs"), lambda _: None)}
        assert path.relative_to(lake.uri).as_posix() in named, value
        if record == "manifest":
            with pytest.raises(DamagedPayload):
                lake.manifest(path.parent.name)
        if "run" in record:
            with pytest.raises(DamagedRecord):
                Runs(lake.files).get(path.parent.name)
            (shown,) = Runs(lake.files).newest()
            assert (shown.run_id, shown.status) == (path.parent.name, "damaged")
        assert path.read_text() == changed
        path.write_text(valid)
        assert tree(tmp_path) == outside
    assert faults(lake) == []


def test_a_crashed_run_is_marked_only_in_its_own_folder(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    path = first(lake, "start of a run")
    (path.parent / "finished.json").unlink()
    put(path, ["pid"], 2**22 + 5)
    valid = path.read_text()
    for value in ("../../victim/planted", str(tmp_path / "victim" / "planted"), "other"):
        put(path, ["run_id"], value)
        assert Runs(lake.files).mark_crashed() == []
        assert list((tmp_path / "victim").rglob("*")) == []
        assert not (path.parent / "finished.json").exists()
        assert lake.files.list("runs") == [path.parent.name]
    path.write_text(valid)
    assert [record.run_id for record in Runs(lake.files).mark_crashed()] == [path.parent.name], "the control"


@pytest.mark.parametrize("value", [value for value in OUT if isinstance(value, str)])
def test_no_path_is_built_from_an_invalid_name(lake: Lake, value: str) -> None:
    for build in (
        manifest_name,
        lambda text: payload_name("ab" * 32, text),
        lambda text: payload_name(text, "ab" * 32),
    ):
        with pytest.raises(InvalidName):
            build(value)
    with pytest.raises(InvalidName):
        record_path(value, "started")
    with pytest.raises(InvalidName):
        Runs(lake.files).start("demo", {}, run_id=value)
    with pytest.raises(InvalidName):
        Refs(lake.files).set(value, 1, 0)
    assert lake.load_manifest(value) is None
    assert not lake.is_committed(value)
    if ".." in value.split("/") or value.startswith("/") or "\0" in value:
        for use in (lake.files.read, lake.files.remove, lake.files.list, lake.files.exists, lake.files.file_path):
            with pytest.raises(ForeignFile):
                use(value)
        with pytest.raises(ForeignFile):
            lake.files.put(value, b"")


def test_an_artifact_in_a_wrong_folder_is_reported(lake: Lake) -> None:
    """A folder that was renamed, or moved into the shard of other ids."""
    path = child(lake)
    for place in ("ab" * 32, path.parent.name[::-1], "no id"):
        folder = path.parent.parent.parent / place[:2] / place
        folder.parent.mkdir(exist_ok=True)
        shutil.copytree(path.parent, folder)
        named = [fault for fault in faults(lake) if place in fault.file]
        assert named
        assert lake.find(place) is None if place == "no id" else True
        shutil.rmtree(folder)
    misplaced = path.parent.parent.parent / "00" / path.parent.name
    shutil.copytree(path.parent, misplaced)
    assert [(f.repair, f.wrong.endswith("00")) for f in faults(lake)] == [("hand", True)]
    assert len(list(lake.ids())) == 3


def test_a_ref_to_a_state_must_contain_an_id(lake: Lake) -> None:
    assert Refs(lake.files).artifact("demo") == child(lake).parent.name
    assert Refs(lake.files).artifact("nobody") is None
    for value in OUT:
        Refs(lake.files).append("odd", value)
        with pytest.raises(DamagedRecord):
            Refs(lake.files).artifact("odd")


# -- types of fields ---------------------------------------------------------------------------------------------------

ODD = ["y", "1", -1, 1.5, True, [], {}, None, float("nan"), float("inf"), 2**70]
RAW = ["1" * 5000, "[" * 5000, '"\\ud800"', "{", "NaN", "-", '{"a":' * 3000]


def everywhere(value: Any, where: list[Any] | None = None) -> Iterator[list[Any]]:
    """The keys that lead to each value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield [*(where or []), key]
        yield from everywhere(inner, [*(where or []), key])


@pytest.mark.parametrize("record", JSON)
def test_no_value_of_a_field_crashes_a_reader(lake: Lake, record: str) -> None:
    """Each field in turn has a value of another type, or the file is not JSON."""
    path = child(lake) if record == "manifest" else first(lake, record)
    valid = path.read_text()
    places = [where for where in everywhere(json.loads(valid)) if len(where) < 3]
    audit = Audit(lake)
    for n, where in enumerate(places):
        whole = json.loads(valid)
        inner = whole
        for key in where[:-1]:
            inner = inner[key]
        for value in (ODD[n % len(ODD)], ODD[(n + 4) % len(ODD)]):
            inner[where[-1]] = value
            path.write_text(json.dumps(whole))
            list(audit.check_artifacts(lake.ids(), lambda _: None))
            list(audit.check_runs(lake.files.list("runs"), lambda _: None))
            list(audit.check_names())
            list(audit.check_foreign_files())
            list(Runs(lake.files).newest())
    for text in RAW[: 2 if record == "head of a snapshot" else None]:
        path.write_text(text)
        audit = Audit(lake)
        found = [*audit.check_artifacts(lake.ids(), lambda _: None), *audit.check_names(), *audit.check_foreign_files()]
        found += [*audit.check_runs(lake.files.list("runs"), lambda _: None), *_broken(lake)]
        assert record == "fingerprint" or any(path.is_relative_to(lake.files.path(fault.file)) for fault in found), text
    read_by_all(lake)


def _broken(lake: Lake) -> list[Fault]:
    return [Fault(name, "", "", "index") for name in snapshot.damaged_files(lake.files)]


WRONG: dict[str, tuple[str, list[Any], list[Any]]] = {
    "rows": ("manifest", ["rows"], ["1", -1, 1.5, 2**70, None]),
    "bytes": ("manifest", ["bytes"], ["1", -1, 2**64]),
    "version": ("manifest", ["version"], ["1", -1]),
    "seconds": ("manifest", ["seconds"], ["1", -1, float("nan"), float("inf")]),
    "kind": ("manifest", ["kind"], [1, "../x", "", "a b"]),
    "spec": ("manifest", ["spec"], [[], "x", None]),
    "about": ("manifest", ["about"], [[], "x", None]),
    "depth": ("manifest", ["about", "depth"], ["y", "4", -1, 1.5, [], True]),
    "folder": ("manifest", ["about", "folder"], [5, [], None]),
    "created_at": ("manifest", ["created_at"], ["yesterday", 5, ""]),
    "created_by": ("manifest", ["created_by"], ["../run", 5, ""]),
    "started_at": ("start of a run", ["started_at"], ["yesterday", 5, ""]),
    "pid": ("start of a run", ["pid"], ["5", -1, 2**70]),
    "process_started": ("start of a run", ["process_started"], ["5", -1, float("nan")]),
    "status": ("end of a run", ["status"], ["running", 5, ""]),
    "uses": ("end of a run", ["uses"], [{}, "x", [5]]),
    "summary": ("end of a run", ["summary"], [[], "x"]),
}


@pytest.mark.parametrize("field", WRONG)
def test_a_field_of_a_wrong_type_makes_a_record_damaged(lake: Lake, field: str) -> None:
    record, where, values = WRONG[field]
    path = child(lake) if record == "manifest" else first(lake, record)
    valid = path.read_text()
    for value in values:
        put(path, where, value)
        with pytest.raises((DamagedPayload, DamagedRecord)):
            lake.manifest(path.parent.name) if record == "manifest" else Runs(lake.files).get(path.parent.name)
        path.write_text(valid)
    lake.manifest(path.parent.name) if record == "manifest" else Runs(lake.files).get(path.parent.name)


def test_a_manifest_with_a_wrong_digest_is_reported_and_repaired(lake: Lake) -> None:
    """The wrong digits may or may not be part of the payload's name."""
    path = child(lake)
    valid = json.loads(path.read_text())
    true = valid["digest"]
    for digest in (true[:-1] + ("0" if true[-1] != "0" else "1"), true[:13] + true[::-1][13:], true[::-1]):
        path.write_text(json.dumps(valid | {"digest": digest}))
        (fault,) = [fault for fault in faults(lake) if fault.repair == "artifact"]
        assert (fault.file, fault.wrong) == (path.relative_to(lake.uri).as_posix(), WRONG_DIGEST)
        with pytest.raises(DamagedPayload, match="digest"):  # and no conflict
            lake.write(valid["kind"], 1, valid["spec"], valid["parents"], rows(valid["kind"]))
        assert lake.write(valid["kind"], 1, valid["spec"], valid["parents"], rows(valid["kind"])).digest == true
        path.write_text(json.dumps(valid | {"digest": digest}))
        assert restore_manifest(lake, valid["id"])
        assert lake.manifest(valid["id"]).digest == true


# -- links, pipes, devices ---------------------------------------------------------------------------------------------


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    """Created where its path is short enough, then moved."""
    here_ = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / f"s{os.getpid()}"  # noqa: S108 - of a short name
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(here_))
    try:
        here_.rename(path)
    except OSError:
        here_.unlink()
        os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


PLANTED: dict[str, Callable[[Path], None]] = {
    "pipe": a_pipe,
    "socket": a_socket,
    "folder": a_folder,
    "device by a link": a_link_to("/dev/zero"),
    "link to nothing": a_link_to("/nowhere/at/all"),
    "link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("record", RECORDS)
def test_pipes_devices_and_folders_are_never_opened_as_files(lake: Lake, record: str) -> None:
    for name, plant in PLANTED.items():
        path = first(lake, record)
        content = path.read_bytes()
        path.unlink()
        plant(path)
        named = [
            fault for fault in Audit(lake).check_foreign_files() if path.is_relative_to(lake.files.path(fault.file))
        ]
        assert named, name
        assert all(fault.remedy for fault in named)
        with pytest.raises(ForeignFile):
            lake.files.read(path.relative_to(lake.uri).as_posix())
        if name == "pipe":
            read_by_all(lake)
            faults(lake)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_bytes(content)


@pytest.mark.parametrize("record", RECORDS)
def test_a_link_from_a_file_out_of_the_lake_is_not_followed(lake: Lake, tmp_path: Path, record: str) -> None:
    path, outside = first(lake, record), tmp_path / "outside"
    outside.mkdir()
    path.rename(outside / path.name)
    path.symlink_to(outside / path.name)
    name, before = path.relative_to(lake.uri).as_posix(), tree(outside)
    assert any(
        "link out of the lake" in fault.wrong and fault.file == name for fault in Audit(lake).check_foreign_files()
    )
    with pytest.raises(ForeignFile, match="link out"):
        lake.files.read(name)
    read_by_all(lake)
    lake.files.touch(name)
    lake.files.put(name, b"written in the place of the link")
    assert tree(outside) == before
    assert not path.is_symlink()


FOLDERS = [
    "artifacts", "artifacts/*", "artifacts/*/*", "runs", "runs/*", "catalog", "catalog/artifacts", "catalog/uses",
    "catalog/runs", "catalog/artifacts/_delta_log", "catalog/snapshot", "catalog/snapshot/*-*", "removed", "conflicts",
    "refs", "refs/demo", "queues", "queues/demo", "releases", "releases/demo", "notices", "fingerprints",
]  # fmt: skip


@pytest.mark.parametrize("pattern", FOLDERS)
def test_a_link_from_a_folder_out_of_the_lake_is_not_followed(lake: Lake, tmp_path: Path, pattern: str) -> None:
    """Nothing behind the link is read, written, moved or removed, and verify reports it."""
    path = next(iter(sorted(Path(lake.uri).glob(pattern))))
    outside, name = tmp_path / "outside", path.relative_to(lake.uri).as_posix()
    shutil.copytree(path, outside)
    shutil.rmtree(path)
    path.symlink_to(outside)
    before, inside = tree(outside), next(iter(sorted(tree(outside))))
    times = {file: (outside / file).stat().st_mtime_ns for file in before}
    assert any(fault.file == name and "link out" in fault.wrong and fault.remedy for fault in faults(lake))
    assert read_by_all(lake) > 0 or pattern in {
        "conflicts",
        "removed",
        "fingerprints",
        "catalog/snapshot/*-*",
        "runs/*",
        "catalog/artifacts/_delta_log",
    }
    held = f"{name}/{inside}"
    uses: list[Callable[[], object]] = [
        lambda: lake.files.read(held), lambda: lake.files.put(held, b"x"), lambda: lake.files.create(f"{name}/x", b"x"),
        lambda: lake.files.remove(held), lambda: lake.files.set_aside(held), lambda: lake.files.touch(held),
        lambda: lake.files.list(name), lambda: lake.files.make_folder(f"{name}/new"), lambda: lake.files.exists(held),
        lambda: lake.files.remove_folder(name), lambda: lake.files.write_parquet(held, rows("model")),
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(ForeignFile):
            use()
    for repair in (lambda: compact(Catalog(lake), 1, delete=True), lambda: Catalog(lake).rebuild()):
        try:
            repair()
        except StorageError as error:
            assert "\n" not in str(error)
    assert tree(outside) == before
    assert {file: (outside / file).stat().st_mtime_ns for file in before} == times


def test_links_inside_the_lake_are_followed(lake: Lake) -> None:
    """The control: parts of a lake may be moved inside the lake and linked."""
    root = Path(lake.uri)
    for pattern in ("artifacts/*", "runs/*", "refs/demo"):
        path = next(iter(sorted(root.glob(pattern))))
        path.rename(root / f"moved-{path.name}")
        path.symlink_to(Path(os.path.relpath(root / f"moved-{path.name}", path.parent)))
    assert faults(lake) == []
    assert [lake.read(id_).num_rows for id_ in lake.ids()] == [2, 2, 2]
    assert [record.status for record in Runs(lake.files).newest()] == ["completed"]
    assert Refs(lake.files).version("demo") == 1


def test_links_into_allowed_roots_are_followed(lake: Lake, tmp_path: Path) -> None:
    """Recomputing an artifact in a temporary lake reads its parents through such links."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "artifacts").symlink_to(Path(lake.uri) / "artifacts")
    borrowing, stranger = (
        Lake.open(tmp_path / "scratch", create=False, allowed_roots=roots) for roots in ([lake.uri], [])
    )
    assert len(list(borrowing.manifests())) == 3
    with pytest.raises(ForeignFile):
        list(stranger.manifests())


@pytest.mark.parametrize("at", ["artifacts", "artifacts/*", "artifacts/*/*"])
def test_garbage_collection_removes_nothing_from_another_lake(lake: Lake, good: Path, tmp_path: Path, at: str) -> None:
    other = Lake.open(shutil.copytree(good, tmp_path / "other"))
    mine = Lake.open(tmp_path / "mine")
    path, found = Path(mine.uri) / "artifacts", next(iter(sorted(Path(other.uri).glob(at))))
    path = Path(mine.uri) / found.relative_to(other.uri)
    if path.is_dir():
        path.rmdir()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(found)
    before = tree(Path(other.uri))
    long_ago = 10**9
    for file in Path(other.uri).rglob("*"):
        os.utime(file, (long_ago, long_ago))
    with pytest.raises(ForeignFile, match=re.escape(str(path))):
        remove(mine, census(mine, RetentionRule(days=1), 1))
    ids = [id_ for id_ in other.ids() if str(found) in other.files.path(manifest_name(id_))]
    for id_ in ids:
        with pytest.raises(ForeignFile):
            remove_if_untouched(mine, id_, 2**40)
    assert ids
    assert tree(Path(other.uri)) == before


def test_compaction_removes_nothing_behind_a_link(lake: Lake, tmp_path: Path) -> None:
    """Delta's vacuum walks the folder and follows links."""
    victim = tmp_path / "victim"
    victim.mkdir()
    parquet.write_table(rows("model"), victim / "kept.parquet")
    log = Path(lake.uri) / "catalog/runs/_delta_log"
    entry = {"path": "sub/kept.parquet", "deletionTimestamp": 1, "dataChange": True, "partitionValues": {}, "size": 1}
    (log / f"{len(list(log.glob('*.json'))):020d}.json").write_text(json.dumps({"remove": entry}) + "\n")
    (log.parent / "sub").symlink_to(victim)
    with pytest.raises(ForeignFile):
        compact(Catalog(lake), 1, delete=True)
    assert len(list(victim.iterdir())) == 1
    Catalog(lake).rebuild()
    assert faults(lake) == []
    assert len(list(victim.iterdir())) == 1


# -- versions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", foreign_files.NAME_FOLDERS)
@pytest.mark.parametrize(
    "name", ["99999999.json", "999999999999.json", f"{10**17}.json", f"{10**19}.json", "9" * 200 + ".json",
             "00000000.json", "1.json", "-0000001.json", "+0000002.json", "0000_003.json", "２００００００１.json", "x"]
)  # fmt: skip
def test_an_invalid_version_of_a_ref_is_reported(lake: Lake, folder: str, name: str) -> None:
    names, path = Refs(lake.files, folder), Path(lake.uri) / folder / "demo"
    (path / name).write_text('{"value": null}')
    found = [fault for fault in faults(lake) if fault.file.startswith(f"{folder}/demo")]
    assert 1 <= len(found) <= 2
    assert all(fault.remedy for fault in found)
    for read in (names.get, names.history, names.version):
        try:
            read("demo")
        except StorageError as error:
            assert "\n" not in str(error)
    (path / name).unlink()
    assert faults(lake) == []
    assert names.append("demo", 5) == 2


@pytest.mark.parametrize("number", [50, 99_999_999, 2**62 + 1, 2**63, 10**20 - 1])
@pytest.mark.parametrize("ending", ["json", "checkpoint.parquet"])
def test_an_invented_version_of_the_index_is_reported_and_harmless(lake: Lake, number: int, ending: str) -> None:
    log = Path(lake.uri) / "catalog/uses/_delta_log"
    (log / f"{number:020d}.{ending}").write_text("{}\n")
    found = [fault for fault in faults(lake) if fault.file.startswith("catalog/uses")]
    assert found
    assert len(found) <= 3
    assert query(lake, "SELECT count(*) AS n FROM uses")["n"].to_pylist() == [3]
    try:
        Catalog(lake).record_many(uses=[("20260101T000000-abcdef", Use("ab" * 32, "stage", "reused"))])
    except LakeNotWritable as error:
        assert "rebuild" in str(error)
    Catalog(lake).rebuild()
    assert [fault for fault in faults(lake) if fault.file.startswith("catalog")] == []


@pytest.mark.parametrize("name", ["²" * 20 + "-00000000", "9" * 20 + "-00000000", "9" * 200, "9" * 20 + "-0000", "x"])
def test_snapshots_and_tombstones_with_invalid_names_are_ignored(lake: Lake, name: str) -> None:
    (Path(lake.uri) / "catalog/snapshot" / name).mkdir()
    (Path(lake.uri) / "removed" / name).write_text("ab" * 32)
    assert removed_at(lake.files)
    assert read_by_all(lake) == 0


@pytest.mark.parametrize("text", ["x", "9" * 5000, "-5", "", "²", "1_0"])
def test_an_invalid_barrier_with_a_valid_checksum_is_reported(lake: Lake, text: str) -> None:
    import zlib

    at = text.encode()
    (Path(lake.uri) / "catalog/snapshot/after").write_bytes(b"%b-%08x" % (at, zlib.crc32(at)))
    assert read_by_all(lake) == 0
    assert any(fault.file == "catalog/snapshot/after" for fault in faults(lake))


# -- files in the index ------------------------------------------------------------------------------------------------


def outside_rows(lake: Lake, place: Path) -> Path:
    """A Parquet file outside of the lake with the columns of the index and a row of a foreign artifact."""
    made = replace(next(lake.manifests()), id="ab" * 32, spec={"secret": "foreign"})
    place.mkdir(exist_ok=True)
    table = pa.Table.from_pylist([artifact_row(made)], schema=SCHEMAS["artifacts"])
    parquet.write_table(table, place / "rows.parquet")
    return place / "rows.parquet"


WAYS: dict[str, Callable[[Path, Path], str]] = {
    "absolute": lambda file, _: str(file),
    "dots": os.path.relpath,
    "encoded dots": lambda file, table: os.path.relpath(file, table).replace("..", "%2e%2e"),
    "encoded slashes": lambda file, table: os.path.relpath(file, table).replace("/", "%2F"),
    "file URL": lambda file, _: file.as_uri(),
    "S3": lambda *_: "s3://bucket/rows.parquet",
    "HTTP": lambda *_: "http://127.0.0.1:9/rows.parquet",
    "pattern": lambda *_: "*.parquet",
    "folder": lambda *_: "sub/rows.parquet",
    "hidden": lambda *_: ".rows.parquet",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_log_of_the_index_may_only_name_files_in_its_folder(lake: Lake, tmp_path: Path, way: str) -> None:
    file, table = outside_rows(lake, tmp_path / "outside"), Path(lake.uri) / "catalog/artifacts"
    log = table / "_delta_log"
    entry = {"path": WAYS[way](file, table), "partitionValues": {}, "size": file.stat().st_size, "modificationTime": 1,
             "dataChange": True, "stats": '{"numRecords":1}'}  # fmt: skip
    (log / f"{len(list(log.glob('*.json'))):020d}.json").write_text(json.dumps({"add": entry}) + "\n")
    shutil.rmtree(Path(lake.uri) / "catalog/snapshot")
    before = tree(file.parent)
    assert Catalog(lake).files("artifacts") == []
    assert query(lake, "SELECT count(*) AS n FROM artifacts")["n"].to_pylist() == [3]
    assert any(fault.repair == "index" and "artifacts" in fault.file for fault in faults(lake))
    compact(Catalog(lake), 1, delete=True) if way in {"pattern", "hidden", "folder"} else None
    Catalog(lake).rebuild()
    assert faults(lake) == []
    assert tree(file.parent) == before


@pytest.mark.parametrize("name", ["../../outside/rows.parquet", "/etc/passwd", "catalog/artifacts/*", "runs/x.parquet"])
def test_a_snapshot_may_only_name_files_of_the_index(lake: Lake, tmp_path: Path, name: str) -> None:
    import zlib

    outside_rows(lake, tmp_path / "outside")
    head = first(lake, "head of a snapshot")
    put(head, ["files", "artifacts"], [name])
    new = head.parent.with_name(f"{head.parent.name[:20]}-{zlib.crc32(head.read_bytes()):08x}")
    head.parent.rename(new)
    assert query(lake, "SELECT count(*) AS n FROM artifacts")["n"].to_pylist() == [3]
    assert any(new.name in fault.file for fault in faults(lake))


@pytest.mark.parametrize("table", SCHEMAS)
@pytest.mark.parametrize("kind_", [pa.int64(), pa.string(), pa.float64(), pa.bool_(), pa.binary(), pa.list_(pa.int8())])
def test_index_rows_of_wrong_types_are_replaced_from_records(lake: Lake, table: str, kind_: pa.DataType) -> None:
    """All columns have null values of a wrong type."""
    shutil.rmtree(Path(lake.uri) / "catalog/snapshot")
    name = next(f"catalog/{table}/{file}" for file in lake.files.list(f"catalog/{table}") if file.endswith(".parquet"))
    columns = {column: pa.array([None, None], kind_) for column in SCHEMAS[table].names}
    parquet.write_table(pa.table(columns), lake.files.path(name))
    assert read_by_all(lake) == 0
    assert any(fault.file.startswith(f"catalog/{table}") for fault in faults(lake))
    restore_manifest(lake, next(lake.ids()))
    Catalog(lake).rebuild()


# -- paths of lakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\tb", "a\x1bb", "a\x7fb", "a\x85b", "a\u2028b", "a\udcffb", "a\0b"])
def test_a_path_with_control_characters_is_refused(tmp_path: Path, name: str) -> None:
    for place in (f"{tmp_path}/{name}", f"{tmp_path}/{name}/lake", f"file://{tmp_path}/{name}"):
        with pytest.raises(LakeNotWritable) as caught:
            Lake.open(place)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "ä", "日本", "a'b", 'a"b', "a#b", "👩‍🔬", "a;b", "~"])
def test_control_other_unusual_paths_are_accepted(tmp_path: Path, name: str) -> None:
    """The control."""
    Lake.open(tmp_path / name)
    assert Files(tmp_path / name).list("") == ["artifacts"]


@pytest.mark.parametrize("place", ["~nobody-of-this-name/x", "~nobody-of-this-name", "file://~nobody-of-this-name/x"])
def test_the_home_of_an_unknown_user_is_refused(place: str) -> None:
    with pytest.raises(LakeNotWritable, match="no such user"):
        Lake.open(place)
