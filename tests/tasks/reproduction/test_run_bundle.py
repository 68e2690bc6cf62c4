"""A bundle is read back unchanged and has the same bytes everywhere; any other file is refused in one line."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pytest

from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs, Use
from editflow.tasks.errors import BadBundle, UnknownSource
from editflow.tasks.reproduction.run_bundle import InputFile, RunBundle, read_bundle, write_bundle

Parts = dict[str, bytes]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> RunBundle:
    """A run of two artifacts that read two files."""
    lake = Lake.open(tmp_path_factory.mktemp("bundle") / "lake")
    made, uses = [], []
    for n in range(2):
        table = pa.Table.from_pylist([{"i": n, "template": "x"}], schema=kind("contexts").schema)
        parents = {"model": made[0].id} if made else {}
        made.append(lake.manifest(lake.write("contexts", 1, {"n": n}, parents, table, about={"ü": "\u2028"}).id))
        uses.append(Use(made[-1].id, f"contexts {n}", "created", 0.5))
    runs = Runs(lake.files)
    record = runs.finish(runs.start("tiny", {"name": "tiny"}), "completed", uses=uses, summary={"facts": 1})
    inputs = {
        "requests.source": InputFile("facts.jsonl", b"{}\n"),
        "corpus.source": InputFile("ä b.txt".replace(" ", "-"), b"\0"),
    }
    return RunBundle(record, tuple(made), inputs, "name = 'tiny'\n")


def parts(bundle: RunBundle) -> Parts:
    with zipfile.ZipFile(BytesIO(write_bundle(bundle))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(content: Parts, how: int = zipfile.ZIP_STORED) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file.getvalue()


def written(folder: Path, data: bytes) -> Path:
    path = folder / "run.zip"
    path.write_bytes(data)
    return path


def test_a_bundle_is_read_back_unchanged(bundle: RunBundle, tmp_path: Path) -> None:
    path = written(tmp_path, write_bundle(bundle))
    found = read_bundle(path)
    assert found == bundle
    assert write_bundle(found) == path.read_bytes()
    turned = replace(bundle, inputs=dict(reversed(bundle.inputs.items())))
    assert write_bundle(turned) == path.read_bytes()
    assert write_bundle(replace(bundle, spec="other")) != path.read_bytes()
    assert found.find(bundle.manifests[1].id) == bundle.manifests[1]
    assert found.find("0" * 64) is None


def indexed(content: Parts, **fields: object) -> Parts:
    """The parts with a matching index, except for some fields."""
    index = json.loads(content["pack.json"]) | fields
    index["sha256"] = {
        name: hashlib.sha256(data).hexdigest() for name, data in content.items() if name != "pack.json"
    } | dict(fields.get("sha256", {}))
    return {**content, "pack.json": json.dumps(index).encode()}


def renamed(content: Parts, name: str) -> Parts:
    """The requests under another name."""
    moved = {name if old == "inputs/requests.source/facts.jsonl" else old: data for old, data in content.items()}
    return indexed(moved, inputs={**json.loads(content["pack.json"])["inputs"], "requests.source": name})


def recipe(content: Parts) -> Parts:
    return indexed({**content, "artifacts.jsonl": content["artifacts.jsonl"].replace(b'"n": 0', b'"n": 7')})


def other_run(content: Parts) -> Parts:
    return indexed({**content, "artifacts.jsonl": content["artifacts.jsonl"].partition(b"\n")[2]})


BROKEN: dict[str, tuple[Callable[[Parts], bytes], str]] = {
    "nothing": (lambda _: b"", "not a zip"),
    "text": (lambda _: b"hello " * 100, "not a zip"),
    "cut short": (lambda c: zipped(c)[:-40], "not a zip"),
    "cut in the middle": (lambda c: zipped(c)[: len(zipped(c)) // 2], "not a zip"),
    "another zip": (lambda c: zipped({"a.txt": c["spec.toml"]}), "pack.json"),
    "a later format": (lambda c: zipped(indexed(c, pack=2)), "format 2"),
    "no index": (lambda c: zipped({**c, "pack.json": b"{"}), "not readable"),
    "a list for an index": (lambda c: zipped({**c, "pack.json": b"[]"}), "not readable"),
    "a deep index": (lambda c: zipped({**c, "pack.json": b"[" * 200_000}), "not an intact bundle"),
    "compressed": (lambda c: zipped(c, zipfile.ZIP_DEFLATED), "compressed"),
    "a bomb": (lambda c: zipped({**c, "spec.toml": b"\0" * 10**7}, zipfile.ZIP_DEFLATED), "compressed"),
    "a part that is not in the index": (lambda c: zipped({**c, "more": b""}), "'more' is missing"),
    "an index with another part": (
        lambda c: zipped(indexed(c, sha256={"more": ""})),
        "'more' is missing",
    ),
    "a missing part": (
        lambda c: zipped({name: data for name, data in c.items() if name != "spec.toml"}),
        "'spec.toml' is missing",
    ),
    "a changed fact": (lambda c: zipped({**c, "inputs/requests.source/facts.jsonl": b"[]\n"}), "changed"),
    "a changed record": (lambda c: zipped({**c, "record.json": c["record.json"] + b" "}), "changed"),
    "the recipe of another artifact": (lambda c: zipped(recipe(c)), "recipe"),
    "artifacts of another run": (lambda c: zipped(other_run(c)), "are not those of run"),
    "no record": (lambda c: zipped(indexed({**c, "record.json": b"{}"})), "not readable"),
    "a path out of the folder": (
        lambda c: zipped(renamed(c, "inputs/requests.source/../../out.jsonl")),
        "valid name",
    ),
    "a path out of its key": (lambda c: zipped(renamed(c, "inputs/../out.jsonl")), "valid name"),
    "an absolute path": (lambda c: zipped(renamed(c, "/tmp/out.jsonl")), "valid name"),  # noqa: S108
    "a drive": (lambda c: zipped(renamed(c, "inputs/requests.source/C:\\out.jsonl")), "valid name"),
    "a hidden file": (lambda c: zipped(renamed(c, "inputs/requests.source/.profile")), "valid name"),
    "the folder of another key": (lambda c: zipped(renamed(c, "inputs/corpus.source/facts.jsonl")), "valid name"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_any_other_file_is_refused(bundle: RunBundle, tmp_path: Path, what: str) -> None:
    broken, fragment = BROKEN[what]
    path = written(tmp_path, broken(parts(bundle)))
    with pytest.raises(BadBundle) as caught:
        read_bundle(path)
    assert str(path) in str(caught.value)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_parts_unchanged_are_read(bundle: RunBundle, tmp_path: Path) -> None:
    """Control: the parts of the broken bundles are accepted, in any order."""
    whole = indexed(dict(reversed(parts(bundle).items())))
    assert read_bundle(written(tmp_path, zipped(whole))) == bundle


def test_two_parts_with_the_same_name_are_refused(bundle: RunBundle, tmp_path: Path) -> None:
    file = BytesIO(write_bundle(bundle))
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("spec.toml", b"other")
    with pytest.raises(BadBundle, match="same name"):
        read_bundle(written(tmp_path, file.getvalue()))


@pytest.mark.parametrize("place", [6, 8], ids=["flags", "method"])
def test_an_encrypted_or_unknown_part_is_refused(bundle: RunBundle, tmp_path: Path, place: int) -> None:
    """Header bits that require a password, or an unknown compression method."""
    data = bytearray(write_bundle(bundle))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + place + 2] |= 1 if place == 6 else 77
    with pytest.raises(BadBundle):
        read_bundle(written(tmp_path, bytes(data)))


def test_sizes_beyond_the_file_are_refused(bundle: RunBundle, tmp_path: Path) -> None:
    data = bytearray(write_bundle(bundle))
    directory = data.rindex(b"PK\x01\x02")
    for at in (directory + 20, directory + 24):  # both sizes in the directory
        data[at : at + 4] = (300 * 2**20).to_bytes(4, "little")
    with pytest.raises(BadBundle, match=r"claim 3\d\d,\d\d\d,\d\d\d bytes"):
        read_bundle(written(tmp_path, bytes(data)))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownSource, match="give a run, or a file"):
        read_bundle(tmp_path / "none.zip")
    with pytest.raises(UnknownSource):
        read_bundle(tmp_path)
