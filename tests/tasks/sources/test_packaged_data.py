"""Data out of packages: hand-made wheels in a folder, fetched by the real pip, which is given no index."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import os
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from editflow.tasks.errors import FetchFailed
from editflow.tasks.sources.packaged_data import Packaged, fetch

pytestmark = pytest.mark.slow

DATA = b"numbers, and more numbers\n" * 40
ITEM = Packaged(
    "sample", "editflow-fetch-sample==1.0", "editflow_fetch_sample/data/numbers.bin",
    hashlib.sha256(DATA).hexdigest(), "a sample",
)  # fmt: skip
TRAP = "raise RuntimeError('the package was imported')\n"


def make_wheel(folder: Path, data: bytes = DATA) -> Path:
    """A wheel of one data file beside code that must never run."""
    info = "editflow_fetch_sample-1.0.dist-info"
    files = {
        "editflow_fetch_sample/__init__.py": TRAP,
        ITEM.member: data,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: editflow-fetch-sample\nVersion: 1.0\nRequires-Dist: absent\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    wheel = folder / "editflow_fetch_sample-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


def make_source(folder: Path, mark: Path) -> None:
    """A source package whose setup script leaves a mark when it is run."""
    script = f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n".encode()
    with tarfile.open(folder / "editflow_fetch_sample-1.0.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("editflow_fetch_sample-1.0/setup.py")
        member.size = len(script)
        archive.addfile(member, io.BytesIO(script))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("EDITFLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks: no index, no settings of the machine's."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def refused(item: Packaged, *fragments: str) -> None:
    with pytest.raises(FetchFailed) as caught:
        fetch(item)
    assert len(str(caught.value).splitlines()) == 1
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_fetched_once(cache: Path, packages: Path) -> None:
    wheel = make_wheel(packages)
    assert fetch(ITEM) == (ITEM.path, True)
    assert ITEM.path.read_bytes() == DATA
    assert files(cache) == [ITEM.path]
    wheel.unlink()
    assert fetch(ITEM) == (ITEM.path, False)
    with pytest.raises(FetchFailed):  # control: there was nothing to download any more
        fetch(ITEM, force=True)
    assert fetch(ITEM) == (ITEM.path, False)  # a failed refetch costs nothing that was there


def test_a_damaged_file_in_the_cache_is_fetched_again(cache: Path, packages: Path) -> None:
    make_wheel(packages)
    fetch(ITEM)
    ITEM.path.write_bytes(DATA[:-1] + b"!")
    assert fetch(ITEM) == (ITEM.path, True)
    assert ITEM.path.read_bytes() == DATA
    assert files(cache) == [ITEM.path]


def test_other_data_than_expected_is_not_kept(cache: Path, packages: Path) -> None:
    make_wheel(packages, DATA + b"more")
    refused(ITEM, ITEM.member, ITEM.sha256, hashlib.sha256(DATA + b"more").hexdigest(), "nothing was kept")
    assert files(cache) == []


def test_a_package_without_the_file(cache: Path, packages: Path) -> None:
    make_wheel(packages)
    refused(replace(ITEM, member="editflow_fetch_sample/data/letters.bin"), "holds no", "letters.bin")
    assert files(cache) == []


def test_no_such_package(cache: Path, packages: Path) -> None:
    make_wheel(packages)
    refused(
        replace(ITEM, package="editflow-fetch-sample==2.0"), "editflow-fetch-sample==2.0", "could not be downloaded"
    )
    assert files(cache) == []


def test_a_broken_wheel(cache: Path, packages: Path) -> None:
    wheel = make_wheel(packages)
    wheel.write_bytes(wheel.read_bytes()[:-200])
    refused(ITEM, ITEM.package, "could not be downloaded")
    assert files(cache) == []


def test_damaged_data_in_a_wheel_that_pip_takes(cache: Path, packages: Path) -> None:
    wheel = make_wheel(packages)
    assert wheel.read_bytes().count(DATA) == 1  # stored as it is
    wheel.write_bytes(wheel.read_bytes().replace(DATA, DATA[:-1] + b"!"))
    refused(ITEM, wheel.name, "is damaged", "nothing was kept")
    assert files(cache) == []


def test_a_source_package_is_not_built(cache: Path, packages: Path, tmp_path: Path) -> None:
    make_source(packages, tmp_path / "built")
    refused(ITEM, "No matching distribution")
    assert files(cache) == []
    assert not (tmp_path / "built").exists()


def test_the_package_is_neither_imported_nor_installed(
    cache: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(packages)
    fetch(ITEM)
    assert files(cache) == [ITEM.path]
    assert "editflow_fetch_sample" not in sys.modules
    assert importlib.util.find_spec("editflow_fetch_sample") is None
    monkeypatch.syspath_prepend(wheel)
    with pytest.raises(RuntimeError, match="was imported"):  # control: an import would have been noticed
        importlib.import_module("editflow_fetch_sample")
