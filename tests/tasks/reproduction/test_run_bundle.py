"""A packed run gives back what was packed, as the same bytes everywhere; any other file is refused in one line."""

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
from editflow.tasks.reproduction.run_bundle import Input, RunBundle, read_bundle, write_bundle

Parts = dict[str, bytes]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> RunBundle:
    """A run of two artifacts that read two files."""
    lake = Lake.open(tmp_path_factory.mktemp("pack") / "lake")
    made, uses = [], []
    for n in range(2):
        table = pa.Table.from_pylist([{"i": n, "template": "x"}], schema=kind("contexts").schema)
        parents = {"model": made[0].id} if made else {}
        made.append(lake.manifest(lake.write("contexts", 1, {"n": n}, parents, table, about={"ü": "\u2028"}).id))
        uses.append(Use(made[-1].id, f"contexts {n}", "created", 0.5))
    runs = Runs(lake.files)
    record = runs.finish(runs.start("tiny", {"name": "tiny"}), "completed", uses=uses, summary={"facts": 1})
    inputs = {
        "requests.source": Input("facts.jsonl", b"{}\n"),
        "corpus.source": Input("ä b.txt".replace(" ", "-"), b"\0"),
    }
    return RunBundle(record, tuple(made), inputs, "name = 'tiny'\n")


def parts(pack: RunBundle) -> Parts:
    with zipfile.ZipFile(BytesIO(write_bundle(pack))) as archive:
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


def test_what_was_packed_comes_back_as_the_same_bytes(pack: RunBundle, tmp_path: Path) -> None:
    path = written(tmp_path, write_bundle(pack))
    found = read_bundle(path)
    assert found == pack
    assert write_bundle(found) == path.read_bytes()
    turned = replace(pack, inputs=dict(reversed(pack.inputs.items())))
    assert write_bundle(turned) == path.read_bytes()
    assert write_bundle(replace(pack, spec="other")) != path.read_bytes()
    assert found.find(pack.manifests[1].id) == pack.manifests[1]
    assert found.find("0" * 64) is None


def indexed(content: Parts, **fields: object) -> Parts:
    """The parts with an index that is true of them, but for some fields."""
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
    "another zip": (lambda c: zipped({"a.txt": c["spec.toml"]}), "no pack.json"),
    "a later format": (lambda c: zipped(indexed(c, pack=2)), "format 2"),
    "no index": (lambda c: zipped({**c, "pack.json": b"{"}), "not readable"),
    "a list for an index": (lambda c: zipped({**c, "pack.json": b"[]"}), "not readable"),
    "a deep index": (lambda c: zipped({**c, "pack.json": b"[" * 200_000}), "not an intact bundle"),
    "packed tight": (lambda c: zipped(c, zipfile.ZIP_DEFLATED), "not stored as it is"),
    "a bomb": (lambda c: zipped({**c, "spec.toml": b"\0" * 10**7}, zipfile.ZIP_DEFLATED), "not stored as it is"),
    "more than it says": (lambda c: zipped({**c, "more": b""}), "'more' is missing, or does not belong"),
    "more in the index": (lambda c: zipped(indexed(c, sha256={"more": ""})), "'more' is missing, or does not belong"),
    "less than it says": (
        lambda c: zipped({name: data for name, data in c.items() if name != "spec.toml"}),
        "'spec.toml' is missing",
    ),
    "a changed fact": (lambda c: zipped({**c, "inputs/requests.source/facts.jsonl": b"[]\n"}), "has been changed"),
    "a changed record": (lambda c: zipped({**c, "record.json": c["record.json"] + b" "}), "has been changed"),
    "a recipe of another": (lambda c: zipped(recipe(c)), "has the recipe of another"),
    "artifacts of another run": (lambda c: zipped(other_run(c)), "are not those of run"),
    "no record": (lambda c: zipped(indexed({**c, "record.json": b"{}"})), "not readable"),
    "a way out": (lambda c: zipped(renamed(c, "inputs/requests.source/../../out.jsonl")), "is no name for"),
    "a way out of its key": (lambda c: zipped(renamed(c, "inputs/../out.jsonl")), "is no name for"),
    "an absolute path": (lambda c: zipped(renamed(c, "/tmp/out.jsonl")), "is no name for"),  # noqa: S108
    "a drive": (lambda c: zipped(renamed(c, "inputs/requests.source/C:\\out.jsonl")), "is no name for"),
    "a hidden file": (lambda c: zipped(renamed(c, "inputs/requests.source/.profile")), "is no name for"),
    "another key's place": (lambda c: zipped(renamed(c, "inputs/corpus.source/facts.jsonl")), "is no name for"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_any_other_file_is_refused(pack: RunBundle, tmp_path: Path, what: str) -> None:
    broken, said = BROKEN[what]
    path = written(tmp_path, broken(parts(pack)))
    with pytest.raises(BadBundle) as caught:
        read_bundle(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_parts_unbroken_are_read(pack: RunBundle, tmp_path: Path) -> None:
    """The control: what the broken ones are made of is accepted, in any order."""
    whole = indexed(dict(reversed(parts(pack).items())))
    assert read_bundle(written(tmp_path, zipped(whole))) == pack


def test_two_parts_of_one_name(pack: RunBundle, tmp_path: Path) -> None:
    file = BytesIO(write_bundle(pack))
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("spec.toml", b"other")
    with pytest.raises(BadBundle, match="some of one name"):
        read_bundle(written(tmp_path, file.getvalue()))


@pytest.mark.parametrize("place", [6, 8], ids=["flags", "method"])
def test_a_locked_or_unknown_part(pack: RunBundle, tmp_path: Path, place: int) -> None:
    """Bits of the headers that ask for a password, or for a method that nobody knows."""
    data = bytearray(write_bundle(pack))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + place + 2] |= 1 if place == 6 else 77
    with pytest.raises(BadBundle):
        read_bundle(written(tmp_path, bytes(data)))


def test_a_file_that_claims_more_than_it_has(pack: RunBundle, tmp_path: Path) -> None:
    data = bytearray(write_bundle(pack))
    directory = data.rindex(b"PK\x01\x02")
    for at in (directory + 20, directory + 24):  # both sizes in the directory
        data[at : at + 4] = (300 * 2**20).to_bytes(4, "little")
    with pytest.raises(BadBundle, match=r"claim 3\d\d,\d\d\d,\d\d\d bytes"):
        read_bundle(written(tmp_path, bytes(data)))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownSource, match="give a run, or a file"):
        read_bundle(tmp_path / "none.zip")
    with pytest.raises(UnknownSource):
        read_bundle(tmp_path)
